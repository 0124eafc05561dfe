# SPDX-License-Identifier: GPL-2.0-only
"""Write what missed in a model of caches at a glance: strategies by architectures."""

from typing import Final

from zsemu.counts import NOT_CYCLES, PHASES
from zsemu.reports.cache_tables import L1, L2, MODEL
from zsemu.reports.glance_text import Cell, Glance, blocks, integrity_lines, markdown_blocks
from zsemu.reports.markdown import escaped
from zsemu.reports.matrix import SCOPE_NAMES, Matrix
from zsemu.reports.notes import MOST, heading, wrapped
from zsemu.reports.reproduce import provenance_in_short
from zsemu.results.document import Record

NOTES: Final = (
    f"The model is {MODEL}",
    "Each map has a record and a caller's buffer of its own, which were not used before it.",
)
"""what must stand beside the tables"""
_LABELS: Final = ("L1", "L2")
_NONE: Final = "-"
_MORE: Final = "More: --details (by who accesses, write-backs, estimates), --json FILE."


def _shown(record: Record | None, scope: str) -> tuple[str, ...]:
    if record is None or not record.has_cache or not record.scope_maps[scope]:
        return (_NONE, _NONE)
    return tuple(f"{record.mean(count, scope, PHASES):.1f}" for count in (L1, L2))


def tables(matrix: Matrix) -> list[Glance]:
    """Return a table of misses per map for all maps, and one for spanning maps if there are any."""
    found = []
    for scope in [one for one in ("total", "spanning") if one in matrix.distinct_scopes]:
        means = {
            (arch, name): _shown(matrix.records.get((arch, name)), scope)
            for arch in matrix.archs
            for name in matrix.strategies
        }
        least = {
            (arch, place): min(
                (
                    float(means[arch, name][place])
                    for name in matrix.strategies
                    if means[arch, name][place] != _NONE
                ),
                default=None,
            )
            for arch in matrix.archs
            for place in range(len(_LABELS))
        }
        broken = {(one.arch, one.strategy) for one in matrix.broken}
        rows = {
            name: [
                Cell(
                    means[arch, name],
                    tuple(
                        figure != _NONE and float(figure) == least[arch, place]
                        for place, figure in enumerate(means[arch, name])
                    ),
                    (arch, name) in broken,
                )
                for arch in matrix.archs
            ]
            for name in matrix.strategies
        }
        title = f"misses of map + access + unmap, mean per map, {SCOPE_NAMES[scope]}"
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
    lines = [wrapped([heading(matrix.document)], width), ""]
    for one in tables(matrix):
        lines += [one.title, *blocks(one, width)]
    below = wrapped(_below(matrix, "*"), width)
    return "\n".join([*lines, below, wrapped(_made_by(matrix), width, most=MOST), ""])


def markdown(matrix: Matrix) -> str:
    """Return what text() does as GitHub's Markdown."""
    lines = [escaped(heading(matrix.document)), ""]
    for one in tables(matrix):
        lines += [*markdown_blocks(one), ""]
    below = [*_below(matrix, "bold"), *_made_by(matrix)]
    return "\n".join([*lines, *(f"- {escaped(line)}" for line in below), ""])
