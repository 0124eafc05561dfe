# SPDX-License-Identifier: GPL-2.0-only
"""Batches: operations of a placed trace as records in guest memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zsemu import counts
from zsemu.geometry import Geometry
from zsemu.guest import MAX_PAGES, ZSPAGE_SIZE, Flag, Kind, Mode
from zsemu.hooks import EXPECTED
from zsemu.memory import Memory
from zsemu.oracle import BUFFERS, Arena, Versions, arena, stride
from zsemu.placement import Placed, Placer
from zsemu.shapes import static_keys
from zsemu.trace import Operation, Trace

MAX_OPERATIONS: Final = 8192
MAX_ARENA: Final = 8 << 20
"""bytes of callers' buffers in a batch"""


@dataclass(frozen=True)
class Script:
    """What the operations of a Work really are, where they go beyond a trace: shape (n,) each.

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


@dataclass(frozen=True)
class Work:
    """A trace placed under one geometry: all that the strategies have in common."""

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

    @property
    def page_shift(self) -> int:
        """Of the pages that zsmalloc sees."""
        return self.geometry.page_size.bit_length() - 1

    @property
    def cpus(self) -> int:
        """CPUs that occur."""
        return int(self.trace.cpu.max(initial=0)) + 1


PAGE_ORDERS: Final = ("ascending", "descending", "scattered")

_MODES: Final = np.array([Mode.RW, Mode.RW, Mode.RO, Mode.WO, Mode.RW], np.uint8)
"""the map mode of each trace.Operation"""


def _bounds(operation: NDArray[np.uint8], length: NDArray[np.uint32]) -> NDArray[np.int64]:
    bytes_ = np.cumsum(stride(length.astype(np.int64)) * BUFFERS[operation])
    bounds = [0]
    while bounds[-1] < len(operation):
        first = bounds[-1]
        used = bytes_[first - 1] if first else 0
        end = int(np.searchsorted(bytes_, used + MAX_ARENA, side="right"))
        bounds.append(max(first + 1, min(end, first + MAX_OPERATIONS)))
    return np.array(bounds)


def work(trace: Trace, geometry: Geometry) -> Work:
    """Place a trace and cut it into batches."""
    placed = Placer(geometry).place(trace.operation, trace.object, trace.length)
    bounds = _bounds(trace.operation, trace.length)
    # What a zspage had is used again only in the batch after the one that closed it.
    chain = geometry.pages[placed.class_index]
    batches = bounds[:-1]
    opened, closed, pages_opened, pages_closed = (
        np.add.reduceat(values.astype(np.int64), batches) if len(batches) else np.zeros(0, np.int64)
        for values in (
            placed.opens,
            placed.closes,
            placed.opens * chain,
            placed.closes * chain,
        )
    )

    def peak(plus: NDArray[np.int64], minus: NDArray[np.int64]) -> int:
        return int((np.cumsum(plus) - (np.cumsum(minus) - minus)).max(initial=1))

    freed = np.zeros(int(trace.object.max(initial=0)) + 1, bool)
    freed[trace.object[trace.operation == Operation.FREE]] = True
    allocates = np.flatnonzero(trace.operation == Operation.ALLOCATE)
    return Work(
        trace=trace,
        geometry=geometry,
        placed=placed,
        bounds=bounds,
        live=allocates[~freed[trace.object[allocates]]],
        zspages=peak(opened, closed),
        pages=peak(pages_opened, pages_closed),
    )


@dataclass(frozen=True)
class Batch:
    """n operations in guest memory."""

    index: NDArray[np.int64]
    """of each in the trace, shape (n,)"""
    operation: NDArray[np.uint8]
    """of each as the trace has it, shape (n,)"""
    ops: NDArray[np.void]
    """the records in guest memory, shape (n,)"""
    expected: NDArray[np.void]
    """dtype hooks.EXPECTED, shape (n,)"""
    keys: NDArray[np.uint64]
    """what is known of its shape beforehand, shape (n,)"""
    first_word: NDArray[np.uint64]
    """what the slot's first word must be where the driver looks at it, shape (n,)"""
    looks: NDArray[np.bool_]
    """where it does, shape (n,)"""
    arena: Arena
    words: NDArray[np.uint64]
    """the arena in guest memory"""


class Builder:
    """Writes one batch after the other, with the zspages it needs, into guest memory."""

    def __init__(self, work: Work, memory: Memory) -> None:
        self._work, self._memory = work, memory
        self._versions = Versions(int(work.trace.object.max(initial=0)) + 1)
        self._descriptor = np.full(int(work.placed.zspage.max(initial=-1)) + 1, -1, np.int32)
        # Taken from the end: the first zspage gets the lowest.
        self._free_descriptors = np.arange(work.zspages)[::-1].copy()
        pages = np.arange(work.pages)
        if work.page_order == "scattered":
            np.random.default_rng(0).shuffle(pages)
        self._free_pages = (pages if work.page_order == "descending" else pages[::-1]).copy()
        self._pages = np.full((work.zspages, MAX_PAGES), -1, np.int64)
        frames = (memory.size >> memory.page_shift) + 1
        self.owner = np.full(frames, -1, np.int32)
        """by page of RAM: CPU, or descriptor of a pool page's zspage"""
        self.index = np.zeros(frames, np.int32)
        """by page of RAM: which page of its zspage"""
        shift = memory.page_shift
        for cpu in range(memory.sizes.cpus):
            for start in (memory.area, memory.buffer):
                self.owner[(start + cpu * memory.area_stride) >> shift] = cpu

    def batches(self) -> Iterator[Batch]:
        """Yield the trace's batches; each must be run before the next is taken."""
        for first, end in zip(self._work.bounds[:-1], self._work.bounds[1:], strict=True):
            index = np.arange(first, end)
            yield self._batch(index)
            self._migrate(index)

    def readback(self) -> Iterator[Batch]:
        """Yield batches that look at the header of every live object and read all of it."""
        live = self._work.live
        most = max(1, min(MAX_OPERATIONS, MAX_ARENA // (2 * self._work.geometry.page_size)))
        for first in range(0, len(live), most):
            yield self._batch(live[first : first + most], check=True)

    def slot_offset(self, zspage: int, op: NDArray[np.void]) -> int:
        """Return the offset in RAM of the slot of one operation, given its descriptor."""
        page = self._memory.page_offset(self._pages[zspage, op["page"]])
        return int(page) + int(op["offset"])

    def _direct(self, script: Script, index: NDArray[np.int64], ops: NDArray[Any]) -> None:
        """Write what goes beyond a trace into the records."""
        memory, kind = self._memory, script.kind[index]
        ops["kind"], ops["held"] = kind, script.held[index]
        maps = kind >= Kind.HOLD
        ops["mode"][maps] = script.mode[index[maps]]
        for at in np.flatnonzero(kind == Kind.RELEASE).tolist():
            began = int(script.partner[index[at]] - index[0])
            # A reader's own buffer is for what it sees at last.
            own = ops["caller"][at]
            ops["caller"][at] = ops["caller"][began]
            ops["update"][at] = own or ops["update"][began]
        moves = kind == Kind.MOVE
        zspage, slot = script.target[index[moves]].T
        class_index = self._work.placed.class_index[index[moves]]
        slots = self._work.geometry.locate(class_index, slot)
        descriptor = self._descriptor[zspage].astype(np.int64)
        ops["to_zspage"][moves] = memory.virtual(memory.zspages) + descriptor * ZSPAGE_SIZE
        ops["to_slot"][moves], ops["to_page"][moves] = slot, slots.page
        ops["to_offset"][moves] = slots.offset
        migrates = kind == Kind.MIGRATE
        ops["handle"][migrates] = memory.pfn(self._free_pages[-1:])

    def _migrate(self, index: NDArray[np.int64]) -> None:
        """Follow a migration, the last operation of a batch that has been run."""
        work, memory, last = self._work, self._memory, index[-1]
        if not work.script or work.script.kind[last] != Kind.MIGRATE:
            return
        zspage = self._descriptor[work.placed.zspage[last]]
        which = work.placed.page[last]
        old, new = self._pages[zspage, which], self._free_pages[-1]
        self._free_pages = np.insert(self._free_pages[:-1], 0, old)
        self._pages[zspage, which] = new
        # A store into the old frame is a stray one from now on.
        self.owner[memory.page_offset(old) >> memory.page_shift] = -1
        frame = memory.page_offset(new) >> memory.page_shift
        self.owner[frame], self.index[frame] = zspage, which

    def _open(self, index: NDArray[np.int64]) -> None:
        """Give the zspages that the operations open their descriptors and pages."""
        work, memory = self._work, self._memory
        opening = index[work.placed.opens[index]]
        if not len(opening):
            return
        class_index = work.placed.class_index[opening]
        descriptors = self._free_descriptors[-len(opening) :][::-1].copy()
        self._free_descriptors = self._free_descriptors[: -len(opening)]
        self._descriptor[work.placed.zspage[opening]] = descriptors
        chain = work.geometry.pages[class_index].astype(np.int64)
        total = int(chain.sum())
        pages = self._free_pages[-total:][::-1].copy()
        self._free_pages = self._free_pages[:-total]
        zspage = np.repeat(descriptors, chain)
        which = np.arange(total) - np.repeat(np.cumsum(chain) - chain, chain)
        self._pages[zspage, which] = pages
        frame = memory.page_offset(pages) >> memory.page_shift
        self.owner[frame] = zspage
        self.index[frame] = which

        table = memory.view(memory.zspages, memory.types.zspage, work.zspages)
        table["nr_pages"][descriptors] = chain
        table["class_size"][descriptors] = work.geometry.sizes[class_index]
        table["pfn"][zspage, which] = memory.pfn(pages)

    def _close(self, index: NDArray[np.int64]) -> None:
        """Take back what closed zspages had, for the next batch."""
        work = self._work
        closing = index[work.placed.closes[index]]
        descriptors = self._descriptor[work.placed.zspage[closing]]
        chain = work.geometry.pages[work.placed.class_index[closing]]
        pages = self._pages[descriptors][np.arange(MAX_PAGES) < chain[:, np.newaxis]]
        self._free_descriptors = np.concatenate([self._free_descriptors, descriptors[::-1]])
        self._free_pages = np.concatenate([self._free_pages, pages[::-1]])

    def _batch(self, index: NDArray[np.int64], *, check: bool = False) -> Batch:
        work, memory, placed = self._work, self._memory, self._work.placed
        operation = work.trace.operation[index]
        if check:
            operation = np.full(len(index), Operation.READ, np.uint8)
        object_ = work.trace.object[index]
        length = work.trace.length[index].astype(np.int64)
        class_index, spans = placed.class_index[index], placed.spans[index]
        self._open(index if not check else index[:0])

        history = self._versions.advance(operation, object_, length)
        buffers = arena(operation, object_, length, history)
        words = memory.view(memory.arena, np.dtype(np.uint64), len(buffers.after))
        words[:] = buffers.before
        caller = np.zeros(len(index), np.int64)
        update = np.zeros(len(index), np.int64)
        # The second buffer of an operation, if it has one, is the update's.
        second = np.zeros(len(buffers.owner), bool)
        second[1:] = buffers.owner[1:] == buffers.owner[:-1]
        caller[buffers.owner[~second]] = memory.arena + buffers.start[~second] * 8
        update[buffers.owner[second]] = memory.arena + buffers.start[second] * 8

        zspage = self._descriptor[placed.zspage[index]].astype(np.int64)
        header = work.geometry.headers[class_index]
        mask = np.uint64((1 << memory.target.word_bits) - 1)
        # As in the kernel: bit 0 tells an allocated object's header from a link.
        handle = (object_.astype(np.uint64) + np.uint64(1) << np.uint64(3) | np.uint64(1)) & mask
        link = placed.slot[index].astype(np.uint64) << np.uint64(1)

        ops = memory.view(memory.ops, memory.types.op, len(index))
        ops["kind"] = operation
        ops["mode"] = _MODES[operation]
        ops["cpu"] = 0 if check else work.trace.cpu[index]
        ops["zspage"] = memory.virtual(memory.zspages) + zspage * ZSPAGE_SIZE
        ops["slot"] = placed.slot[index]
        ops["page"] = placed.page[index]
        ops["offset"] = placed.offset[index]
        ops["header"] = header
        ops["length"] = length
        ops["caller"] = np.where(caller, memory.virtual(0) + caller, 0)
        ops["update"] = np.where(update, memory.virtual(0) + update, 0)
        ops["handle"] = handle
        ops["flags"] = Flag.CHECK if check else placed.opens[index] * np.uint32(Flag.OPENS)
        ops["error"] = 0
        if work.script and not check:
            self._direct(work.script, index, ops)

        expected = np.zeros(len(index), EXPECTED)
        scope = np.where(spans, np.array([4, 4, 1, 2, 3])[operation], counts.OTHER)
        expected["scope"] = counts.UNCOUNTED if check else scope
        expected["cpu"] = ops["cpu"]
        expected["zspage"] = zspage
        slots = work.geometry.locate(class_index, placed.slot[index])
        expected["low"], expected["high"] = slots.low, slots.high
        expected["reads"] = operation == Operation.READ
        # From the record: a release has the buffer of the hold before it.
        looks_again = (ops["kind"] == Kind.RELEASE) & (ops["mode"] == Mode.RO)
        buffer = np.where(looks_again, ops["update"], ops["caller"])
        expected["caller"] = buffer.astype(np.uint64) - np.uint64(memory.virtual(0))
        expected["length"] = length
        size = work.geometry.sizes[class_index].astype(np.int64)
        start = placed.offset[index].astype(np.int64)
        page = placed.page[index]
        first = memory.page_offset(self._pages[zspage, page]) + start
        second = memory.page_offset(self._pages[zspage, np.minimum(page + 1, MAX_PAGES - 1)])
        inside = np.minimum(size, work.geometry.page_size - start)
        expected["part"][:, 0], expected["bytes"][:, 0] = first, inside
        expected["part"][:, 1] = np.where(spans, second, first)
        expected["bytes"][:, 1] = size - inside

        kind = ops["kind"]
        allocates = kind == Operation.ALLOCATE
        looks = allocates | (header > 0) & ((kind == Operation.FREE) | check)
        if not check:
            self._close(index)
        return Batch(
            index=index,
            operation=operation,
            ops=ops,
            expected=expected,
            keys=static_keys(operation, length, placed, index, work.geometry),
            first_word=np.where(allocates, link, handle),
            looks=looks,
            arena=buffers,
            words=words,
        )
