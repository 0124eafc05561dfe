# SPDX-License-Identifier: GPL-2.0-only
"""Keep where the objects of long traces are placed, as other results are kept: by content.

The choices of slots are made one after the other, which takes longer than all else that a replay
has to know of a trace.
"""

import hashlib
from typing import Final

import numpy as np

from zsemu.kept import kept
from zsemu.traces.trace import Trace
from zsemu.zsmalloc.geometry import Geometry
from zsemu.zsmalloc.placement import Placed, Placer

LONG: Final = 1 << 16
"""operations from which on a trace's places are kept; those of a shorter one are there at once"""
_PLACE: Final = np.dtype(
    [
        ("zspage", np.uint32),
        ("slot", np.uint16),
        ("class_index", np.uint16),
        ("opens", np.bool_),
        ("closes", np.bool_),
    ]
)
"""what is kept of an operation: that of Placed which does not follow from class and slot"""


def place(trace: Trace, geometry: Geometry) -> Placed:
    """Return the places of a trace's objects, from the cache if they are there.

    ZsemuError as Placer.place() has it.
    """
    if len(trace) < LONG:
        return _choose(trace, geometry)
    found = kept(f"places-{geometry.name}", _of(trace, geometry), lambda: _bytes(trace, geometry))
    assert found is not None
    places = np.frombuffer(found, _PLACE)
    slot, class_index = (places[name].astype(np.int32) for name in ("slot", "class_index"))
    where = geometry.locate(class_index, slot)
    return Placed(
        zspage=places["zspage"].astype(np.int64),
        slot=slot,
        page=where.page,
        offset=where.offset,
        class_index=class_index,
        spans=where.spans,
        opens=places["opens"].copy(),
        closes=places["closes"].copy(),
    )


def _choose(trace: Trace, geometry: Geometry) -> Placed:
    return Placer(geometry).place(trace.operation, trace.object, trace.length)


def _of(trace: Trace, geometry: Geometry) -> str:
    """Return what the places depend on."""
    columns = hashlib.sha256()
    for column in (trace.operation, trace.object, trace.length):
        columns.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
    return f"{geometry!r} {len(trace)} {columns.hexdigest()}"


def _bytes(trace: Trace, geometry: Geometry) -> bytes:
    """Choose the places, and return them as they are kept."""
    placed, places = _choose(trace, geometry), np.empty(len(trace), _PLACE)
    for name in _PLACE.names or ():
        places[name] = getattr(placed, name)
    return places.tobytes()
