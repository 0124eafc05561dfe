# SPDX-License-Identifier: GPL-2.0-only
"""Hold the guest of one replay: its memory, and the one or two emulated CPUs that run over it.

The counting CPU has one hook, which counts how often each translated block ran. The observing CPU
has every instruction and every access hooked, and fills a row of counts for each operation. Both
run the same driver over the same records, and the driver says at which operation it stopped.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import unicorn
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.guest.alternation import OBSERVING, Alternation
from zsemu.guest.faults import explain
from zsemu.guest.hook_structures import NO_OPERATION, TOO_MANY_BLOCKS, TOO_MUCH_MEMORY
from zsemu.guest.hooks import Hooks, Place, library
from zsemu.guest.image import Image
from zsemu.guest.machine import Fault, Machine
from zsemu.guest.memory import Memory, Sizes
from zsemu.guest.structures import StopAt
from zsemu.guest.watchdog import Watch
from zsemu.replay import violations
from zsemu.replay.batch import Batch, BatchWriter
from zsemu.replay.placed_trace import MAX_ARENA, MAX_OPERATIONS, PlacedStream, PlacedTrace

BUDGET: Final = 1 << 20
"""blocks, or instructions where those are hooked, that one phase of one operation may take"""

_FLUSHES: Final = 5
"""flushes of the counting CPU's TLB, each before another batch. Unicorn's has 256 entries, and is
doubled only when it is flushed and most of them are in use (tlb_mmu_resize_locked() in QEMU's
accel/tcg/cputlb.c). When it has thousands, most pages that a batch uses stay in it."""


class Stopped(Exception):  # noqa: N818 - what the guest did is a finding, not an error of ours
    """The guest could not go on with an operation of a batch: the replay ends there."""

    def __init__(self, which: int, kind: str, detail: str, place: Place | None) -> None:
        """Name the operation in its batch, the kind of violation, and what happened in words.

        ``place`` is where the guest was, None where only an observing CPU can know it.
        """
        super().__init__(detail)
        self.which, self.kind, self.detail, self.place = which, kind, detail, place


class Machines:
    """Guest memory, the writer of its batches, and a counting and an observing CPU."""

    strict = False
    """whether translations are kept as a TLB may that never forgets"""

    def __init__(
        self,
        image: Image,
        placed: PlacedTrace | PlacedStream,
        *,
        promises: Sequence[str] = (),
        watch: int = -1,
        by_span: bool = False,
    ) -> None:
        """Boot both CPUs; ``watch`` is a byte of RAM whose last store is wanted, or -1.

        With ``by_span``, the observing CPU judges the user's accesses by the spans that a strategy
        gives, and counts nothing of them, but for operations flagged EACH.
        """
        self.image, self.placed = image, placed
        sizes = Sizes(
            cpus=placed.cpus,
            operations=MAX_OPERATIONS,
            # One operation may be larger than the limit of a batch, if it is alone in it.
            arena=MAX_ARENA + 4 * placed.geometry.page_size,
            zspages=placed.zspages,
            pages=placed.pages,
        )
        self.memory = Memory(image, sizes, placed.page_shift)
        self.writer = BatchWriter(placed, self.memory)
        self.blocks = Hooks(self.memory, budget=BUDGET)
        """what the counting CPU's hook fills"""
        self.events = Hooks(self.memory, budget=BUDGET)
        """what the observing CPU's hooks fill"""
        zspages = self.writer.zspages
        self.events.observe(zspages.owner, zspages.index, promises=promises, watch=watch)
        self.rows = self.events.rows(MAX_OPERATIONS)
        """what the operations of a batch cost that were observed, shape (n, phases, columns)"""
        self._by_span = by_span
        self.counter, self.observer = self.boot()
        self.events.attach_everything(self.observer.uc)
        self._alternation = Alternation(
            library(),
            (self.counter, self.observer),
            (self.blocks.stopped_at, self.events.stopped_at),
            self.memory.batch,
            self.memory.by_span["wanted"] if by_span else None,
        )

    def boot(self) -> tuple[Machine, Machine]:
        """Return the counting CPU and the observing one."""
        counter = Machine(self.memory)
        self.blocks.attach_blocks(counter.uc)
        return counter, Machine(self.memory)

    def expect(self, batch: Batch) -> None:
        """Give the hooks what they judge a batch by."""
        for hooks in (self.blocks, self.events):
            hooks.expect(batch.expected)

    def count(self, batch: Batch, first: int = 0) -> None:
        """Run a batch from operation ``first`` on, counting blocks."""
        self._grow_tlb(batch)
        self._drive(self.counter, batch, first, len(batch.index), observes=False)

    def observe(self, batch: Batch, end: int | None = None) -> None:
        """Run a batch, up to operation ``end``, and observe all of it."""
        end = len(batch.index) if end is None else end
        self._drive(self.observer, batch, 0, end, observes=True)

    def alternate(self, batch: Batch) -> NDArray[np.bool_]:
        """Run a batch, and observe the operations whose shapes are new; return which, shape (n,).

        The counting CPU runs all others.
        """
        control = self.memory.batch
        control["first"], control["last"] = 0, len(batch.index)
        self._grow_tlb(batch)
        observed = np.zeros(len(batch.index), np.uint8)
        watch = Watch((self.counter.uc, self.observer.uc), control["current"])
        error = self._alternation.run(observed)
        stuck = watch.end()
        fault = Fault(str(unicorn.UcError(error))) if error > 0 else None
        observes = self._alternation.which == OBSERVING
        end = len(observed)
        self._ensure_done(batch, end, fault, observes=observes, returned=not error, stuck=stuck)
        return observed.view(bool)

    def _grow_tlb(self, batch: Batch) -> None:
        if 0 < batch.number <= _FLUSHES:
            self.counter.flush_tlb()

    def _drive(
        self, machine: Machine, batch: Batch, first: int, end: int, *, observes: bool
    ) -> None:
        """Run the driver over operations from ``first`` up to ``end``."""
        control = self.memory.batch
        control["first"], control["last"], control["stop_at"] = first, end, StopAt.NEVER
        self.memory.by_span["wanted"] = self._by_span and observes
        fault, returned = None, False
        watch = Watch((machine.uc,), control["current"])
        try:
            returned = machine.drive()
        except Fault as found:
            fault = found
        stuck = watch.end()
        self._ensure_done(batch, end, fault, observes=observes, returned=returned, stuck=stuck)

    def _ensure_done(
        self,
        batch: Batch,
        end: int,
        fault: Fault | None,
        *,
        observes: bool,
        returned: bool,
        stuck: bool,
    ) -> None:
        """Raise Stopped if a CPU, which is the one that ``observes`` or not, did not get there."""
        machine, hooks = (self.observer, self.events) if observes else (self.counter, self.blocks)
        at, returned = int(self.memory.batch["current"][0]), returned and not hooks.stopped
        if returned and at == end:
            return
        lost = returned and (at > end or not batch.ops["error"][at])
        if at >= len(batch.index):
            # The guest may have overwritten what says which one runs.
            at = hooks.operation
        place = self._place(machine, fault) if observes else None
        if fault:
            detail = explain(machine.uc, self.memory, place.pc) if place else str(fault)
            raise Stopped(at, violations.FAULT, detail, place)
        if hooks.stopped == TOO_MANY_BLOCKS:
            raise ZsemuError("the image has more blocks than there is room for: a bug in zsemu")
        if lost or hooks.stopped == NO_OPERATION:
            detail = "what the driver keeps of its batch is overwritten"
            raise Stopped(at, violations.FAULT, detail, place)
        if hooks.stopped:
            greedy = hooks.stopped == TOO_MUCH_MEMORY
            what = "touches more memory than any object has" if greedy else "does not return"
            raise Stopped(at, violations.ENDLESS, f"{hooks.phase} {what}", place)
        if stuck:
            detail = "the driver does not return, since what it keeps is overwritten"
            raise Stopped(at, violations.ENDLESS, detail, Place(machine.pc) if place else None)
        if not returned:
            detail = f"{hooks.phase} waits for an interrupt, and none comes"
            raise Stopped(at, violations.HALTS, detail, place)
        detail = "zs_map_object() must give 1 or 2 spans of the object's length together"
        raise Stopped(at, violations.SPANS, detail, Place(self.image.address("zs_map_object")))

    def _place(self, machine: Machine, fault: Fault | None) -> Place:
        """Return where the observing CPU is."""
        hooks, pc = self.events, machine.pc
        if fault and pc in self.image.instructions:
            # Hooks see nothing of the driver, and of the user's access perhaps only its beginning.
            return Place(pc, () if hooks.in_driver else hooks.place.calls)
        return hooks.place

    def take_rows(self, which: NDArray[np.int64] | slice) -> NDArray[np.uint32]:
        """Return the rows of some operations of a batch, which are zero again afterwards."""
        rows = self.rows[which].copy()
        self.rows[which] = 0
        return rows


class StrictMachines(Machines):
    """One CPU, whose windows' page table is a device: the one that observes runs everything.

    A page-table entry that was valid is served as it was until its invalidate, so that a missing
    invalidate shows whatever Unicorn's own TLB happens to hold.
    """

    strict = True

    def boot(self) -> tuple[Machine, Machine]:
        """Return the observing CPU twice: it runs everything."""
        machine = Machine(self.memory, strict=self.events)
        return machine, machine
