# SPDX-License-Identifier: GPL-2.0-only
"""zsemu compare: the matrix of architectures and strategies, as tables and as JSON."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from zsemu.caches.presets import PRESETS
from zsemu.cli.diff import REGRESSION, DiffFormat, Limits, judge, show
from zsemu.cli.options import (
    GEOMETRY,
    Archs,
    Compiler,
    Jobs,
    Operations,
    PageSize,
    Strategies,
    Trace,
    complete_strategy,
    values,
)
from zsemu.cli.terminal import emit, note, warn, width
from zsemu.errors import ZsemuError
from zsemu.paths import DEFAULT_TRACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from zsemu.guest.strategies import Strategy
    from zsemu.results.diff import Diff
    from zsemu.results.document import Document
    from zsemu.runs.request import Request

VIOLATION: Final = 1


class Format(StrEnum):
    """How the tables are written."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


_AT_A_GLANCE: Final = (Format.TABLE, Format.MARKDOWN)
"""the formats for people; the others hold all that was counted"""


class Count(StrEnum):
    """What the ratios at a glance are of."""

    BYTES = "bytes"
    INSTRUCTIONS = "instructions"


Counted = Annotated[
    Count | None,
    typer.Option("--count", help="What the table at a glance is of. [default: bytes]"),
]
Details = Annotated[
    bool,
    typer.Option(
        "--details",
        help="Instead of one table at a glance, print every figure of each architecture, and what"
        " made them.",
    ),
]
Regions = Annotated[
    bool,
    typer.Option(
        "--regions",
        help="The details, with instructions by class, cache lines, and bytes by region of memory;"
        " they are always counted: csv and json hold them anyway.",
    ),
]
BreakEven = Annotated[
    bool,
    typer.Option(
        "--break-even",
        help="Instead of ratios, print at which price of a TLB invalidate strategies tie; with"
        " --details by mode, and with what sources say that an invalidate costs.",
    ),
]
Cache = Annotated[
    str | None,
    typer.Option(
        "--cache",
        metavar="CPU|l1=SIZE:WAYS,l2=SIZE:WAYS",
        help="Also run all accesses through a model of these data caches, such as"
        " l1=32K:8,l2=512K:8, and print what misses instead of ratios; with --details beside them."
        " Of a CPU: " + ", ".join(PRESETS) + ".",
    ),
]
RelativeTo = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="The strategy that ratios are to; it always runs, too.",
        autocompletion=complete_strategy,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the results there, with all counts."),
]
SaveBaseline = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Keep the results under this name: .zsemu/NAME.json."),
]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Show what moved since, too, as zsemu diff does."),
]
PrintedAs = Annotated[
    Format, typer.Option("--format", help="Of what is printed; csv and json hold all counts.")
]


def compare(
    arch: Archs = None,
    strategy: Strategies = None,
    trace: Trace = DEFAULT_TRACE,
    geometry: Annotated[str | None, GEOMETRY] = None,
    page_size: PageSize = None,
    operations: Operations = None,
    count: Counted = None,
    details: Details = False,
    regions: Regions = False,
    break_even: BreakEven = False,
    cache: Cache = None,
    cc: Compiler = "zig",
    relative_to: RelativeTo = "copy",
    jobs: Jobs = None,
    json: Output = None,
    save_baseline: SaveBaseline = None,
    baseline: Baseline = None,
    limit: Limits = None,
    format: PrintedAs = Format.TABLE,
) -> None:
    """Replay a trace through every strategy on every architecture.

    Every object is proven intact, and what each way of mapping it costs is counted. One table shows
    the ratios to one of the strategies; --details shows all that was counted. Options that take
    several values may be repeated, or given several with commas between them.

    Exit status: 0 all intact, 1 some strategy has violations, 2 bad use or input, 3 a regression
    against the baseline.

    Example: zsemu compare --arch arm --strategy pgtable,./mine.c --json out.json
    """
    from zsemu.results import baselines
    from zsemu.results.document import save
    from zsemu.runs.request import request

    _check_places(json, save_baseline)
    if limit and not baseline:
        raise ZsemuError("--limit is about what moved: name a --baseline")
    show = _show(
        format,
        count,
        details=details,
        split=regions,
        break_even=break_even,
        misses=cache is not None,
    )
    old = baselines.read(baseline) if baseline else None
    labels, base = _strategies(values(strategy), relative_to)
    asked = request(
        archs=values(arch),
        strategies=labels,
        trace=trace,
        operations=operations,
        geometry=geometry,
        page_size=page_size,
        cc=cc,
        cache=cache,
    )
    document = _run(asked, old, jobs)
    if json:
        save(document, json)
    show(document, base)
    found = judge(old, document, limit) if old else None
    if found:
        _show_diff(found, format)
    if save_baseline:
        baselines.write(document, save_baseline)
    raise typer.Exit(_status(document, found))


def _status(document: "Document", found: "Diff | None") -> int:
    if not document.intact:
        return VIOLATION
    return REGRESSION if found and found.regressions else 0


def _check_places(json: Path | None, save_baseline: str | None) -> None:
    """Raise ZsemuError if the results could not be written where they are wanted."""
    from zsemu.results import baselines

    if json and (json.is_dir() or not json.absolute().parent.is_dir()):
        raise ZsemuError(f"{json}: no place for a file: give --json one in a directory that exists")
    if save_baseline:
        baselines.path(save_baseline)


def _run(asked: "Request", old: "Document | None", jobs: int | None) -> "Document":
    """Run the request, after all that can be seen to be wrong without running it."""
    from zsemu.cli.progress import bar
    from zsemu.guest import targets
    from zsemu.results.diff import ensure_comparable
    from zsemu.results.document import Document
    from zsemu.runs import doctor
    from zsemu.runs.compare import run
    from zsemu.runs.request import check, provenance, warnings

    check(asked)
    for line in warnings(asked):
        warn(line)
    if old:
        ensure_comparable(old, Document(provenance(asked), ()))
    doctor.ensure(map(targets.target, asked.archs))
    with bar() as watch:
        return run(asked, jobs=jobs or os.cpu_count() or 1, watch=watch)


def _strategies(names: list[str], relative_to: str) -> "tuple[dict[str, Strategy], str]":
    """Return the strategies that run, and which of them ratios are to, named as results do."""
    from zsemu.guest import strategies
    from zsemu.kernel.strategy import strategy
    from zsemu.runs.request import label

    chosen = [strategy(name) for name in names or strategies.names()]
    labels = label(chosen)
    if relative_to in labels:
        return labels, relative_to
    base = strategy(relative_to)
    if base not in chosen:
        chosen.insert(0, base)
    labels = label(chosen)
    # Of two files of the same content only one has a name.
    same = [name for name, one in labels.items() if one == base or one.digest == base.digest]
    return labels, same[0]


def _show(
    format: Format,
    count: Count | None,
    *,
    details: bool,
    split: bool,
    break_even: bool,
    misses: bool,
) -> "Callable[[Document, str], None]":
    """Return what prints results and ratios to a strategy; ZsemuError if it could not be."""
    if break_even:
        if count or split or format not in _AT_A_GLANCE:
            raise ZsemuError(
                "--break-even: a table of its own: leave --count, --regions, csv and json out"
            )
        return lambda document, base: _show_break_even(document, base, format, details=details)
    details |= split
    if count and (details or format not in _AT_A_GLANCE):
        raise ZsemuError(f"--count {count}: of the table at a glance alone: leave one of them out")
    if format not in _AT_A_GLANCE:
        return lambda document, base: _show_for_programs(document, format, details=details)
    if details:
        return lambda document, base: _show_details(document, base, format, split=split)
    if misses and not count:
        return lambda document, base: _show_misses(document, base, format)
    return lambda document, base: _show_glance(document, base, format, count or Count.BYTES)


def _show_glance(document: "Document", base: str, format: Format, count: Count) -> None:
    """Print the results at a glance."""
    from zsemu.reports import glance_text
    from zsemu.reports.matrix import Matrix

    matrix = Matrix(document, base)
    if format == Format.MARKDOWN:
        emit(glance_text.markdown(matrix, count=count))
    else:
        emit(glance_text.text(matrix, count=count, width=width()))


def _show_break_even(document: "Document", base: str, format: Format, *, details: bool) -> None:
    """Print at which price of a TLB invalidate strategies tie."""
    from zsemu.reports import break_even_text
    from zsemu.reports.matrix import Matrix

    matrix = Matrix(document, base)
    if format == Format.MARKDOWN:
        emit(break_even_text.markdown(matrix, details=details))
    else:
        emit(break_even_text.text(matrix, details=details, width=width()))


def _show_misses(document: "Document", base: str, format: Format) -> None:
    """Print what missed in a model of caches."""
    from zsemu.reports import cache_text
    from zsemu.reports.matrix import Matrix

    matrix = Matrix(document, base)
    if format == Format.MARKDOWN:
        emit(cache_text.markdown(matrix))
    else:
        emit(cache_text.text(matrix, width=width()))


def _show_details(document: "Document", base: str, format: Format, *, split: bool) -> None:
    """Print every figure, with all that must stand beside it."""
    from zsemu.reports import details_text

    if format == Format.MARKDOWN:
        emit(details_text.markdown(document, relative_to=base, split=split))
    else:
        emit(details_text.text(document, relative_to=base, width=width(), split=split))


def _show_for_programs(document: "Document", format: Format, *, details: bool) -> None:
    """Print the results as CSV or JSON, and on stderr what must stand beside them."""
    from zsemu.reports import notes
    from zsemu.reports.details_text import comma_separated
    from zsemu.results.document import dumps

    emit(dumps(document) if format == Format.JSON else comma_separated(document))
    note((notes.in_full if details else notes.in_short)(document, width=width()))


def _show_diff(found: "Diff", format: Format) -> None:
    """Print what moved since the baseline: on stderr, where stdout is for a program."""
    from zsemu.reports.diff_text import text

    if format in (Format.CSV, Format.JSON):
        sys.stderr.write(text(found, everything=False))
    else:
        show(found, DiffFormat.MARKDOWN if format == Format.MARKDOWN else DiffFormat.TEXT)
