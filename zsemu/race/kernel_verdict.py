# SPDX-License-Identifier: GPL-2.0-only
"""Judge the end of a schedule of a kernel's own object.

The host lets the kernel itself do what is left: work that was queued, a read of every object, and
free all of them. Then nothing may be left, no stand-in may have complained, and every byte that
anybody saw must be what the oracle says.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.kernel.facts import KernelFacts
from zsemu.kernel.guest import GONE, Kind
from zsemu.kernel.judgement import Judge
from zsemu.kernel.memory import KernelMemory
from zsemu.race.kernel_locks import LockNames, holding, inversion
from zsemu.race.kernel_scenes import KernelScript
from zsemu.race.machine import TwoCpus
from zsemu.race.native_structures import DONE, ENDLESS, FAILS, FAULT
from zsemu.replay import violations
from zsemu.replay.oracle import Arena
from zsemu.replay.violations import FINAL_READ, Violation

_DEADLOCK: Final = "a deadlock: "


@dataclass(frozen=True)
class Empty:
    """What a pool without objects is like."""

    objects_out: int
    """slab objects"""
    places: NDArray[np.int64]
    """the bytes of RAM that hold lists and statistics of the size class in use"""
    content: NDArray[np.uint8]
    """of these"""


class KernelJudge:
    """Judges one scene's ends. A verdict is 0, or 1 + the index of a violation, with FAILS."""

    def __init__(
        self,
        facts: KernelFacts,
        cpus: TwoCpus[KernelMemory],
        made: KernelScript,
        ops: NDArray[np.void],
        buffers: Arena,
        words: NDArray[np.uint64],
        empty: Empty,
    ) -> None:
        """Judge by the oracle, and by what a pool without objects is like."""
        self._facts, self._cpus, self._made = facts, cpus, made
        self._ops, self._buffers, self._words = ops, buffers, words
        self._empty = empty
        self._names = LockNames(cpus.memory)
        self.violations: list[Violation] = []
        """what was wrong"""
        self.wrong_at: list[int] = []
        """by violation: where in RAM its first wrong byte is, -1 if it has none"""

    def __call__(self) -> int:
        """Judge the state that memory is in."""
        judge = Judge(self._facts, self._cpus.memory)
        if self._ends(judge) and self._order(judge):
            self._look(judge)
        if not judge.violations:
            return 0
        self.violations.append(self._told(judge.violations[0]))
        memory, at = self._cpus.memory, judge.wrong_at
        self.wrong_at.append(memory.offset(at) if at else -1)
        return len(self.violations) | FAILS

    def violation(self, verdict: int) -> Violation:
        """Return what a verdict that is not 0 is about."""
        return self.violations[(verdict & ~FAILS) - 1]

    def byte(self, verdict: int) -> int:
        """Return where in RAM the first wrong byte is, -1 if there is none."""
        return self.wrong_at[(verdict & ~FAILS) - 1]

    def _told(self, found: Violation) -> Violation:
        """Say what the operation of a violation was, and on which CPU."""
        row, parts = found.operation, self._made.parts
        action = Kind(int(self._made.kinds[row])).name.lower()
        if row >= parts.reader:
            return replace(found, action=FINAL_READ if action == "read" else f"{action} at the end")
        return replace(found, action=f"{action} on {parts.owner(row)}")

    def _ends(self, judge: Judge) -> bool:
        """Say what is wrong if a CPU did not come to its end, or a stand-in has complained."""
        cpus, parts, done = self._cpus, self._made.parts, self._made.operations
        judge.complaints(done)
        ends = [cpus.ended(who) for who in (0, 1)]
        if ends == [DONE, DONE]:
            return not judge.count
        # Whoever cannot go on may be the reason why the other waits.
        who = ends.index(FAULT) if FAULT in ends else next(n for n in (0, 1) if ends[n] != DONE)
        row, pc = (parts.a, parts.b)[who], cpus.last(who)
        if ends[who] == FAULT:
            judge.fault(cpus.machines[who].uc, done, row)
        elif ends[who] == ENDLESS:
            told = holding(cpus.memory, self._names)
            detail = (_DEADLOCK if ends == [ENDLESS, ENDLESS] else "does not return: ") + told
            judge.add(violations.ENDLESS, detail, done, row, pc=pc)
        else:
            judge.add(violations.HALTS, "waits for an interrupt", done, row, pc=pc)
        return False

    def _order(self, judge: Judge) -> bool:
        """Say if each CPU takes a lock inside the other's, which can be a deadlock."""
        found = inversion(self._cpus.memory)
        if found:
            one, other = map(self._names, found)
            detail = f"{other} is taken while {one} is held, and the other way round"
            judge.add(violations.ALLOCATOR, detail, self._made.operations, self._made.parts.a)
        return not found

    def _look(self, judge: Judge) -> None:
        """Let the kernel do what is left, and say what is wrong then."""
        cpus, memory, done = self._cpus, self._cpus.memory, self._made.operations
        ended = cpus.run(0)
        judge.complaints(done)
        if ended != DONE:
            control = memory.view(cpus.reader_batch, memory.types.batch, 1)
            row, pc = int(control["current"][0]), cpus.last(0)
            if ended == FAULT:
                judge.fault(cpus.machines[0].uc, done, row)
            else:
                judge.add(violations.ENDLESS, "does not return", done, row, pc=pc)
            return
        judge.judge(done, self._ops, self._buffers, self._words)
        moved = self._made.kinds == Kind.MIGRATE
        for row in np.flatnonzero(moved & ~np.isin(self._ops["result"], (0, GONE))).tolist():
            detail = f"migration fails with {int(self._ops['result'][row]):#x}"
            judge.add(violations.ALLOCATOR, detail, done, row)
        last, state = self._made.parts.end - 1, memory.state[0]
        if state["pages_out"]:
            detail = f"{int(state['pages_out'])} pages are left when all objects are freed"
            judge.add(violations.ALLOCATOR, detail, done, last)
        if state["objects_out"] != self._empty.objects_out:
            number = int(state["objects_out"]) - self._empty.objects_out
            detail = f"{number} slab objects are left when all objects are freed"
            judge.add(violations.ALLOCATOR, detail, done, last)
        if (memory.ram[self._empty.places] != self._empty.content).any():
            detail = "lists and statistics of the class are not empty when all objects are freed"
            judge.add(violations.ALLOCATOR, detail, done, last)
