# SPDX-License-Identifier: GPL-2.0-only
"""A run: a whole placed trace through a kernel's own allocator, judged.

Two machines share the memory, as for strategies: the fast one counts block hits, the observing one
has every event hooked. What derives from KernelRun says which operations are observed, and what is
learned from them.
"""

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu import counts
from zsemu.errors import ZsemuError
from zsemu.guest.alternation import HALTED, Alternation
from zsemu.guest.machine import Fault, Machine
from zsemu.guest.structures import StopAt
from zsemu.kernel import records
from zsemu.kernel.facts import KernelFacts
from zsemu.kernel.guest import Kind
from zsemu.kernel.hooks import TOO_LONG, TOO_MANY_BLOCKS, Hooks, build_library
from zsemu.kernel.judgement import Judge
from zsemu.kernel.memory import KernelMemory, KernelSizes
from zsemu.kernel.operations import LiveObjects, Operations, some
from zsemu.replay import oracle, violations
from zsemu.replay.placed_trace import MAX_ARENA, MAX_OPERATIONS, PlacedStream, PlacedTrace
from zsemu.replay.violations import FINAL_READ
from zsemu.traces.operation import Operation

_SCOPES: Final = np.array(
    [
        counts.SPANNING_OTHER,
        counts.SPANNING_OTHER,
        counts.SPANNING_READ,
        counts.SPANNING_WRITE,
        counts.SPANNING_UPDATE,
    ],
    np.uint8,
)
_OBSERVED, _FAST = 0, 1
"""shapes in the records: what is never known to the guest's driver, and what always is"""
_RUNS: Final = "it does not return"
_WAITS: Final = "it waits for an interrupt, and none comes"
_LEAST: Final = 64
"""pages that a run has beside those that the model needs"""


class _Stopped(Exception):  # noqa: N818 - not an error, a way out
    """The run cannot go on."""


class KernelRun:
    """One run of one object over one placed trace."""

    def __init__(
        self,
        facts: KernelFacts,
        placed: PlacedTrace | PlacedStream,
        *,
        progress: Callable[[int], None] | None = None,
        seed: int = 0,
    ) -> None:
        """Boot the guest; ``seed`` gives the order in which the allocator gets its pages."""
        self.facts, self.placed, self.seed = facts, placed, seed
        self.progress = progress
        self.sizes = KernelSizes(
            cpus=placed.cpus,
            operations=MAX_OPERATIONS,
            arena=MAX_ARENA + 4 * placed.geometry.page_size,
            # The model's peak lets a batch use nothing that it gives back itself.
            pages=placed.pages + _LEAST,
            objects=placed.objects + 1,
            zspages=placed.zspages,
        )
        self.memory = memory = KernelMemory(
            facts.linked, facts.layouts, facts.address, self.sizes, seed
        )
        memory.view(memory.known, np.dtype(np.uint8), 2)[_FAST] = 1
        self.judge = Judge(facts, memory)
        self.live = LiveObjects(placed.objects)
        self._versions = oracle.Versions(placed.objects)
        self._fast, self._slow = Machine(memory), Machine(memory)
        self.fast_stop = -1
        """operation of the trace in which the fast machine could not go on; -1 if it always did"""
        self.run_plain(Kind.INIT, Kind.CREATE)
        memory.mark_buffers()
        self.fast_hooks, self.slow_hooks = Hooks(memory), Hooks(memory)
        self.rows = self.slow_hooks.observe(MAX_OPERATIONS)
        """cost of each operation of the batch that was observed: (n, phases, kinds, columns)"""
        self.fast_hooks.attach_blocks(self._fast.uc)
        self.slow_hooks.attach_everything(self._slow.uc)
        self._fast.uc.ctl_flush_tb()
        self._alternation = Alternation(
            build_library(),
            (self._fast, self._slow),
            (self.fast_hooks.exhausted, self.slow_hooks.exhausted),
            memory.batch,
        )
        self.profiled: tuple[int, ...] | None = None
        """scopes of the operations that are counted by instruction, once profile() is called"""
        self.signature = np.zeros(MAX_OPERATIONS, np.uint64)
        """the path of each malloc and free of the batch"""
        for hooks in (self.fast_hooks, self.slow_hooks):
            hooks.point("signature", self.signature)

    def profile(self, scopes: Iterable[int]) -> NDArray[np.uint64]:
        """Count by instruction, too, what is observed of some columns of counts.SCOPES.

        Return the array that is filled, shape (phases, bytes of code, counts.PROFILE).
        """
        self.profiled = tuple(scopes)
        return self.slow_hooks.profile()

    # What a derived class says.

    def choose(self, part: PlacedTrace, batch: Operations) -> NDArray[np.bool_]:
        """Say which operations of a batch are observed, shape (n,)."""
        return np.zeros(len(batch), bool)

    def learn(
        self,
        part: PlacedTrace,
        batch: Operations,
        ops: NDArray[np.void],
        observed: NDArray[np.bool_],
        scope: NDArray[np.uint8],
    ) -> None:
        """Hear of a batch that has been carried out and judged."""

    # The run.

    def go(self) -> bool:
        """Replay all of the trace, read back what is alive, free it, and destroy the pool.

        Return whether the guest got to the end.
        """
        try:
            for part in self.placed.parts():
                for first, end in zip(part.bounds[:-1], part.bounds[1:], strict=True):
                    self.run_batch(part, int(first), int(end))
                    if self.progress:
                        self.progress(int(end - first))
            self._read_back()
            self._leave()
        except _Stopped:
            return False
        return True

    def run_batch(self, part: PlacedTrace, first: int, end: int) -> None:
        """Carry out a batch of a part, and judge it."""
        batch = some(part, first, end)
        observed = self.choose(part, batch)
        scope = np.where(batch.spans, _SCOPES[batch.operation], counts.OTHER).astype(np.uint8)
        ops = self._carry_out(batch, observed, scope)
        self.judge.behind = part.first + end
        self.live.follow(batch)
        self.learn(part, batch, ops, observed, scope)
        self.rows[: len(batch)][observed] = 0
        assert self.memory.state["logged"][0] <= MAX_OPERATIONS * 16

    def _carry_out(
        self, batch: Operations, observed: NDArray[np.bool_], scope: NDArray[np.uint8]
    ) -> NDArray[np.void]:
        """Let the guest do some operations, and judge them; return their records."""
        ops, buffers, words = records.write(self.memory, self._versions, batch)
        ops["shape"] = np.where(observed, _OBSERVED, _FAST)
        self._drive(batch, scope)
        if not self.judge.judge(batch, ops, buffers, words):
            raise _Stopped
        return ops

    def _drive(self, batch: Operations, scope: NDArray[np.uint8]) -> None:
        """Run the records in memory on both machines in turn."""
        memory, control = self.memory, self.memory.batch
        control["first"], control["last"], control["current"] = 0, len(batch), 0
        memory.state["logged"] = 0
        self.signature[:] = 0
        for hooks in (self.fast_hooks, self.slow_hooks):
            hooks.expect(scope)
        if self.profiled is not None:
            self.slow_hooks.point("weight", np.isin(scope, self.profiled).astype(np.uint64))
        done = np.zeros(len(batch), np.uint8)
        error = self._alternation.run(done)
        if self.fast_hooks.raw.exhausted == TOO_MANY_BLOCKS:
            raise ZsemuError("the image has more blocks than there is room for: a bug in zsemu")
        row = min(int(control["current"][0]), len(batch) - 1)
        observing = int(memory.view(memory.ops, memory.types.op, len(batch))["shape"][row])
        machine = self._slow if observing == _OBSERVED else self._fast
        endless = any(h.raw.exhausted == TOO_LONG for h in (self.fast_hooks, self.slow_hooks))
        if not error and not endless:
            return
        if machine is self._fast and not batch.action:
            self.fast_stop = int(batch.index[0])
        self.judge.complaints(batch)
        pc = int(machine.uc.reg_read(memory.target.pc))
        if error == HALTED:
            self.judge.add(violations.HALTS, _WAITS, batch, row, pc=self.judge.call(pc))
        elif error:
            self.judge.fault(machine.uc, batch, row)
        else:
            self.judge.add(violations.ENDLESS, _RUNS, batch, row, pc=pc)
        raise _Stopped

    # The end.

    def _read_back(self) -> None:
        """Read all of every live object, not counted."""
        most = max(1, min(MAX_OPERATIONS, MAX_ARENA // (2 * self.placed.geometry.page_size)))
        self._do_with_all(Operation.READ, FINAL_READ, most)

    def _leave(self) -> None:
        """Free what is alive, destroy the pool, and see what is left."""
        self._do_with_all(Operation.FREE, "final free", MAX_OPERATIONS)
        self.run_plain(Kind.DESTROY)
        left = int(self.memory.state["pages_out"][0])
        if left:
            self.complain(f"{left} pages are left after zs_destroy_pool()", "destroy")
        self.run_plain(Kind.EXIT)
        left = int(self.memory.state["objects_out"][0])
        if left:
            self.complain(f"{left} slab objects are left after zs_destroy_pool()", "destroy")

    def _do_with_all(self, operation: Operation, action: str, most: int) -> None:
        objects = self.live.handles()
        for first in range(0, len(objects), most):
            batch = self.live.operations(objects[first : first + most], operation, action)
            uncounted = np.full(len(batch), counts.UNCOUNTED, np.uint8)
            self._carry_out(batch, np.zeros(len(batch), bool), uncounted)

    # What is none of the trace's operations.

    def run_plain(self, *kinds: Kind, frame: int = 0, length: int = 0) -> NDArray[np.void]:
        """Run operations that are not the trace's, uncounted; return their records.

        ``frame`` is that of a page to migrate, ``length`` of an object to allocate, which then has
        the last number that there is.
        """
        memory, control = self.memory, self.memory.batch
        action = kinds[-1].name.lower()
        ops = memory.view(memory.ops, memory.types.op, len(kinds))
        ops[:] = np.zeros(1, memory.types.op)[0]
        ops["kind"], ops["handle"], ops["length"] = kinds, frame, length
        ops["object"] = self.sizes.objects - 1
        control["first"], control["last"], control["stop_at"] = 0, len(kinds), StopAt.NEVER
        memory.state["logged"] = 0
        try:
            returned = self._fast.drive()
        except Fault as fault:
            self.judge.complaints(None, action)
            self.judge.fault(self._fast.uc, None, action=action)
            raise _Stopped from fault
        self.judge.complaints(None, action)
        if not returned:
            pc = int(self._fast.uc.reg_read(memory.target.pc))
            endless = self.fast_hooks.raw.exhausted == TOO_LONG
            if endless:
                self.judge.add(violations.ENDLESS, _RUNS, pc=pc, action=action)
            else:
                self.judge.add(violations.HALTS, _WAITS, pc=self.judge.call(pc), action=action)
            raise _Stopped
        return ops

    def complain(self, detail: str, action: str) -> None:
        """Report something wrong that no operation of the trace did."""
        self.judge.add(violations.ALLOCATOR, detail, action=action)

    def frame_of(self, object_: int) -> int:
        """Return the page frame in which a live object starts now."""
        memory, word = self.memory, self.memory.target.word
        at = memory.handles + object_ * word
        handle = int.from_bytes(memory.ram[at : at + word].tobytes(), "little")
        return memory.word(handle) >> self.facts.index_shift

    def observe_again(self, row: int) -> NDArray[np.uint32]:
        """Run a map of the batch in memory once more; return its row (phases, kinds, columns)."""
        control = self.memory.batch
        control["first"], control["last"], control["stop_at"] = row, row + 1, StopAt.NEVER
        self.rows[row] = 0
        self._slow.drive()
        found: NDArray[np.uint32] = self.rows[row].copy()
        return found
