# SPDX-License-Identifier: GPL-2.0-only
"""Count what is in a trace: operations, objects, overlaps, and what spans under a geometry."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsemu.traces.operation import Operation
from zsemu.traces.trace import Trace
from zsemu.zsmalloc.geometry import Geometry
from zsemu.zsmalloc.placement import Placer


@dataclass(frozen=True, eq=False)
class Info:
    """Figures of a trace that do not depend on the geometry."""

    operations: dict[Operation, int]
    """How many there are of each kind."""
    live: NDArray[np.int64]
    """Objects alive after each operation, shape (n,)."""
    lengths: NDArray[np.uint32]
    """Bytes of each object, ascending, shape (objects,)."""
    overlaps: int
    """Pairs of maps that overlap in time."""
    seconds: float
    """From the begin of the first operation to that of the last."""

    @property
    def maps(self) -> int:
        """Operations that map an object."""
        return sum(count for kind, count in self.operations.items() if kind >= Operation.READ)


@dataclass(frozen=True)
class Spanning:
    """What spans when a trace is placed under one geometry."""

    objects: int
    """Objects that span."""
    maps: int
    """Maps of such objects."""
    next_maps: int
    """Pairs of maps that overlap in time, of a spanning object and of the object in the next slot
    of the same zspage. The swap strategies move bytes of that slot."""


def _overlaps(
    begin: NDArray[np.int64], end: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield all pairs of intervals that overlap, as two arrays of indices: the earlier, the later.

    ``begin`` and ``end`` have shape (n,), in nanoseconds; ``begin`` ascends. Intervals that only
    touch do not count, as the clock cannot tell whether they overlap.
    """
    earlier = np.arange(len(begin))
    distance = 1
    while earlier.size:
        earlier = earlier[earlier + distance < len(begin)]
        earlier = earlier[begin[earlier + distance] < end[earlier]]
        yield earlier, earlier + distance
        distance += 1


def info(trace: Trace) -> Info:
    """Return the figures of a trace."""
    maps = np.flatnonzero(trace.maps)
    change = np.array([1, -1, 0, 0, 0])[trace.operation]
    return Info(
        operations={kind: int(np.count_nonzero(trace.operation == kind)) for kind in Operation},
        live=np.cumsum(change),
        lengths=np.sort(trace.length[trace.operation == Operation.ALLOCATE]),
        overlaps=sum(len(pair) for pair, _ in _overlaps(trace.begin[maps], trace.end[maps])),
        seconds=float(trace.begin[-1] - trace.begin[0]) / 1e9,
    )


def spanning(trace: Trace, geometry: Geometry) -> Spanning:
    """Return what spans under a geometry of the trace's page size."""
    placed = Placer(geometry).place(trace.operation, trace.object, trace.length)
    maps = np.flatnonzero(trace.maps)
    zspage, slot, spans = placed.zspage[maps], placed.slot[maps], placed.spans[maps]
    next_maps = 0
    for one, other in _overlaps(trace.begin[maps], trace.end[maps]):
        step = slot[other] - slot[one]
        reaches = (step == 1) & spans[one] | (step == -1) & spans[other]
        next_maps += int(np.count_nonzero((zspage[one] == zspage[other]) & reaches))
    return Spanning(
        objects=int(np.count_nonzero(placed.spans & (trace.operation == Operation.ALLOCATE))),
        maps=int(np.count_nonzero(spans)),
        next_maps=next_maps,
    )
