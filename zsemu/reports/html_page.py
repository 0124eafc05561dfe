# SPDX-License-Identifier: GPL-2.0-only
"""Make the report: one HTML file that needs no other file, no script and no network.

The same input gives the same bytes: the page holds no times and no random names.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from zsemu.counts import LIMITS, NOT_CYCLES
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.strategies import strategy
from zsemu.replay.spanning_costs import MODES
from zsemu.reports import break_even, break_even_text, cache_text, charts, notes, plot_files
from zsemu.reports.findings import COUNTS, Comparison, crossings_of, findings, told
from zsemu.reports.heat_table import heat_table
from zsemu.reports.implied_costs import implied
from zsemu.reports.invalidate_costs import CLOCKS, INVALIDATE_COSTS, RATES
from zsemu.reports.kernel_text import other_maps
from zsemu.reports.matrix import INSTRUCTIONS, SCOPE_NAMES, USES, Matrix, Measure
from zsemu.reports.panels import times
from zsemu.reports.property_table import Measured
from zsemu.reports.property_table import table as property_table
from zsemu.reports.published import CAVEAT, PUBLISHED, Published
from zsemu.reports.reproduce import (
    check_command,
    command,
    digest,
    loop_commands,
    needs,
    provenance,
    race_command,
)
from zsemu.reports.tables import tables, trouble
from zsemu.reports.throughput_table import throughput_table
from zsemu.results import throughput
from zsemu.results.document import Document
from zsemu.results.limits import BYTES
from zsemu.results.throughput import Throughput

_TEMPLATE: Final = "report.html"
_PROPERTIES: Final = "properties.json"
_RACE: Final = "race.json"


@dataclass(frozen=True)
class Chapter:
    """A part of the page to which its contents lead."""

    name: str
    """of its anchor, and of its template in templates/chapters"""
    title: str
    folded: bool = False
    """whether only the title shows until a reader, or a link, unfolds it"""
    needs: str = ""
    """the value that the template gets and without which there is nothing to show"""


OF_RUN: Final = (
    Chapter("violations", "Violations", folded=True, needs="violations"),
    Chapter("matrix", "The matrix"),
    Chapter("findings", "Other findings", folded=True),
    Chapter("fewest", "Fewest, by every measure", folded=True, needs="comparisons"),
    Chapter("boundary", "Cost by where the page ends", needs="boundary"),
    Chapter("break-even", "Break-even: what a TLB invalidate may cost", needs="break_even"),
    Chapter("caches", "Caches: what misses in a model", needs="misses"),
    Chapter("regions", "Traffic by region", needs="regions"),
    Chapter("strategies", "The strategies", folded=True),
    Chapter("figures", "All figures", folded=True),
    Chapter("definitions", "Definitions", folded=True),
    Chapter("provenance", "What made these figures", folded=True),
)
"""the chapters of each run, in their order"""
OF_PAGE: Final = (
    Chapter("properties", "Properties", needs="properties"),
    Chapter("locks", "Locks that two CPUs need", needs="locks"),
    Chapter("throughput", "Inner loops, as llvm-mca sees them", needs="throughput"),
    Chapter("published", "Published figures beside the counts", needs="published"),
    Chapter("limits", "Limits", needs="limits"),
    Chapter("this-report", "How to make this report", needs="commands"),
)
"""the chapters behind all runs"""


def html(
    runs: Sequence[Matrix],
    measured: Measured | None = None,
    loops: Throughput | None = None,
    raced: Measured | None = None,
) -> str:
    """Return the page of some documents.

    ``measured`` are the properties that a check measured, ``loops`` what llvm-mca said, and
    ``raced`` the locks that strategies need by a race.
    """
    environment = Environment(
        loader=PackageLoader("zsemu.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["groupby_in_order"] = lambda rows, name: groupby(rows, attrgetter(name))
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    values = {
        "runs": [_run(run, number) for number, run in enumerate(runs, 1)],
        "properties": property_table(measured.properties) if measured else None,
        "checked_by": measured.provenance if measured else "",
        "throughput": throughput_table(loops) if loops else None,
        "llvm_mca": loops.llvm_mca if loops else "",
        "throughput_definition": throughput.DEFINITION,
        "throughput_limits": throughput.LIMITS,
        "locks": property_table(raced.properties) if raced else None,
        "raced_by": raced.provenance if raced else "",
        "published": [_published(one, runs) for one in PUBLISHED],
        "invalidate_costs": INVALIDATE_COSTS,
        "clocks": CLOCKS,
        "bytes_per_cycle": RATES[BYTES],
        "caveat": CAVEAT,
        "not_cycles": NOT_CYCLES,
        "limits": LIMITS.removeprefix("Limits: "),
        "commands": list(_commands(runs, measured, loops, raced)),
    }
    return environment.get_template(_TEMPLATE).render(
        values, chapters=_with_content(OF_PAGE, values)
    )


def _with_content(chapters: Sequence[Chapter], values: dict[str, Any]) -> list[Chapter]:
    return [one for one in chapters if not one.needs or values[one.needs]]


def _commands(
    runs: Sequence[Matrix],
    measured: Measured | None,
    loops: Throughput | None,
    raced: Measured | None,
) -> Iterator[str]:
    """Yield the commands that make this page from the files of the results."""
    given = [f"{run.name}.json" for run in runs]
    if measured:
        yield check_command(measured.properties, _PROPERTIES)
        given += ["--properties", _PROPERTIES]
    for file, made_by in (loop_commands(loops) if loops else {}).items():
        yield made_by
        given += ["--mca", file]
    if raced:
        yield race_command(raced.properties, _RACE)
        given += ["--race", _RACE]
    yield shlex.join(["zsemu", "report", *given])


def _run(matrix: Matrix, number: int) -> dict[str, Any]:
    document = matrix.document
    found = findings(matrix)
    by_scope = [
        (
            SCOPE_NAMES[scope],
            [heat_table(matrix, Measure(c, scope, u)) for u in USES for c in COUNTS],
        )
        for scope in matrix.scopes
    ]
    values = {
        "id": f"run-{number}",
        "name": matrix.name,
        "heading": notes.heading(document),
        "archs": matrix.archs,
        "base": matrix.base,
        "found": found,
        "ratios": [_figure(plot) for plot in plot_files.ratio_plots(matrix, BYTES)],
        "other_maps": other_maps(document),
        "instructions": [_figure(plot) for plot in plot_files.ratio_plots(matrix, INSTRUCTIONS)],
        "strategies": [(name, _summary(document, name)) for name in matrix.strategies],
        "comparisons": [_comparison(matrix, one) for one in found.comparisons],
        "by_scope": by_scope,
        "boundary": [_figure(plot) for plot in plot_files.cost_plots(matrix)],
        "crossings": list(_crossings(matrix)),
        "break_even": [
            table
            for scope in break_even.scopes(matrix)
            for table in break_even_text.tables(matrix, scope)
        ],
        "cache": document.provenance.cache,
        "misses": cache_text.tables(matrix) if document.provenance.cache else [],
        "cache_notes": cache_text.NOTES,
        "prices": break_even_text.definitions(matrix),
        "price_plots": [_figure(plot) for plot in plot_files.break_even_plots(matrix)],
        "implied": implied(matrix),
        "regions": [_figure(plot) for plot in plot_files.traffic_plots(matrix)],
        "tables": tables(document, matrix.base),
        "trouble": trouble,
        "violations": notes.violations(document),
        "definitions": notes.definitions(document, matrix.base, split=True),
        "provenance": provenance(document),
        "needs": needs(document),
        "command": command(document, matrix.base, f"{matrix.name}.json"),
        "digest": digest(document),
    }
    return {**values, "chapters": _with_content(OF_RUN, values)}


def _summary(document: Document, name: str) -> str:
    """Say what a strategy is. Of a user's own only that it is one: its file is not at hand."""
    if name in document.provenance.kernels:
        return "A kernel's own zsmalloc."
    return strategy(name).summary if name in strategy_names() else "A C file of the user's."


def _comparison(matrix: Matrix, one: Comparison) -> dict[str, str]:
    movers = one.of_movers if one.of_movers != one.of_all else ()
    return {
        "maps": SCOPE_NAMES[one.measure.scope],
        "what": f"{one.measure.count}, {one.measure.use}",
        "all": told(matrix, one.of_all),
        "movers": told(matrix, movers),
    }


# Where the page ends.


def _crossings(matrix: Matrix) -> Iterator[dict[str, Any]]:
    """Yield for each mode and count the pairs that cross, with the shares by architecture."""
    for mode in MODES:
        for count in COUNTS:
            pairs: dict[tuple[str, str], dict[str, list[str]]] = {}
            for arch in matrix.archs:
                for one in crossings_of(matrix, arch, mode, count):
                    shares = pairs.setdefault((one.below, one.above), {})
                    shares.setdefault(arch, []).append(f"{100 * one.share:.0f} %")
            if pairs:
                rows = [
                    (below, above, [", ".join(shares.get(arch, ())) for arch in matrix.archs])
                    for (below, above), shares in pairs.items()
                ]
                yield {"title": f"{mode}s, {count}", "rows": rows}


def _figure(plot: plot_files.Plot) -> Markup:
    """Return a plot as an element of the page, in the page's own colour of text."""
    svg = charts.svg(plot.chart).replace(charts.INK, "currentColor")
    # The picture takes the width of the page, not its own, and a screen reader reads one label.
    opening, rest = svg.split(">", 1)
    width, height = (opening.split(f' {side}="')[1].split('"')[0] for side in ("width", "height"))
    opening = opening.replace(f' width="{width}" height="{height}"', "")
    label = escape(f"{plot.title}: {plot.subtitle}; the figures are in the tables")
    return Markup(f'{opening} role="img" aria-label="{label}" style="max-width:{width}px">{rest}')


# What was published.


def _published(one: Published, runs: Sequence[Matrix]) -> dict[str, Any]:
    """Return a mail's figures, and the ratios of counts of the same strategies beside them."""
    beside = []
    for run in runs:
        scope = "spanning"
        for arch in one.archs:
            ratios = [
                run.ratio(Measure(count, scope, one.use), arch, one.one, one.other)
                for count in COUNTS
            ]
            if all(ratio is not None for ratio in ratios):
                counts = ", ".join(
                    f"{count} {times(ratio)}"
                    for count, ratio in zip(COUNTS, ratios, strict=True)
                    if ratio is not None
                )
                beside.append(f"{arch}, {run.name}: {counts}")
    return {
        "mail": one,
        "ratio": times(one.ratio) if one.ratio else "",
        "beside": beside,
    }
