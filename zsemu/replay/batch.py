# SPDX-License-Identifier: GPL-2.0-only
"""Batches: operations of a placed trace as records in guest memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zsemu import counts
from zsemu.guest.hooks import EXPECTED
from zsemu.guest.memory import Memory
from zsemu.guest.structures import MAX_PAGES, ZSPAGE_SIZE, Flag, Kind, Mode
from zsemu.replay.oracle import Arena, Versions, arena
from zsemu.replay.placed_trace import MAX_ARENA, MAX_OPERATIONS, PlacedStream, PlacedTrace
from zsemu.replay.shapes import static_keys
from zsemu.traces.trace import Operation

MODES: Final = np.array([Mode.RW, Mode.RW, Mode.RO, Mode.WO, Mode.RW], np.uint8)
"""the map mode of each trace.Operation"""


@dataclass(frozen=True)
class Batch:
    """n operations in guest memory."""

    part: PlacedTrace
    """of which these are some"""
    rows: NDArray[np.int64]
    """where they are in it, shape (n,)"""
    index: NDArray[np.int64]
    """of each in the whole trace, shape (n,)"""
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


class BatchWriter:
    """Writes one batch after the other, with the zspages it needs, into guest memory."""

    def __init__(
        self, work: PlacedTrace | PlacedStream, memory: Memory, *, by_slot: bool = True
    ) -> None:
        """``by_slot`` is as static_keys() has it."""
        self._work, self._memory, self._by_slot = work, memory, by_slot
        self._versions = Versions(work.objects)
        # The zspages that there are: serial numbers, ascending, and their descriptors.
        self._serial = np.empty(0, np.int64)
        self._descriptor = np.empty(0, np.int64)
        # What shows where to find the objects that are alive, and its number in the trace.
        self._survivors: PlacedTrace | None = None
        self._index = np.empty(0, np.int64)
        self._number = -1
        self._settles = memory.image.has("zs_settle")
        self.by_length = np.ones((len(Operation), 2), bool)
        self.by_length[: Operation.READ] = False
        """for which operations the length is part of the shape: see static_keys()"""
        self.born = np.zeros(work.objects, np.int64)
        """by object: number of the batch that allocated it"""
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
        for part in self._work.parts():
            for first, end in zip(part.bounds[:-1], part.bounds[1:], strict=True):
                self._number += 1
                rows = np.arange(first, end)
                yield self._batch(part, rows)
                self._migrate(part, rows)
            self._survive(part)

    def _survive(self, part: PlacedTrace) -> None:
        """Keep what is needed of the objects that are alive after a part: for the read-back."""
        alive, index = _select(part, part.live), part.first + part.live
        if self._survivors:
            gone = part.trace.object[part.trace.operation == Operation.FREE]
            rows = np.flatnonzero(~np.isin(self._survivors.trace.object, gone))
            alive = _join(_select(self._survivors, rows), alive)
            index = np.concatenate([self._index[rows], index])
        self._survivors, self._index = alive, index

    def readback(self) -> Iterator[Batch]:
        """Yield batches that look at the header of every live object and read all of it."""
        most = max(1, min(MAX_OPERATIONS, MAX_ARENA // (2 * self._work.geometry.page_size)))
        assert self._survivors  # batches() has gone through all parts
        for first in range(0, len(self._index), most):
            rows = np.arange(first, min(first + most, len(self._index)))
            yield self._batch(self._survivors, rows, check=True)

    def _descriptors(self, zspage: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the descriptors of zspages that there are, given their serial numbers."""
        at = np.searchsorted(self._serial, zspage)
        found: NDArray[np.int64] = self._descriptor[at]
        return found

    def slot_offset(self, zspage: int, op: NDArray[np.void]) -> int:
        """Return the offset in RAM of the slot of one operation, given its descriptor."""
        page = self._memory.page_offset(self._pages[zspage, op["page"]])
        return int(page) + int(op["offset"])

    def _direct(self, part: PlacedTrace, index: NDArray[np.int64], ops: NDArray[Any]) -> None:
        """Write what goes beyond a trace into the records."""
        script = part.script
        assert script
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
        class_index = part.placed.class_index[index[moves]]
        slots = part.geometry.locate(class_index, slot)
        descriptor = self._descriptors(zspage)
        ops["to_zspage"][moves] = memory.virtual(memory.zspages) + descriptor * ZSPAGE_SIZE
        ops["to_slot"][moves], ops["to_page"][moves] = slot, slots.page
        ops["to_offset"][moves] = slots.offset
        migrates = kind == Kind.MIGRATE
        ops["handle"][migrates] = memory.pfn(self._free_pages[-1:])

    def _migrate(self, work: PlacedTrace, index: NDArray[np.int64]) -> None:
        """Follow a migration, the last operation of a batch that has been run."""
        memory, last = self._memory, index[-1]
        if not work.script or work.script.kind[last] != Kind.MIGRATE:
            return
        (zspage,) = self._descriptors(work.placed.zspage[last : last + 1])
        which = work.placed.page[last]
        old, new = self._pages[zspage, which], self._free_pages[-1]
        self._free_pages = np.insert(self._free_pages[:-1], 0, old)
        self._pages[zspage, which] = new
        # A store into the old frame is a stray one from now on.
        self.owner[memory.page_offset(old) >> memory.page_shift] = -1
        frame = memory.page_offset(new) >> memory.page_shift
        self.owner[frame], self.index[frame] = zspage, which

    def _open(self, work: PlacedTrace, index: NDArray[np.int64]) -> None:
        """Give the zspages that the operations open their descriptors and pages."""
        memory = self._memory
        opening = index[work.placed.opens[index]]
        if not len(opening):
            return
        class_index = work.placed.class_index[opening]
        descriptors = self._free_descriptors[-len(opening) :][::-1].copy()
        self._free_descriptors = self._free_descriptors[: -len(opening)]
        serial = work.placed.zspage[opening]
        at = np.searchsorted(self._serial, serial)
        order = np.argsort(serial)
        self._serial = np.insert(self._serial, at[order], serial[order])
        self._descriptor = np.insert(self._descriptor, at[order], descriptors[order])
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

        table = memory.view(memory.zspages, memory.types.zspage, self._work.zspages)
        table["nr_pages"][descriptors] = chain
        table["class_size"][descriptors] = work.geometry.sizes[class_index]
        table["pfn"][zspage, which] = memory.pfn(pages)

    def _close(self, work: PlacedTrace, index: NDArray[np.int64]) -> None:
        """Take back what closed zspages had, for the next batch."""
        closing = index[work.placed.closes[index]]
        if not len(closing):
            return
        at = np.searchsorted(self._serial, work.placed.zspage[closing])
        descriptors = self._descriptor[at]
        self._serial, self._descriptor = (
            np.delete(self._serial, at),
            np.delete(self._descriptor, at),
        )
        chain = work.geometry.pages[work.placed.class_index[closing]]
        pages = self._pages[descriptors][np.arange(MAX_PAGES) < chain[:, np.newaxis]]
        self._free_descriptors = np.concatenate([self._free_descriptors, descriptors[::-1]])
        self._free_pages = np.concatenate([self._free_pages, pages[::-1]])

    def _batch(self, work: PlacedTrace, index: NDArray[np.int64], *, check: bool = False) -> Batch:
        memory, placed = self._memory, work.placed
        operation = work.trace.operation[index]
        if check:
            operation = np.full(len(index), Operation.READ, np.uint8)
        object_ = work.trace.object[index]
        length = work.trace.length[index].astype(np.int64)
        class_index, spans = placed.class_index[index], placed.spans[index]
        if not check:
            self._open(work, index)
            self.born[object_[operation == Operation.ALLOCATE]] = self._number

        history = self._versions.advance(operation, object_, length)
        number = (work.trace.object if work.number is None else work.number)[index]
        buffers = arena(operation, number, length, history)
        words = memory.view(memory.arena, np.dtype(np.uint64), len(buffers.after))
        words[:] = buffers.before
        caller = np.zeros(len(index), np.int64)
        update = np.zeros(len(index), np.int64)
        # The second buffer of an operation, if it has one, is the update's.
        second = np.zeros(len(buffers.owner), bool)
        second[1:] = buffers.owner[1:] == buffers.owner[:-1]
        caller[buffers.owner[~second]] = memory.arena + buffers.start[~second] * 8
        update[buffers.owner[second]] = memory.arena + buffers.start[second] * 8

        zspage = self._descriptors(placed.zspage[index])
        header = work.geometry.headers[class_index]
        mask = np.uint64((1 << memory.target.word_bits) - 1)
        # As in the kernel: bit 0 tells an allocated object's header from a link.
        handle = (number.astype(np.uint64) + np.uint64(1) << np.uint64(3) | np.uint64(1)) & mask
        link = placed.slot[index].astype(np.uint64) << np.uint64(1)

        ops = memory.view(memory.ops, memory.types.op, len(index))
        ops["kind"] = operation
        ops["mode"] = MODES[operation]
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
            self._direct(work, index, ops)

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
            self._close(work, index)
        return Batch(
            part=work,
            rows=index,
            index=self._index[index] if check else work.first + index,
            operation=operation,
            ops=ops,
            expected=expected,
            keys=static_keys(
                operation,
                length,
                placed,
                index,
                work.geometry,
                by_length=self.by_length,
                by_slot=self._by_slot,
                settles=self._settles,
            ),
            first_word=np.where(allocates, link, handle),
            looks=looks,
            arena=buffers,
            words=words,
        )


def _select(work: PlacedTrace, rows: NDArray[np.int64]) -> PlacedTrace:
    """Return some operations of a part on their own, to be looked at only."""
    number = work.trace.object if work.number is None else work.number
    nothing = np.empty(0, np.int64)
    trace, placed = work.trace.take(rows), work.placed.take(rows)
    return replace(
        work, trace=trace, placed=placed, number=number[rows], bounds=nothing, live=nothing
    )


def _join(one: PlacedTrace, other: PlacedTrace) -> PlacedTrace:
    """Return the operations of two that _select() has returned."""
    assert one.number is not None and other.number is not None
    return replace(
        one,
        trace=one.trace.followed_by(other.trace),
        placed=one.placed.followed_by(other.placed),
        number=np.concatenate([one.number, other.number]),
    )
