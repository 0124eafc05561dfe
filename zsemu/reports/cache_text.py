# SPDX-License-Identifier: GPL-2.0-only
"""Write what missed in a model of caches at a glance: strategies by architectures."""

from typing import Final

from zsemu.counts import NOT_CYCLES
from zsemu.reports.cache_tables import L1, L2, MODEL
from zsemu.reports.glance_text import (
    Cell,
    Glance,
    integrity_lines,
    tables_markdown,
    tables_text,
)
from zsemu.reports.matrix import SCOPE_NAMES, WHOLE, Matrix, Measure
from zsemu.reports.reproduce import provenance_in_short

NOTES: Final = (
    f"The model is {MODEL}",
    "Each map has a record and a caller's buffer of its own, which were not used before it.",
)
"""what must stand beside the tables"""
_LABELS: Final = ("L1", "L2")
_NONE: Final = "-"
_MORE: Final = "More: --details (by who accesses, write-backs, estimates), --json FILE."


def _column(matrix: Matrix, scope: str, arch: str) -> dict[str, Cell]:
    """Return the cells of an architecture, by strategy."""
    measures = [Measure(count, scope, WHOLE) for count in (L1, L2)]
    least = [matrix.least(measure, arch, matrix.strategies) for measure in measures]
    cells = {}
    for name in matrix.strategies:
        means = [matrix.figure(measure, arch, name) for measure in measures]
        cells[name] = Cell(
            tuple(_NONE if mean is None else f"{mean:.1f}" for mean in means),
            tuple(name in best for best in least),
            any((one.arch, one.strategy) == (arch, name) for one in matrix.broken),
        )
    return cells


def tables(matrix: Matrix) -> list[Glance]:
    """Return a table of misses per map for all maps, and one for spanning maps if there are any."""
    found = []
    for scope in [one for one in ("total", "spanning") if one in matrix.distinct_scopes]:
        columns = [_column(matrix, scope, arch) for arch in matrix.archs]
        rows = {name: [column[name] for column in columns] for name in matrix.strategies}
        title = f"misses of {WHOLE}, mean per map, {SCOPE_NAMES[scope]}"
        found.append(Glance(title, _LABELS, matrix.archs, rows, False))
    return found


def _below(matrix: Matrix, mark: str) -> list[str]:
    return [
        *integrity_lines(matrix),
        f"{mark}: fewest of its column. L1, L2: lines that were not in that level of"
        f" {matrix.document.provenance.cache}.",
        *NOTES,
    ]


def _made_by(matrix: Matrix) -> list[str]:
    return [provenance_in_short(matrix.document), NOT_CYCLES, _MORE]


def text(matrix: Matrix, *, width: int) -> str:
    """Return the tables and what stands around them, as text."""
    return tables_text(matrix, tables(matrix), _below(matrix, "*"), _made_by(matrix), width)


def markdown(matrix: Matrix) -> str:
    """Return what text() does as GitHub's Markdown."""
    return tables_markdown(matrix, tables(matrix), _below(matrix, "bold"), _made_by(matrix))
