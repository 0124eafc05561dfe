# SPDX-License-Identifier: GPL-2.0-only
"""A schedule: how many instructions two CPUs execute in turn, and how it is written.

``A57,B12,A,B`` means that CPU A executes 57 instructions, then CPU B 12, then A runs to its end,
and then B does. With the same image it is the same on every machine.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from zsemu.errors import ZsemuError
from zsemu.race.native_structures import MAX_BLOCKS, TO_END

CPUS: Final = "AB"
"""what the two CPUs are called"""
READER: Final = len(CPUS)
"""the CPU whose area and buffer the host uses to look at the end of a schedule"""
_BLOCK: Final = re.compile(r"([AB])(\d*)")


@dataclass(frozen=True)
class Schedule:
    """What two CPUs do in turn."""

    blocks: tuple[tuple[int, int], ...]
    """CPU, 0 or 1, and how many instructions it executes; TO_END: all that are left"""

    @property
    def preemptions(self) -> int:
        """How often a CPU is stopped before its end."""
        return sum(instructions != TO_END for _, instructions in self.blocks)

    @property
    def steps(self) -> int:
        """Instructions that are executed before the last preemption."""
        return sum(instructions for _, instructions in self.blocks if instructions != TO_END)

    def __str__(self) -> str:
        return ",".join(
            f"{CPUS[cpu]}{'' if number == TO_END else number}" for cpu, number in self.blocks
        )


def parse(text: str) -> Schedule:
    """Return the schedule that a text names; ZsemuError if it names none."""
    blocks = []
    for part in text.replace(" ", "").split(","):
        match = _BLOCK.fullmatch(part)
        if match is None or match[2] == "0" or int(match[2] or 1) >= TO_END:
            raise ZsemuError(
                f"schedule {text!r}: {part!r} is no CPU with a number of instructions;"
                " write for instance A57,B12,A,B"
            )
        blocks.append((CPUS.index(match[1]), int(match[2] or TO_END)))
    if len(blocks) > MAX_BLOCKS:
        raise ZsemuError(f"a schedule of {len(blocks)} blocks: at most {MAX_BLOCKS} are possible")
    return Schedule(tuple(blocks))


def of(rows: Iterable[tuple[int, int]]) -> Schedule:
    """Return the schedule of some pairs (CPU, instructions)."""
    return Schedule(tuple((int(cpu), int(number)) for cpu, number in rows))
