# SPDX-License-Identifier: GPL-2.0-only
"""Compute what map and unmap cost by the share of the slot that lies in the first page.

What a strategy copies or exchanges grows with the slot. Costs are therefore per byte of the slot,
so that all size classes can be taken together and only the place of the page's end matters. Shares
are gathered in steps of 1/16, and each step stands at the mean of its shares. That is few enough
points to draw, and fine enough to see where the curves of two strategies cross.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Final

import numpy as np

from zsemu.results.document import Record
from zsemu.results.limits import BYTES

STEPS: Final = 16
_RARE: Final = 0.001
"""A step with less than this share of the maps is left out: what it costs may be chance."""
_SAME: Final = 0.02
"""Strategies whose costs differ by less than this share of the larger one do not cross there."""
_MOST: Final = 2
"""Curves that cross more often differ by something else than where the page ends."""


@dataclass(frozen=True)
class Curve:
    """What one strategy costs: an entry for each step that is not rare."""

    share: tuple[float, ...]
    """of the slot in the first page, between 0 and 1, ascending"""
    cost: tuple[float, ...]
    """instructions, or bytes loaded and stored, per byte of the slots"""
    maps: tuple[int, ...]
    """how many maps the step has"""


@dataclass(frozen=True)
class Crossing:
    """Where two curves cross."""

    below: str
    """the strategy that costs less while less of the slot is in the first page"""
    above: str
    """the strategy that costs less once more than that is in the first page"""
    share: float
    cost: float
    """of both there, in the unit of the curves"""


def cost_curves(records: Iterable[Record], mode: str, count: str) -> dict[str, Curve]:
    """Return the curve of each strategy whose record is intact.

    The records are of one architecture. ``mode`` is one of spanning_costs.MODES; ``count`` is
    ``instructions`` or ``bytes``. The result is empty if no spanning object is mapped in this mode.
    """
    curves = {}
    for record in records:
        if record.by_shape is None or not record.by_shape[mode]["maps"]:
            continue
        columns = {name: np.asarray(each, float) for name, each in record.by_shape[mode].items()}
        size, head, maps = columns["class_size"], columns["head"], columns["maps"]
        names = ("bytes_loaded", "bytes_stored") if count == BYTES else (count,)
        cost = sum((columns[name] for name in names), np.zeros(len(size)))
        step = np.minimum(head * STEPS // size, STEPS - 1).astype(np.int64)
        sums = np.stack(
            [np.bincount(step, each, STEPS) for each in (maps * head, maps * size, cost, maps)]
        )
        in_first, in_all, costs, number = sums[:, sums[3] >= max(1.0, _RARE * maps.sum())]
        curves[record.strategy] = Curve(
            tuple((in_first / in_all).tolist()),
            tuple((costs / in_all).tolist()),
            tuple(number.astype(int).tolist()),
        )
    return curves


def crossings(curves: dict[str, Curve]) -> list[Crossing]:
    """Return where the curves of one architecture cross, from left to right.

    Only curves of the same maps can: a kernel's object may have size classes of its own.
    """
    every = []
    for one, two in combinations(curves, 2):
        if (curves[one].share, curves[one].maps) != (curves[two].share, curves[two].maps):
            continue
        crossed = _crossings(one, two, curves)
        if len(crossed) <= _MOST:
            every += crossed
    return sorted(every, key=lambda crossing: crossing.share)


def _crossings(one: str, two: str, curves: dict[str, Curve]) -> list[Crossing]:
    share = np.asarray(curves[one].share)
    costs = np.asarray(curves[one].cost), np.asarray(curves[two].cost)
    gap = costs[0] - costs[1]
    apart = np.flatnonzero(np.abs(gap) > _SAME * np.maximum(*costs))
    crossed = []
    for left, right in pairwise(apart.tolist()):
        if gap[left] * gap[right] > 0:
            continue
        # Between two steps that are apart there may be some that are not.
        at = next(i for i in range(left, right) if gap[i] * gap[i + 1] <= 0)
        part = gap[at] / (gap[at] - gap[at + 1])
        where, cost = (
            float(each[at] + part * (each[at + 1] - each[at])) for each in (share, costs[0])
        )
        below, above = (one, two) if gap[left] < 0 else (two, one)
        crossed.append(Crossing(below, above, where, cost))
    return crossed
