# SPDX-License-Identifier: GPL-2.0-only
"""Choose the slots in which an object is mapped while something else happens beside it.

Classes are small, since each word that two CPUs share multiplies the schedules, but large enough
that every branch of the primitives that copy and exchange is taken, but for exchanges of less than
a word, which no slot needs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from zsemu.zsmalloc.geometry import Geometry

_BLOCK: Final = 64
"""bytes that the primitives move in one round of their loop, on every target"""


@dataclass(frozen=True)
class Shape:
    """Where an object lies."""

    name: str
    class_index: int
    slot: int
    large: bool = False
    """more than half a page: only what concerns its neighbours is tried"""
    edge: bool = False
    """as ``whole``, but for what lies beside it: what concerns itself alone is not tried"""


def _spanning(geometry: Geometry) -> Iterable[tuple[int, int, int, int]]:
    """Yield spanning slots that have neighbours: class, slot, bytes in either page."""
    for index, one in enumerate(geometry.classes):
        slots = geometry.slots_of(index)
        for slot in np.flatnonzero(slots.spans[:-1]).tolist():
            first = geometry.page_size - int(slots.offset[slot])
            yield index, slot, first, one.size - first


def _both_span(geometry: Geometry) -> tuple[int, int]:
    """Return class and first slot of two neighbours that span, with few bytes to exchange."""
    found = []
    for index, slot, first, _ in _spanning(geometry):
        slots = geometry.slots_of(index)
        if slots.spans[slot + 1] and slot + 2 < len(slots):
            behind = geometry.page_size - int(slots.offset[slot + 1])
            found.append((first + behind, index, slot))
    _, index, slot = min(found)
    return index, slot


def shapes(geometry: Geometry) -> list[Shape]:
    """Return the shapes of a geometry, those that span first."""
    every = list(_spanning(geometry))
    # Slots of which more than the header lies in page 1, of the smallest class that has any.
    small = [
        one
        for one in every
        if one[2] > geometry.header + 4 and one[2] + one[3] >= geometry.header + _BLOCK
    ]
    index = small[0][0]
    own = [one for one in small if one[0] == index]
    tail, head = min(own, key=lambda one: one[2]), max(own, key=lambda one: one[2])
    block = next(one for one in every if min(one[2] - geometry.header, one[3]) >= _BLOCK)
    both, first = _both_span(geometry)
    last = int(geometry.objects[index]) - 1
    return [
        Shape("spans, less in page 1", index, tail[1]),
        Shape("spans, less in page 2", index, head[1]),
        Shape("spans, a block in both", block[0], block[1]),
        Shape("spans, slot behind spans", both, first, large=True),
        Shape("spans, slot before spans", both, first + 1, large=True),
        Shape("whole, slot behind spans", index, tail[1] - 1, edge=True),
        Shape("whole, slot before spans", index, tail[1] + 1, edge=True),
        Shape("whole", index, tail[1] + 4),
        Shape("first slot", index, 0, edge=True),
        Shape("last slot", index, last, edge=True),
    ]
