# SPDX-License-Identifier: GPL-2.0-only
"""Write the report as short Markdown, for the summary of a CI job."""

from collections.abc import Iterator, Sequence

from zsemu.counts import LIMITS
from zsemu.reports import notes
from zsemu.reports.findings import COUNTS, findings
from zsemu.reports.glance_text import markdown_glance
from zsemu.reports.heat_table import HeatTable, heat_table
from zsemu.reports.markdown import escaped, markdown_table
from zsemu.reports.matrix import SCOPE_NAMES, WHOLE, Matrix, Measure
from zsemu.reports.reproduce import command, needs
from zsemu.reports.throughput_table import throughput_table
from zsemu.results.limits import BYTES
from zsemu.results.throughput import DEFINITION, Throughput
from zsemu.results.throughput import LIMITS as THROUGHPUT_LIMITS


def markdown(runs: Sequence[Matrix], loops: Throughput | None = None) -> str:
    """Return the findings, the matrix with the access, violations, limits, how to reproduce it.

    Also what llvm-mca said of inner ``loops``, if it was asked.
    """
    lines = [line for run in runs for line in _run(run)]
    if loops:
        lines += _loops(loops)
    return "\n".join([*lines, escaped(LIMITS), ""])


def _run(matrix: Matrix) -> Iterator[str]:
    found, document = findings(matrix), matrix.document
    yield from [f"## {escaped(matrix.name)}", "", escaped(notes.heading(document)), ""]
    yield from [f"**{escaped(found.headline)}**", ""]
    yield from [*markdown_glance(matrix, BYTES), ""]
    if violations := notes.violations(document):
        listed = ["```", *(line.replace("```", "'''") for line in violations), "```"]
        yield from _folded("Violations", listed)
    yield from _folded("Other findings", [f"- {escaped(point)}" for point in found.points])
    yield from _folded("The matrix", [*_tables(matrix)])
    yield from _folded("To reproduce", [*_reproduction(matrix)])


def _loops(found: Throughput) -> list[str]:
    shown = throughput_table(found)
    above = f"Bytes per cycle, by llvm-mca {found.llvm_mca}. {DEFINITION}"
    cells = [[escaped(cell) for cell in row] for row in shown.cells()]
    below = [f"- {escaped(line)}" for line in (*shown.unmodelled, THROUGHPUT_LIMITS)]
    table = [escaped(above), "", *markdown_table(cells), "", *below]
    return _folded("Inner loops, as llvm-mca sees them", table)


def _folded(title: str, lines: Sequence[str]) -> list[str]:
    """Return lines of which only the title shows until a reader unfolds them."""
    # GitHub reads what stands behind an empty line as Markdown again.
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>", ""]


def _tables(matrix: Matrix) -> Iterator[str]:
    yield f"Means per map, access and unmap; ratios are to {escaped(matrix.base)}."
    for scope in matrix.scopes:
        if scope in ("total", "spanning"):
            for count in COUNTS:
                yield from _table(heat_table(matrix, Measure(count, scope, WHOLE)), matrix, scope)


def _table(shown: HeatTable, matrix: Matrix, scope: str) -> Iterator[str]:
    rows = [["strategy", *map(escaped, matrix.archs)]]
    for name, cells in shown.rows:
        figures = [cell.trouble or f"{cell.figure} ({cell.ratio})" for cell in cells]
        rows.append([escaped(name), *figures])
    yield from ["", f"### {SCOPE_NAMES[scope].capitalize()}: {shown.title}", ""]
    yield from markdown_table(rows)


def _reproduction(matrix: Matrix) -> Iterator[str]:
    yield from [f"- {escaped(line)}" for line in needs(matrix.document)]
    yield from ["", "```", command(matrix.document, matrix.base, f"{matrix.name}.json"), "```"]
