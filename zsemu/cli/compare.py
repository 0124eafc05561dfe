# SPDX-License-Identifier: GPL-2.0-only
"""zsemu compare: the matrix of architectures and strategies, as tables and as JSON."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from zsemu.cli.common import (
    ARCHS,
    CC,
    GEOMETRY,
    JOBS,
    OPERATIONS,
    STRATEGIES,
    TRACE,
    complete_strategy,
    emit,
    note,
    values,
    warn,
    width,
)
from zsemu.cli.diff import LIMIT, REGRESSION, DiffFormat, judge, show
from zsemu.errors import ZsemuError
from zsemu.paths import DEFAULT_TRACE

if TYPE_CHECKING:
    from zsemu.guest.strategies import Strategy
    from zsemu.results.document import Document

VIOLATION: Final = 1


class Format(StrEnum):
    """How the tables are written."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


def compare(
    arch: Annotated[list[str] | None, ARCHS] = None,
    strategy: Annotated[list[str] | None, STRATEGIES] = None,
    trace: Annotated[str, TRACE] = DEFAULT_TRACE,
    geometry: Annotated[str | None, GEOMETRY] = None,
    page_size: Annotated[int, typer.Option(metavar="BYTES", help="4096, 16384 or 65536.")] = 4096,
    operations: Annotated[int | None, OPERATIONS] = None,
    regions: Annotated[
        bool,
        typer.Option(
            "--regions",
            help="Show instructions by class, cache lines, and bytes by region of memory, too;"
            " they are always counted: csv and json hold them anyway.",
        ),
    ] = False,
    cc: Annotated[str, CC] = "zig",
    relative_to: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="The strategy that ratios are to; it always runs, too.",
            autocompletion=complete_strategy,
        ),
    ] = "copy",
    jobs: Annotated[int | None, JOBS] = None,
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the results there, with all counts."),
    ] = None,
    save_baseline: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Keep the results under this name: .zsemu/NAME.json."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Show what moved since, too, as zsemu diff does."),
    ] = None,
    limit: Annotated[list[str] | None, LIMIT] = None,
    format: Annotated[
        Format, typer.Option("--format", help="Of what is printed; csv and json hold all counts.")
    ] = Format.TABLE,
) -> None:
    """Replay a trace through every strategy on every architecture.

    Every object is proven intact, and what each way of mapping it costs is counted. Options that
    take several values may be repeated, or given several with commas between them.

    Exit status: 0 all intact, 1 some strategy has violations, 2 bad use or input, 3 a regression
    against the baseline.

    Example: zsemu compare --arch arm --strategy pgtable,./mine.c --json out.json
    """
    from zsemu.cli.progress import bar
    from zsemu.guest import targets
    from zsemu.reports.diff_text import text
    from zsemu.results import baselines
    from zsemu.results.diff import ensure_comparable
    from zsemu.results.document import Document, save
    from zsemu.runs import doctor
    from zsemu.runs.compare import run
    from zsemu.runs.request import check, provenance, request, warnings

    if json and (json.is_dir() or not json.absolute().parent.is_dir()):
        raise ZsemuError(f"{json}: no place for a file: give --json one in a directory that exists")
    if limit and not baseline:
        raise ZsemuError("--limit is about what moved: name a --baseline")
    old = baselines.read(baseline) if baseline else None
    if save_baseline:
        baselines.path(save_baseline)
    labels, base = _strategies(values(strategy), relative_to)
    asked = request(
        archs=values(arch),
        strategies=labels,
        trace=trace,
        operations=operations,
        geometry=geometry,
        page_size=page_size,
        cc=cc,
    )
    check(asked)
    for line in warnings(asked):
        warn(line)
    if old:
        # Before it takes its time.
        ensure_comparable(old, Document(provenance(asked), ()))
    doctor.ensure(map(targets.target, asked.archs))
    with bar() as watch:
        document = run(asked, jobs=jobs or os.cpu_count() or 1, watch=watch)
    if json:
        save(document, json)
    _show(document, base, format, split=regions)
    found = judge(old, document, limit) if old else None
    if found and format in (Format.CSV, Format.JSON):
        sys.stderr.write(text(found, everything=False))
    elif found:
        show(found, DiffFormat.MARKDOWN if format == Format.MARKDOWN else DiffFormat.TEXT)
    if save_baseline:
        baselines.write(document, save_baseline)
    if not document.intact:
        raise typer.Exit(VIOLATION)
    if found and found.regressions:
        raise typer.Exit(REGRESSION)


def _strategies(names: list[str], relative_to: str) -> "tuple[dict[str, Strategy], str]":
    """Return the strategies that run, and which of them ratios are to, named as results do."""
    from zsemu.guest import strategies
    from zsemu.runs.request import label

    chosen = [strategies.strategy(name) for name in names or strategies.names()]
    base = strategies.strategy(relative_to)
    if base not in chosen:
        chosen.insert(0, base)
    labels = label(chosen)
    # Of two files of the same content only one has a name.
    same = [name for name, one in labels.items() if one == base or one.digest == base.digest]
    return labels, same[0]


def _show(document: "Document", base: str, format: Format, *, split: bool) -> None:
    """Print the results, and what must stand beside them: on stderr, where that is no table."""
    from zsemu.reports import tables
    from zsemu.results.document import dumps

    if format == Format.TABLE:
        emit(tables.text(document, relative_to=base, width=width(), split=split))
    elif format == Format.MARKDOWN:
        emit(tables.markdown(document, relative_to=base, split=split))
    else:
        emit(dumps(document) if format == Format.JSON else tables.comma_separated(document))
        note(tables.notes(document, width=width()))
