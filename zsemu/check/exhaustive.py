# SPDX-License-Identifier: GPL-2.0-only
"""Make the trace that maps every slot of every size class in every mode.

All slots of a zspage hold objects with known content. So every object has neighbours on both sides,
whose bytes are judged when they are next read. No operation depends on another class: a failure in
one class can be shown with the operations of that class alone.
"""

from dataclasses import replace
from functools import cache

import numpy as np

from zsemu.replay.placed_trace import PAGE_ORDERS, PlacedTrace, place_in_memory
from zsemu.traces.operation import Operation
from zsemu.traces.trace import Metadata, Trace
from zsemu.zsmalloc.geometry import Geometry

_R, _W, _U = Operation.READ, Operation.WRITE, Operation.UPDATE
_FULL, _ODD, _MINIMAL, _END = range(4)
_OVER = (1, 2, 3, 5, 6, 7)
"""bytes that an object reaches over the end of a page: no multiple of a word"""

# Full, odd and minimal lengths in every mode, and what was stored is read, with what an update did
# not reach; at last the object is whole again.
_STEPS = (
    (_R, _FULL),
    (_U, _FULL),
    (_R, _FULL),
    (_U, _ODD),
    (_R, _FULL),
    (_W, _ODD),
    (_R, _ODD),
    (_U, _MINIMAL),
    (_R, _ODD),
    (_W, _MINIMAL),
    (_R, _MINIMAL),
    (_W, _FULL),
    (_R, _FULL),
)

# In a slot that spans: an object that ends with the page.
_STEPS_END = ((_W, _END), (_R, _END))

# On larger pages every access is long: each mode and length once, the first write of all included,
# which is of an odd length. So the first of each mode is, which is observed (zsemu.check.suites).
_STEPS_LARGE = (
    (_R, _ODD),
    (_U, _ODD),
    (_R, _ODD),
    (_W, _MINIMAL),
    (_U, _MINIMAL),
    (_R, _MINIMAL),
    (_W, _FULL),
    (_R, _FULL),
    (_U, _FULL),
    (_R, _FULL),
)


def _lengths(geometry: Geometry, class_index: int, slot: int) -> tuple[int, ...]:
    """Return the lengths that _FULL, _ODD, _MINIMAL and _END stand for in a slot."""
    header = int(geometry.headers[class_index])
    full = int(geometry.sizes[class_index]) - header
    slots = geometry.slots_of(class_index)
    end = geometry.page_size - int(slots.offset[slot]) - header
    odd = max(1, full // 2 | 1)
    if slots.spans[slot] and (class_index + slot) % 2:
        # Few bytes in the second page: half of all that spans, from class to class others.
        odd = min(full, end + _OVER[(class_index + slot) // 2 % len(_OVER)])
    return full, odd, 1, end


def _class_rows(geometry: Geometry, class_index: int, first: int) -> list[tuple[int, ...]]:
    """Return the rows (operation, object, length, cpu) of one class, objects from ``first`` on."""
    slots = geometry.slots_of(class_index)
    lengths = [_lengths(geometry, class_index, slot) for slot in range(len(slots))]
    full = lengths[0][_FULL]
    rows: list[tuple[int, ...]] = []
    number, large = len(slots), geometry.page_size > 4096
    around = {s + d for s in np.flatnonzero(slots.spans).tolist() for d in (-1, 0, 1)}
    for slot in range(number):
        rows.append((Operation.ALLOCATE, first + slot, full, slot % 2))
        rows.append((_W, first + slot, lengths[slot][_ODD] if large else full, slot % 2))
    # On larger pages, where every copy is long, only some objects end with the page.
    ends = set(np.flatnonzero(slots.spans)[:: 4 if large else 1].tolist())
    for slot in range(number):
        steps = _STEPS_LARGE if large else _STEPS
        for operation, which in (_STEPS_END if slot in ends else ()) + steps:
            rows.append((operation, first + slot, lengths[slot][which], len(rows) % 2))
    if large:
        return rows
    # Any order, for strategies that leave something displaced.
    order = np.random.default_rng(class_index).permutation(sorted(around)).tolist()
    rows += [(_R, first + slot, full, slot % 2) for slot in order * 2 if slot < number]
    # What is written in part after another object was mapped, for what that has left behind.
    rows += [(_W, first + slot, lengths[slot][_ODD], slot % 2) for slot in order if slot < number]
    # Free and allocate again: the free list's links and new headers.
    freed = [slot for slot in range(number) if slot % 3 == 1]
    rows += [(Operation.FREE, first + slot, full, 0) for slot in freed]
    rows += [(_R, first + slot, full, 1) for slot in range(number) if slot % 3 != 1][:64]
    again = first + number
    for index in range(len(freed)):
        rows.append((Operation.ALLOCATE, again + index, full, 1))
        rows.append((_W, again + index, full, 0))
    return rows


@cache
def exhaustive(geometry: Geometry, page_order: str = PAGE_ORDERS[0]) -> PlacedTrace:
    """Return the placed trace that maps every slot of every class in every mode."""
    rows: list[tuple[int, ...]] = []
    objects = 0
    for class_index in range(len(geometry.classes)):
        more = _class_rows(geometry, class_index, objects)
        objects = max(row[1] for row in more) + 1
        rows += more
    columns = np.array(rows, np.int64)
    time = np.arange(len(rows), dtype=np.int64)
    trace = Trace(
        f"exhaustive-{geometry.name}",
        Metadata("none", geometry.name, geometry.page_size, "made by zsemu check"),
        columns[:, 0].astype(np.uint8),
        columns[:, 1].astype(np.uint32),
        columns[:, 2].astype(np.uint32),
        columns[:, 3].astype(np.uint16),
        time,
        time,
    )
    return replace(place_in_memory(trace, geometry), page_order=page_order)
