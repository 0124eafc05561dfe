# SPDX-License-Identifier: GPL-2.0-only
"""Place a trace: give its objects their zspages and slots, and cut it into batches.

A short trace is placed as a whole, a long one part by part whenever it is asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import SCOPES
from zsemu.errors import ZsemuError
from zsemu.replay import placement_store
from zsemu.replay.oracle import BUFFERS, stride
from zsemu.traces.file import TraceFile
from zsemu.traces.operation import Operation
from zsemu.traces.trace import Part, Trace
from zsemu.zsmalloc.geometry import Geometry
from zsemu.zsmalloc.placement import Placed, Placer

MAX_OPERATIONS: Final = 8192
MAX_ARENA: Final = 8 << 20
"""bytes of callers' buffers in a batch"""
KEPT: Final = 1 << 21
"""operations up to which a trace is kept in memory, placed: some 60 bytes each"""
_PART: Final = 1 << 18

PAGE_ORDERS: Final = ("ascending", "descending", "scattered")


@dataclass(frozen=True)
class Script:
    """What the operations of a placed trace are, where they go beyond a trace: shape (n,) each.

    The trace's own operation then says what happens to the object's content: READ, WRITE and
    UPDATE as ever, FREE nothing.
    """

    kind: NDArray[np.uint8]
    """guest.Kind or trace.Operation"""
    mode: NDArray[np.uint8]
    """guest.Mode of a map"""
    held: NDArray[np.uint8]
    """number of a map that lasts"""
    partner: NDArray[np.int64]
    """of a release: the operation that began the map"""
    target: NDArray[np.int64]
    """of a move: (zspage, slot), shape (n, 2)"""

    def cut(self, first: int, end: int) -> "Script":
        """Return some consecutive operations; all maps that end among them begin there, too."""
        columns = (getattr(self, field.name)[first:end] for field in fields(self))
        some = Script(*columns)
        return replace(some, partner=some.partner - first)


@dataclass(frozen=True)
class PlacedTrace:
    """A trace placed under one geometry, which is all that the strategies have in common.

    It may also be a part of a longer one. Then ``zspages`` and ``pages`` are what all of it needs.
    """

    trace: Trace
    geometry: Geometry
    placed: Placed
    bounds: NDArray[np.int64]
    """first operation of each batch, and the number of all: shape (batches + 1,)"""
    live: NDArray[np.int64]
    """operations that allocate what is still alive at the end"""
    zspages: int
    """descriptors needed"""
    pages: int
    """pages of the pool needed"""
    page_order: str = "ascending"
    """in which physical order zspages get their pages: one of PAGE_ORDERS"""
    script: Script | None = None
    first: int = 0
    """number of the first operation in the whole trace"""
    number: NDArray[np.uint32] | None = None
    """of each operation's object in the whole trace, if ``trace`` has its handle; shape (n,)"""

    @property
    def page_shift(self) -> int:
        """Of the pages that zsmalloc sees."""
        return self.geometry.page_size.bit_length() - 1

    @property
    def cpus(self) -> int:
        """CPUs that occur."""
        return int(self.trace.cpu.max(initial=0)) + 1

    @property
    def objects(self) -> int:
        """Numbers that objects have in ``trace``."""
        return int(self.trace.object.max(initial=0)) + 1

    @property
    def scope_maps(self) -> dict[str, int]:
        """Maps of each of zsemu.counts.SCOPES."""
        operation, spans = self.trace.operation, self.placed.spans
        each = {
            "total": operation >= Operation.READ,
            "spanning": (operation >= Operation.READ) & spans,
            "spanning_read": (operation == Operation.READ) & spans,
            "spanning_write": (operation == Operation.WRITE) & spans,
            "spanning_update": (operation == Operation.UPDATE) & spans,
        }
        return {scope: int(np.count_nonzero(each[scope])) for scope in SCOPES}

    def parts(self) -> Iterator["PlacedTrace"]:
        """Yield the whole trace as its only part, as PlacedStream yields several."""
        yield self

    def cut(self, first: int, end: int) -> "PlacedTrace":
        """Return some consecutive operations as a part, which shares their columns with this one.

        It says nothing of batches, nor of what is alive at the end.
        """
        some, nothing = slice(first, end), np.empty(0, np.int64)
        return replace(
            self,
            trace=self.trace.take(some),
            placed=self.placed.take(some),
            bounds=nothing,
            live=nothing,
            script=self.script and self.script.cut(first, end),
            first=self.first + first,
            number=None if self.number is None else self.number[some],
        )


class PlacedStream:
    """A trace that is read, placed and cut part by part, as often as it is asked for.

    Only one part and the objects that are alive are in memory at a time.
    """

    page_order = PAGE_ORDERS[0]

    def __init__(self, source: TraceFile, geometry: Geometry, size: int | None = None) -> None:
        """Go through all of it once, to know what memory it needs; ZsemuError as TraceFile has."""
        self._source, self._size = source, size or _PART
        self.geometry = geometry
        self.zspages = self.pages = self.cpus = self.objects = 0
        self.scope_maps = dict.fromkeys(SCOPES, 0)
        zspages, pages = _Peak(), _Peak()
        for part in self.parts():
            zspages.follow(*_balance(part.placed, part.bounds))
            chain = geometry.pages[part.placed.class_index]
            pages.follow(*_balance(part.placed, part.bounds, chain))
            self.cpus = max(self.cpus, part.cpus)
            self.objects = max(self.objects, part.objects)
            for scope, maps in part.scope_maps.items():
                self.scope_maps[scope] += maps
        self.zspages, self.pages = zspages.most, pages.most

    @property
    def page_shift(self) -> int:
        """Of the pages that zsmalloc sees."""
        return self.geometry.page_size.bit_length() - 1

    def parts(self) -> Iterator[PlacedTrace]:
        """Yield the trace in order."""
        placer = Placer(self.geometry)
        for part in self._source.parts(self._size):
            yield self._place(placer, part)

    def _place(self, placer: Placer, part: Part) -> PlacedTrace:
        trace = part.trace.with_objects(part.handle)
        placed = placer.place(trace.operation, trace.object, trace.length)
        return PlacedTrace(
            trace=trace,
            geometry=self.geometry,
            placed=placed,
            bounds=cut(trace),
            live=_live(trace),
            zspages=self.zspages,
            pages=self.pages,
            first=part.first,
            number=part.trace.object,
        )


def place(trace: Trace | TraceFile, geometry: Geometry) -> PlacedTrace | PlacedStream:
    """Place a trace and cut it into batches; part by part, if its file holds more than KEPT.

    ZsemuError if its file turns out to be damaged.
    """
    trace = in_memory(trace)
    if isinstance(trace, TraceFile):
        return PlacedStream(trace, geometry)
    return place_in_memory(trace, geometry)


def in_memory(trace: Trace | TraceFile) -> Trace | TraceFile:
    """Read a trace, unless its file holds more than KEPT; ZsemuError if the file is damaged."""
    if isinstance(trace, Trace) or len(trace) > KEPT:
        return trace
    (part,) = trace.parts()
    return part.trace


def place_in_memory(trace: Trace, geometry: Geometry) -> PlacedTrace:
    """Place a trace that is in memory and cut it into batches."""
    placed = placement_store.place(trace, geometry)
    bounds = cut(trace)
    zspages, pages = _Peak(), _Peak()
    zspages.follow(*_balance(placed, bounds))
    pages.follow(*_balance(placed, bounds, geometry.pages[placed.class_index]))
    return PlacedTrace(
        trace=trace,
        geometry=geometry,
        placed=placed,
        bounds=bounds,
        live=_live(trace),
        zspages=zspages.most,
        pages=pages.most,
    )


def cut(trace: Trace, may_end: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Return the first operation of each batch, and the number of all: shape (batches + 1,).

    ``may_end`` says after which operations a batch may end, shape (n,); ZsemuError if there is none
    where one must.
    """
    bytes_ = np.cumsum(stride(trace.length.astype(np.int64)) * BUFFERS[trace.operation])
    bounds = [0]
    while bounds[-1] < len(trace):
        first = bounds[-1]
        used = bytes_[first - 1] if first else 0
        end = int(np.searchsorted(bytes_, used + MAX_ARENA, side="right"))
        end = max(first + 1, min(end, first + MAX_OPERATIONS))
        if may_end is not None:
            ends = np.flatnonzero(may_end[first:end])
            if not len(ends):
                raise ZsemuError(
                    f"operation {first}: a map is held over more than a batch can have"
                )
            end = first + 1 + int(ends[-1])
        bounds.append(end)
    return np.array(bounds)


def _live(trace: Trace) -> NDArray[np.int64]:
    freed = np.zeros(int(trace.object.max(initial=0)) + 1, bool)
    freed[trace.object[trace.operation == Operation.FREE]] = True
    allocates = np.flatnonzero(trace.operation == Operation.ALLOCATE)
    return allocates[~freed[trace.object[allocates]]]


def _balance(
    placed: Placed, bounds: NDArray[np.int64], each: NDArray[np.int32] | int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what each batch takes and gives back, ``each`` for a zspage, shape (batches,)."""
    if len(bounds) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    takes = np.add.reduceat(placed.opens * np.asarray(each, np.int64), bounds[:-1])
    gives = np.add.reduceat(placed.closes * np.asarray(each, np.int64), bounds[:-1])
    return takes, gives


class _Peak:
    """Follows how many are in use at once; what a batch gives back is used only in the next."""

    def __init__(self) -> None:
        self.most = 1
        self._now = 0

    def follow(self, takes: NDArray[np.int64], gives: NDArray[np.int64]) -> None:
        used = self._now + np.cumsum(takes) - (np.cumsum(gives) - gives)
        self.most = max(self.most, int(used.max(initial=0)))
        self._now += int(takes.sum() - gives.sum())
