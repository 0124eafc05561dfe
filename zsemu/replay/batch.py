# SPDX-License-Identifier: GPL-2.0-only
"""Write a placed trace into guest memory as batches, of some thousand operations each."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zsemu import counts
from zsemu.guest.hook_structures import EXPECTED
from zsemu.guest.memory import Memory
from zsemu.guest.structures import MAX_PAGES, ZSPAGE_SIZE, Flag, Kind, Mode
from zsemu.replay.oracle import Arena, Versions, arena
from zsemu.replay.placed_trace import MAX_ARENA, MAX_OPERATIONS, PlacedStream, PlacedTrace
from zsemu.replay.zspages import Zspages
from zsemu.traces.operation import Operation

MODES: Final = np.array([Mode.RW, Mode.RW, Mode.RO, Mode.WO, Mode.RW], np.uint8)
"""the map mode of each trace.Operation"""

READBACK: Final = 1 << 62
"""the number of every batch that reads back what is alive at the end"""


@dataclass(frozen=True)
class Batch:
    """A batch: n operations as records in guest memory, and what is expected of them."""

    number: int
    """of the batch in its replay, from 0; READBACK for those of the read-back"""
    part: PlacedTrace
    """the part of the trace that these operations are"""
    index: NDArray[np.int64]
    """of each in the whole trace, shape (n,)"""
    operation: NDArray[np.uint8]
    """of each as the trace has it, shape (n,)"""
    ops: NDArray[np.void]
    """the records in guest memory, shape (n,)"""
    expected: NDArray[np.void]
    """what the native hooks judge its accesses by, dtype hook_structures.EXPECTED, shape (n,)"""
    first_word: NDArray[np.uint64]
    """what the slot's first word must be where the driver looks at it, shape (n,)"""
    looks: NDArray[np.bool_]
    """where it does, shape (n,)"""
    arena: Arena
    words: NDArray[np.uint64]
    """the arena in guest memory"""

    @property
    def is_readback(self) -> bool:
        """Whether it reads back what is alive at the end, which nobody counts."""
        return self.number == READBACK


class BatchWriter:
    """Writes one batch after the other, with the zspages that it needs, into guest memory."""

    def __init__(self, placed: PlacedTrace | PlacedStream, memory: Memory) -> None:
        self._placed, self._memory = placed, memory
        self._versions = Versions(placed.objects)
        # By which operations to find the objects that are alive, and their numbers in the trace.
        self._survivors: PlacedTrace | None = None
        self._index = np.empty(0, np.int64)
        self.zspages = Zspages(placed, memory)
        self.born = np.zeros(placed.objects, np.int64)
        """by object: number of the batch that allocated it"""

    def batches(self) -> Iterator[Batch]:
        """Yield the trace's batches; each must be run before the next is taken."""
        number = 0
        for part in self._placed.parts():
            for first, end in zip(part.bounds[:-1], part.bounds[1:], strict=True):
                some = part.cut(int(first), int(end))
                index = np.arange(some.first, some.first + len(some.trace))
                yield self._batch(some, index, number)
                self._follow_migrations(some)
                number += 1
            self._survive(part)

    def readback(self) -> Iterator[Batch]:
        """Yield batches that look at the header of every live object and read all of it."""
        most = max(1, min(MAX_OPERATIONS, MAX_ARENA // (2 * self._placed.geometry.page_size)))
        assert self._survivors  # batches() has gone through all parts
        for first in range(0, len(self._index), most):
            index = self._index[first : first + most]
            yield self._batch(self._survivors.cut(first, first + len(index)), index, READBACK)

    def slot_offset(self, zspage: int, op: NDArray[np.void]) -> int:
        """Return the offset in RAM of the slot of one operation, given its descriptor."""
        page = self._memory.page_offset(self.zspages.pages[zspage, op["page"]])
        return int(page) + int(op["offset"])

    def _survive(self, part: PlacedTrace) -> None:
        """Keep what is needed of the objects that are alive after a part: for the read-back."""
        alive, index = _select(part, part.live), part.first + part.live
        if self._survivors:
            gone = part.trace.object[part.trace.operation == Operation.FREE]
            rows = np.flatnonzero(~np.isin(self._survivors.trace.object, gone))
            alive = _join(_select(self._survivors, rows), alive)
            index = np.concatenate([self._index[rows], index])
        self._survivors, self._index = alive, index

    def _follow_migrations(self, part: PlacedTrace) -> None:
        """Follow the migrations of a batch that has been run."""
        if part.script:
            moved = part.script.kind == Kind.MIGRATE
            for zspage, page in zip(
                part.placed.zspage[moved], part.placed.page[moved], strict=True
            ):
                self.zspages.migrate(int(zspage), int(page))

    def _batch(self, part: PlacedTrace, index: NDArray[np.int64], number: int) -> Batch:
        """Write a part of the trace, whose operations have the numbers ``index``, shape (n,)."""
        readback = number == READBACK
        operation = part.trace.operation
        if readback:
            operation = np.full(len(index), Operation.READ, np.uint8)
        else:
            self.zspages.open(part)
            self.born[part.trace.object[operation == Operation.ALLOCATE]] = number
        zspage = self.zspages.descriptors(part.placed.zspage)
        buffers, words = self._fill_arena(part, operation)
        ops = self._write_records(part, operation, zspage, buffers, readback=readback)
        batch = Batch(
            number=number,
            part=part,
            index=index,
            operation=operation,
            ops=ops,
            expected=self._expect(part, operation, zspage, ops, readback=readback),
            first_word=_first_words(part, ops),
            looks=_looks(ops, readback=readback),
            arena=buffers,
            words=words,
        )
        if not readback:
            self.zspages.close(part)
        return batch

    def _fill_arena(
        self, part: PlacedTrace, operation: NDArray[np.uint8]
    ) -> tuple[Arena, NDArray[np.uint64]]:
        """Write what callers' buffers hold at first; return them and their words in the guest."""
        memory = self._memory
        object_, length = part.trace.object, part.trace.length.astype(np.int64)
        history = self._versions.advance(operation, object_, length)
        buffers = arena(operation, _numbers(part), length, history)
        words = memory.view(memory.arena, np.dtype(np.uint64), buffers.words)
        buffers.write(words)
        return buffers, words

    def _handles(self, part: PlacedTrace) -> NDArray[np.uint64]:
        """Return what a slot's header holds: bit 0 tells it from a link, as in the kernel."""
        mask = np.uint64((1 << self._memory.target.word_bits) - 1)
        number = _numbers(part).astype(np.uint64)
        handles: NDArray[np.uint64] = (number + np.uint64(1) << np.uint64(3) | np.uint64(1)) & mask
        return handles

    def _write_records(
        self,
        part: PlacedTrace,
        operation: NDArray[np.uint8],
        zspage: NDArray[np.int64],
        buffers: Arena,
        *,
        readback: bool,
    ) -> NDArray[np.void]:
        """Write a ``struct zs_op`` for each operation, and return them in place, shape (n,).

        ``zspage`` is the descriptor of each operation's zspage, shape (n,).
        """
        memory, placed = self._memory, part.placed
        caller, update = buffer_offsets(len(operation), buffers, memory.arena)
        ops = memory.view(memory.ops, memory.types.op, len(operation))
        ops["kind"] = operation
        ops["mode"] = MODES[operation]
        ops["cpu"] = 0 if readback else part.trace.cpu
        ops["zspage"] = memory.virtual(memory.zspages) + zspage * ZSPAGE_SIZE
        ops["slot"] = placed.slot
        ops["page"] = placed.page
        ops["offset"] = placed.offset
        ops["header"] = part.geometry.headers[placed.class_index]
        ops["length"] = part.trace.length
        ops["caller"] = np.where(caller, memory.virtual(0) + caller, 0)
        ops["update"] = np.where(update, memory.virtual(0) + update, 0)
        ops["handle"] = self._handles(part)
        ops["flags"] = Flag.CHECK if readback else placed.opens * np.uint32(Flag.OPENS)
        ops["error"] = 0
        if part.script and not readback:
            self._write_script(part, ops)
        return ops

    def _write_script(self, part: PlacedTrace, ops: NDArray[Any]) -> None:
        """Write into the records what goes beyond a trace."""
        script = part.script
        assert script
        memory, kind = self._memory, script.kind
        ops["kind"], ops["held"] = kind, script.held
        maps = kind >= Kind.HOLD
        ops["mode"][maps] = script.mode[maps]
        for at in np.flatnonzero(kind == Kind.RELEASE).tolist():
            began = int(script.partner[at])
            # A reader's own buffer is for what it sees at last.
            own = ops["caller"][at]
            ops["caller"][at] = ops["caller"][began]
            ops["update"][at] = own or ops["update"][began]
        moves = kind == Kind.MOVE
        zspage, slot = script.target[moves].T
        slots = part.geometry.locate(part.placed.class_index[moves], slot)
        descriptor = self.zspages.descriptors(zspage)
        ops["to_zspage"][moves] = memory.virtual(memory.zspages) + descriptor * ZSPAGE_SIZE
        ops["to_slot"][moves], ops["to_page"][moves] = slot, slots.page
        ops["to_offset"][moves] = slots.offset
        migrates = kind == Kind.MIGRATE
        ops["handle"][migrates] = self.zspages.free_pfns(int(migrates.sum()))

    def _expect(
        self,
        part: PlacedTrace,
        operation: NDArray[np.uint8],
        zspage: NDArray[np.int64],
        ops: NDArray[np.void],
        *,
        readback: bool,
    ) -> NDArray[np.void]:
        """Return what each operation may access, dtype hook_structures.EXPECTED, shape (n,).

        ``zspage`` is the descriptor of each operation's zspage, shape (n,).
        """
        memory, placed, geometry = self._memory, part.placed, part.geometry
        class_index, spans = placed.class_index, placed.spans
        expected = np.zeros(len(operation), EXPECTED)
        scope = np.where(spans, np.array([4, 4, 1, 2, 3])[operation], counts.OTHER)
        expected["scope"] = counts.UNCOUNTED if readback else scope
        expected["cpu"] = ops["cpu"]
        expected["zspage"] = zspage
        slots = geometry.locate(class_index, placed.slot)
        expected["low"], expected["high"] = slots.low, slots.high
        expected["reads"] = operation == Operation.READ
        # From the record: a release has the buffer of the hold before it.
        looks_again = (ops["kind"] == Kind.RELEASE) & (ops["mode"] == Mode.RO)
        buffer = np.where(looks_again, ops["update"], ops["caller"])
        expected["caller"] = buffer.astype(np.uint64) - np.uint64(memory.virtual(0))
        expected["given"] = ops["caller"].astype(np.uint64) - np.uint64(memory.virtual(0))
        expected["length"], expected["header"] = ops["length"], ops["header"]
        size = geometry.sizes[class_index].astype(np.int64)
        start, page = placed.offset.astype(np.int64), placed.page
        pages = self.zspages.pages
        first = memory.page_offset(pages[zspage, page]) + start
        second = memory.page_offset(pages[zspage, np.minimum(page + 1, MAX_PAGES - 1)])
        inside = np.minimum(size, geometry.page_size - start)
        expected["part"][:, 0], expected["bytes"][:, 0] = first, inside
        expected["part"][:, 1] = np.where(spans, second, first)
        expected["bytes"][:, 1] = size - inside
        return expected


def _numbers(part: PlacedTrace) -> NDArray[np.uint32]:
    """Return the number of each operation's object in the whole trace, shape (n,)."""
    return part.trace.object if part.number is None else part.number


def _first_words(part: PlacedTrace, ops: NDArray[np.void]) -> NDArray[np.uint64]:
    """Return what the first word of each slot must be: a free slot has the driver's link."""
    links = part.placed.slot.astype(np.uint64) << np.uint64(1)
    return np.where(ops["kind"] == Operation.ALLOCATE, links, ops["handle"].astype(np.uint64))


def _looks(ops: NDArray[np.void], *, readback: bool) -> NDArray[np.bool_]:
    """Say at which slots' first words the driver looks, shape (n,)."""
    kind = ops["kind"]
    with_header = (ops["header"] > 0) & ((kind == Operation.FREE) | readback)
    looks: NDArray[np.bool_] = (kind == Operation.ALLOCATE) | with_header
    return looks


def buffer_offsets(
    operations: int, buffers: Arena, start: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each operation's first and second buffer lie in RAM, 0 for none; (n,) each.

    The second buffer of an operation, if it has one, is the update's.
    """
    caller, update = (np.zeros(operations, np.int64) for _ in range(2))
    second = np.zeros(len(buffers.owner), bool)
    second[1:] = buffers.owner[1:] == buffers.owner[:-1]
    caller[buffers.owner[~second]] = start + buffers.start[~second] * 8
    update[buffers.owner[second]] = start + buffers.start[second] * 8
    return caller, update


def _select(part: PlacedTrace, rows: NDArray[np.int64]) -> PlacedTrace:
    """Return some operations of a part on their own, to be looked at only."""
    nothing = np.empty(0, np.int64)
    trace, placed = part.trace.take(rows), part.placed.take(rows)
    number = _numbers(part)[rows]
    return replace(part, trace=trace, placed=placed, number=number, bounds=nothing, live=nothing)


def _join(one: PlacedTrace, other: PlacedTrace) -> PlacedTrace:
    """Return the operations of two that _select() has returned."""
    return replace(
        one,
        trace=one.trace.followed_by(other.trace),
        placed=one.placed.followed_by(other.placed),
        number=np.concatenate([_numbers(one), _numbers(other)]),
    )
