# SPDX-License-Identifier: GPL-2.0-only
"""Compute at which price of a TLB invalidate two strategies tie.

Of two strategies one has more TLB invalidates per map. The price of an invalidate is what it costs
beyond its own instructions and the bytes of its page-table entries, which are counted already, in
units of the other count::

    price = (count of the one with fewer - count of the one with more)
            / (invalidates of the one with more - invalidates of the one with fewer)

All are sums over the same maps, of map + access + unmap: strategies leave different work to the
access. Below that price the strategy with more invalidates is ahead. If the price is negative, the
other is ahead at any price.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from zsemu.guest.targets import known, target
from zsemu.reports.matrix import INSTRUCTIONS, USES, WHOLE, Matrix
from zsemu.results.document import Record
from zsemu.results.limits import BYTES, value

COUNTS: Final = (INSTRUCTIONS, BYTES)
INVALIDATES: Final = "tlb_invalidates"
STEP: Final = 256
"""bytes of the slot: classes within such a step are one point of a curve"""
_RARE: Final = 0.001
"""A step with less than this share of the maps is left out: what it costs may be chance."""


def price(more: Record, fewer: Record, count: str, scope: str, use: str = WHOLE) -> float | None:
    """Return the price at which two strategies of one architecture tie.

    ``count`` is one of COUNTS, ``use`` one of matrix.USES. None if a cell is not intact, if the two
    have not the same maps or none, or if ``more`` has no more invalidates than ``fewer``.
    """
    if not (more.intact and fewer.intact) or not more.scope_maps[scope]:
        return None
    if more.scope_maps[scope] != fewer.scope_maps[scope]:
        return None
    phases = USES[use]
    extra = more.sum(INVALIDATES, scope, phases) - fewer.sum(INVALIDATES, scope, phases)
    if extra <= 0:
        return None
    return (value(fewer, count, phases, scope) - value(more, count, phases, scope)) / extra


def scopes(matrix: Matrix) -> list[str]:
    """Return the scopes of spanning maps that a document tells apart."""
    there = [scope for scope in matrix.scopes if scope != "total"]
    if len(there) == 2:  # All spanning maps are of one mode.
        return there[1:]
    return there


def windows(matrix: Matrix) -> list[str]:
    """Return the strategies that invalidate TLB entries for spanning maps, on some architecture."""
    return [
        name
        for name in matrix.strategies
        if any(
            one.strategy == name and one.scope_maps["spanning"] and one.sum(INVALIDATES, "spanning")
            for one in matrix.intact
        )
    ]


def of_cell(
    matrix: Matrix, arch: str, more: str, fewer: str, count: str, scope: str, use: str = WHOLE
) -> float | None:
    """Return price() of two cells; None also if one does not exist."""
    one, other = matrix.records.get((arch, more)), matrix.records.get((arch, fewer))
    return price(one, other, count, scope, use) if one and other else None


@dataclass(frozen=True)
class PriceCurve:
    """The price at which a pair ties: an entry for each step of slot sizes that is not rare."""

    size: tuple[float, ...]
    """mean bytes of the slots, ascending"""
    price: tuple[float, ...]


def unit(arch: str) -> str:
    """Return the count in which prices are drawn: bytes where one instruction moves any number."""
    repeats = arch in known() and target(arch).string_copy
    return BYTES if repeats else INSTRUCTIONS


def price_curve(more: Record, fewer: Record, count: str, mode: str) -> PriceCurve | None:
    """Return the curve of a pair; None where price() is None.

    Invalidates are not counted by size: each map of the mode, one of spanning_costs.MODES, is taken
    to have the mean number.
    """
    scope = f"spanning_{mode}"
    if price(more, fewer, count, scope) is None or not (more.by_shape and fewer.by_shape):
        return None
    rows = [
        {name: np.asarray(each, float) for name, each in record.by_shape[mode].items()}
        for record in (more, fewer)
        if record.by_shape
    ]
    same = ("class_size", "head", "maps")
    if any(rows[0][name].tolist() != rows[1][name].tolist() for name in same):
        return None
    names = ("bytes_loaded", "bytes_stored") if count == BYTES else (count,)
    costs = [
        sum(row[f"{part}{name}"] for part in ("", "access_") for name in names) for row in rows
    ]
    size, maps = rows[0]["class_size"], rows[0]["maps"]
    if not len(size):
        return None
    extra = more.mean(INVALIDATES, scope) - fewer.mean(INVALIDATES, scope)
    step = ((size - 1) // STEP).astype(np.int64)
    sums = np.stack([np.bincount(step, each) for each in (maps, maps * size, costs[1] - costs[0])])
    number, sizes, gain = sums[:, sums[0] >= max(1.0, _RARE * maps.sum())]
    return PriceCurve(tuple((sizes / number).tolist()), tuple((gain / (number * extra)).tolist()))
