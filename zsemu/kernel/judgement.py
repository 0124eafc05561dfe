# SPDX-License-Identifier: GPL-2.0-only
"""Judgement: what a kernel's allocator did that it must not, as violations."""

from typing import Final

import numpy as np
import unicorn
from numpy.typing import NDArray

from zsemu.guest import debug_lines
from zsemu.guest.faults import NOT_MEMORY, explain
from zsemu.kernel.facts import KernelFacts
from zsemu.kernel.guest import MAX_ERRORS, WORDS, Cause
from zsemu.kernel.memory import KernelMemory
from zsemu.kernel.operations import Operations
from zsemu.replay import violations
from zsemu.replay.judgement import contents
from zsemu.replay.oracle import Arena
from zsemu.replay.violations import Violation
from zsemu.traces.operation import Operation

_TRAPS: Final = ("ud2", "brk", "udf", "ebreak")
"""instructions by which kernels stop in BUG() and WARN()"""
_LONGEST: Final = 16
"""bytes that an instruction has at most"""


class Judge:
    """Collects the violations of a run, the first ones in full."""

    def __init__(self, facts: KernelFacts, memory: KernelMemory) -> None:
        self._facts, self._memory = facts, memory
        self._image = memory.image
        self.violations: list[Violation] = []
        """the first violations.KEPT, and the first of every kind"""
        self.count = 0
        """how many there were"""
        self.wrong_at = 0
        """address at which an object was mapped, of its first wrong byte; 0 if none is known"""
        self.behind = 0
        """operations of the trace that have been carried out: the number of what follows them"""

    def judge(
        self, done: Operations, ops: NDArray[np.void], buffers: Arena, words: NDArray[np.uint64]
    ) -> bool:
        """Judge operations that have been carried out; return whether all allocations succeeded."""
        self.complaints(done)
        failed = np.flatnonzero((done.operation == Operation.ALLOCATE) & (ops["obj"] == 0))
        for row in failed.tolist():
            detail = f"zs_malloc() returns {int(ops['handle'][row]):#x}"
            self.add(violations.ALLOCATOR, detail, done, row)
        for found in contents(buffers, words, self._memory.arena):
            mapped = int(ops["address"][found.which])
            if mapped and not self.wrong_at:
                inside = self._memory.virtual(found.offset) - int(ops["caller"][found.which])
                self.wrong_at = mapped + inside
            self.add(
                found.kind,
                found.detail,
                done,
                found.which,
                expected=found.expected.hex(" "),
                found=found.found.hex(" "),
            )
        return not len(failed)

    def complaints(self, done: Operations | None, action: str = "") -> None:
        """Report what stand-ins found wrong while operations were carried out."""
        state = self._memory.state[0]
        number = int(state["nr_errors"])
        if not number:
            return
        for error in state["error"][: min(number, MAX_ERRORS)]:
            row, caller = int(error["operation"]), int(error["caller"])
            detail = f"it {WORDS[Cause(int(error['cause']))]}: {int(error['object']):#x}"
            known = done if done is not None and row < len(done) else None
            self.add(violations.ALLOCATOR, detail, known, row, pc=self.call(caller), action=action)
        self.count += max(0, number - MAX_ERRORS)
        self._memory.state["nr_errors"] = 0

    def fault(
        self, uc: unicorn.Uc, done: Operations | None, row: int = 0, action: str = ""
    ) -> None:
        """Report that a CPU could not go on."""
        target = self._memory.target
        # For a trap Unicorn adds nothing to the program counter.
        trap = int(uc.reg_read(target.pc))
        pc = trap - target.exception_pc
        kind, detail = violations.FAULT, explain(uc, self._memory, pc)
        trapped = self._image.disassemble(trap).split(" ")[0].removeprefix("c.") in _TRAPS
        if detail == NOT_MEMORY and trapped:
            kind, detail, pc = violations.ALLOCATOR, "it reaches a BUG() or a WARN()", trap
        self.add(kind, detail, done, row, pc=pc, action=action)

    def differs(self, done: Operations, rows: NDArray[np.int64], details: list[str]) -> None:
        """Report operations that the allocator has placed otherwise than the model.

        ``details`` are of the first of them.
        """
        for row, detail in zip(rows.tolist(), details, strict=False):
            self.add(violations.PLACEMENT, detail, done, row)
        self.count += len(rows) - len(details)

    def add(
        self,
        kind: str,
        detail: str,
        done: Operations | None = None,
        row: int = 0,
        *,
        expected: str = "",
        found: str = "",
        pc: int | None = None,
        action: str = "",
    ) -> None:
        """Report a violation of one operation; of what is none of the trace's, without ``done``."""
        self.count += 1
        kept = self.violations
        if len(kept) >= violations.KEPT and any(known.kind == kind for known in kept):
            return
        sizes = self._facts.geometry.sizes
        self.violations.append(
            Violation(
                kind=kind,
                operation=int(done.index[row]) if done else self.behind,
                action=_action(done, row) if done else action,
                object_number=int(done.number[row]) if done else -1,
                class_size=int(sizes[done.class_index[row]]) if done else 0,
                slot=int(done.slot[row]) if done else -1,
                offset=int(done.offset[row]) if done else -1,
                detail=detail,
                expected=expected,
                found=found,
                pc="" if pc is None else self.place(pc),
                instruction="" if pc is None else self._image.disassemble(pc),
            )
        )

    def place(self, pc: int) -> str:
        """Name an instruction by function and offset, and by its source line if that is known."""
        return debug_lines.where(self._image, pc)

    def call(self, behind: int) -> int | None:
        """Return the address of the instruction, a call, that is before a return address.

        None if it is the guest's driver that has called: that says nothing of the object.
        """
        image = self._image
        if image.address("zs_driver_start") <= behind < image.address("zs_driver_end"):
            return None
        for size in range(1, _LONGEST):
            known = self._image.instructions.get(behind - size)
            if known and known.size == size:
                return behind - size
        return behind


def _action(done: Operations, row: int) -> str:
    return done.action or Operation(int(done.operation[row])).name.lower()
