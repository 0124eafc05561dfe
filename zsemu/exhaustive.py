# SPDX-License-Identifier: GPL-2.0-only
"""Exhaustive geometry: every size class, every slot, every map mode, as one trace.

All slots of a zspage hold objects with known content, so every object has neighbours on both sides
whose bytes are judged when they are next read. Every class is on its own: a failure in one can be
shown with its operations alone.
"""

from dataclasses import replace
from functools import cache

import numpy as np

from zsemu.geometry import Geometry
from zsemu.trace import Metadata, Operation, Trace
from zsemu.work import PAGE_ORDERS, Work, whole

_R, _W, _U = Operation.READ, Operation.WRITE, Operation.UPDATE
_FULL, _ODD, _MINIMAL = range(3)

# Full, odd and minimal lengths in every mode, and what was stored is read; at last the object is
# whole again.
_STEPS = (
    (_R, _FULL),
    (_U, _FULL),
    (_R, _FULL),
    (_W, _ODD),
    (_R, _ODD),
    (_U, _ODD),
    (_R, _ODD),
    (_W, _MINIMAL),
    (_R, _MINIMAL),
    (_U, _MINIMAL),
    (_R, _MINIMAL),
    (_W, _FULL),
    (_R, _FULL),
)

# On larger pages every access is long: each mode and length once, the first write of all included.
_STEPS_LARGE = (
    (_R, _FULL),
    (_U, _FULL),
    (_W, _ODD),
    (_R, _ODD),
    (_U, _ODD),
    (_W, _MINIMAL),
    (_R, _MINIMAL),
    (_U, _MINIMAL),
    (_R, _MINIMAL),
)


def _class_rows(geometry: Geometry, class_index: int, first: int) -> list[tuple[int, ...]]:
    """Return the rows (operation, object, length, cpu) of one class, objects from ``first`` on."""
    size, header = int(geometry.sizes[class_index]), int(geometry.headers[class_index])
    full = size - header
    lengths = (full, max(1, full // 2 | 1), 1)
    slots = geometry.slots_of(class_index)
    rows: list[tuple[int, ...]] = []
    number = len(slots)
    around = {s + d for s in np.flatnonzero(slots.spans).tolist() for d in (-1, 0, 1)}
    for slot in range(number):
        rows.append((Operation.ALLOCATE, first + slot, full, slot % 2))
        rows.append((_W, first + slot, full, slot % 2))
    large = geometry.page_size > 4096
    for slot in range(number):
        for operation, which in _STEPS_LARGE if large else _STEPS:
            rows.append((operation, first + slot, lengths[which], len(rows) % 2))
    if large:
        return rows
    # Any order, for strategies that leave something displaced.
    order = np.random.default_rng(class_index).permutation(sorted(around)).tolist()
    rows += [(_R, first + slot, full, slot % 2) for slot in order * 2 if slot < number]
    # What is written in part after another object was mapped, for what that has left behind.
    rows += [(_W, first + slot, lengths[_ODD], slot % 2) for slot in order if slot < number]
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
def exhaustive(geometry: Geometry, page_order: str = PAGE_ORDERS[0]) -> Work:
    """Return the Work that maps every slot of every class in every mode."""
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
    return replace(whole(trace, geometry), page_order=page_order)
