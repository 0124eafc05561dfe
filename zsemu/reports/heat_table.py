# SPDX-License-Identifier: GPL-2.0-only
"""Lay out a matrix by one measure as a table of strategies by architectures, shaded by ratio."""

import math
from dataclasses import dataclass
from typing import Final

from zsemu.reports.matrix import Matrix, Measure
from zsemu.reports.panels import times
from zsemu.reports.tables import trouble
from zsemu.results.document import Record

_OCTAVES: Final = 4
"""how many times the ratio doubles, or halves, from the middle shade to the last one, at most"""


@dataclass(frozen=True)
class HeatCell:
    """One figure of a heat table, as text, and how strongly it is shaded."""

    figure: str
    ratio: str
    shade: int
    """0 to 100: 50 for the figure of the base, more for a larger figure"""
    least: bool
    """whether no strategy has a lower figure on this architecture"""
    trouble: str
    """why there is no figure; empty if there is one"""


@dataclass(frozen=True)
class HeatTable:
    """A matrix by one measure."""

    title: str
    rows: tuple[tuple[str, tuple[HeatCell, ...]], ...]
    """the name of each strategy, and its cells in the order of the matrix's architectures"""


def heat_table(matrix: Matrix, measure: Measure) -> HeatTable:
    """Return a matrix by one measure."""
    least = {arch: matrix.least(measure, arch, matrix.strategies) for arch in matrix.archs}
    ratios = {
        (arch, name): ratio
        for arch in matrix.archs
        for name in matrix.strategies
        if (ratio := matrix.ratio(measure, arch, name))
    }
    octaves = max([1.0, *(abs(math.log2(ratio)) for ratio in ratios.values())])
    rows = []
    for name in matrix.strategies:
        cells = []
        for arch in matrix.archs:
            figure, ratio = matrix.figure(measure, arch, name), ratios.get((arch, name))
            if figure is None:
                cells.append(HeatCell("", "", 0, False, _why(matrix.records.get((arch, name)))))
                continue
            shade = round(50 * (1 + math.log2(ratio) / min(octaves, _OCTAVES))) if ratio else 50
            cells.append(
                HeatCell(
                    measure.show(figure),
                    times(ratio) if ratio else "-",
                    min(max(shade, 0), 100),
                    name in least[arch],
                    "",
                )
            )
        rows.append((name, tuple(cells)))
    return HeatTable(f"{measure.count}, {measure.use}", tuple(rows))


def _why(record: Record | None) -> str:
    """Say why there is no figure."""
    if record is None:
        return "not run"
    return "no such maps" if record.intact else trouble(record)
