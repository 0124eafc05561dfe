# SPDX-License-Identifier: GPL-2.0-only
"""Holds the placement model against a kernel: what its own allocator does with every object."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.kernel.facts import KernelFacts
from zsemu.kernel.judgement import Judge
from zsemu.kernel.memory import KernelMemory
from zsemu.kernel.object import Api
from zsemu.kernel.operations import Operations
from zsemu.replay.placed_trace import PlacedTrace
from zsemu.traces.operation import Operation

_TOLD: Final = 20
"""differences of a batch that are told in words"""


class PlacementCheck:
    """Compares, batch by batch.

    Of every allocation: the slot, the page frame it starts in, which must be the page of this
    number of the zspage that the model says, and whether it took new pages, as many as the class's
    chains have. Of every map whose interface gives an address: that of the payload, and so the
    offset, and whether the object spans. After every batch: the number of pages in use.
    """

    def __init__(self, facts: KernelFacts, memory: KernelMemory, judge: Judge) -> None:
        self._facts, self._memory, self._judge = facts, memory, judge
        self._longest = int(facts.geometry.pages.max())
        self._chains = np.full((1024, self._longest), -1, np.int64)
        self._pages = 0
        self.compared = 0
        """allocations and maps"""
        self._buffers = np.array(memory.buffers() or [0], np.uint64)

    def batch(self, part: PlacedTrace, first: int, done: Operations, ops: NDArray[np.void]) -> None:
        """Compare operations that have been carried out, which are those of a part from ``first``.

        Judge hears what differs.
        """
        placed = part.placed
        end = first + len(done)
        self._grow(int(placed.zspage[first:end].max(initial=-1)) + 1)
        allocations = np.flatnonzero(done.operation == Operation.ALLOCATE)
        self._allocations(part, first, done, ops, allocations)
        self._maps(part, first, done, ops, np.flatnonzero(done.maps))
        pages = self._facts.geometry.pages[done.class_index].astype(np.int64)
        self._pages += int(pages[placed.opens[first:end]].sum())
        self._pages -= int(pages[placed.closes[first:end]].sum())
        last = np.array([len(done) - 1])
        used = np.array([int(self._memory.state["pages_out"][0])])
        self._compare(done, last, "pages in use", used, np.array([self._pages]))

    def _grow(self, serials: int) -> None:
        if serials > len(self._chains):
            more = max(serials - len(self._chains), len(self._chains))
            fresh = np.full((more, self._longest), -1, np.int64)
            self._chains = np.concatenate([self._chains, fresh])

    def _compare(
        self,
        done: Operations,
        rows: NDArray[np.int64],
        what: str,
        kernel: NDArray[np.int64],
        model: NDArray[np.int64],
    ) -> None:
        wrong = np.flatnonzero(kernel != model)
        if len(wrong):
            told = [
                f"{what}: {int(kernel[at])}, and {int(model[at])} in zsemu's model"
                for at in wrong[:_TOLD].tolist()
            ]
            self._judge.differs(done, rows[wrong], told)

    def _allocations(
        self,
        part: PlacedTrace,
        first: int,
        done: Operations,
        ops: NDArray[np.void],
        rows: NDArray[np.int64],
    ) -> None:
        facts, placed, index = self._facts, part.placed, first + rows
        word = ops["obj"][rows].astype(np.uint64)
        frame = (word >> np.uint64(facts.index_shift)).astype(np.int64)
        mask = np.uint64((1 << facts.index_shift) - 1)
        slot = ((word & mask) >> np.uint64(facts.tag_bits)).astype(np.int64)
        self._compare(done, rows, "slot", slot, placed.slot[index].astype(np.int64))
        logged = ops["logged"].astype(np.int64)
        taken = np.diff(logged, prepend=0)[rows]
        opens = placed.opens[index]
        chain = facts.geometry.pages[placed.class_index[index]].astype(np.int64)
        self._compare(done, rows, "pages taken", taken, np.where(opens, chain, 0))
        if len(logged):
            log = self._memory.view(self._memory.log, np.dtype("<u4"), int(logged[-1]))
            for row in np.flatnonzero(opens).tolist():
                end = int(logged[rows[row]])
                frames = log[end - int(taken[row]) : end][: self._longest]
                self._chains[placed.zspage[index[row]], : len(frames)] = frames
        expected = self._chains[placed.zspage[index], placed.page[index]]
        self._compare(done, rows, "page frame", frame, expected)
        self.compared += len(rows)

    def _maps(
        self,
        part: PlacedTrace,
        first: int,
        done: Operations,
        ops: NDArray[np.void],
        rows: NDArray[np.int64],
    ) -> None:
        memory, placed = self._memory, part.placed
        rows = rows[ops["address"][rows] != 0]
        index, spans = first + rows, done.spans[rows]
        address = ops["address"][rows].astype(np.uint64)
        header = self._facts.geometry.headers[done.class_index[rows]].astype(np.int64)
        frame = self._chains[placed.zspage[index], placed.page[index]]
        direct = memory.linear(frame) + (done.offset[rows] + header).astype(np.uint64)
        if self._facts.linked.kernel.api == Api.MAP:
            copied = np.isin(address - header.astype(np.uint64), self._buffers)
            expected = spans
        else:
            # Of a spanning object its slot may span, but not the length that is read.
            pool = np.uint64(memory.virtual(memory.pool))
            copied = address - pool >= np.uint64(memory.sizes.pages * 2 * memory.page_size)
            expected = spans & copied
        self._compare(done, rows, "spans", copied.astype(np.int64), expected.astype(np.int64))
        shift = (address - direct).astype(np.int64)
        nothing = np.zeros(len(rows), np.int64)
        self._compare(done, rows, "offset", np.where(copied | spans, 0, shift), nothing)
        self.compared += len(rows)
