# SPDX-License-Identifier: GPL-2.0-only
"""List what sources have said a TLB invalidate costs, to stand on the axis of break-even prices.

Each cost is that of one machine, or of none that is named. None was measured by zsemu.
"""

from dataclasses import dataclass
from typing import Final

from zsemu.reports.matrix import INSTRUCTIONS
from zsemu.results.limits import BYTES

CLOCKS: Final = (1, 3)
"""GHz: a source that gives time and no clock stands at as many cycles as from one to the other"""

RATES: Final = {INSTRUCTIONS: 1.0, BYTES: 4 * 1632 / 560}
"""what stands for a cycle on an axis of prices: one instruction, or as many bytes as ``copy`` moved
on x86 in July 2012 (1632 bytes in and out, each loaded and stored, in 560 cycles)"""


@dataclass(frozen=True)
class InvalidateCost:
    """What one source says that an invalidate of one page costs."""

    letter: str
    """that stands for it in charts"""
    what: str
    """the instruction, and where it runs"""
    machine: str
    source: str
    date: str
    archs: tuple[str, ...]
    """the architectures of zsemu whose invalidate it is"""
    least: int
    most: int
    unit: str
    """``cycles`` or ``ns``"""
    kind: str
    """how the source knows: ``measured``, ``vendor's table``, ``assumed``, ``upper bound``"""

    @property
    def said(self) -> str:
        """The cost as the source gives it."""
        figures = str(self.least) if self.least == self.most else f"{self.least} to {self.most}"
        return f"{figures} {self.unit}"

    @property
    def cycles(self) -> tuple[int, int]:
        """The least and the most cycles; where the source gives time, at the ends of CLOCKS."""
        if self.unit == "cycles":
            return self.least, self.most
        return self.least * CLOCKS[0], self.most * CLOCKS[1]


_X86: Final = ("x86_64", "i386")
_LOOP: Final = "Seth Jennings, linux-mm: half of what a map with two invalidates took, in"
INVALIDATE_COSTS: Final = (
    InvalidateCost(
        "A",
        "invlpg, native; 64-bit and 32-bit mode",
        "AMD K8",
        "AMD's optimization guide for AMD64, as quoted in zwillow.blogspot.com,"
        " 'AMD64 TLB invalidation performance'",
        "Dec 2006",
        _X86,
        80,
        101,
        "cycles",
        "vendor's table",
    ),
    InvalidateCost(
        "B",
        "invlpg, native",
        "none named; the text is about Nehalem and Sandy Bridge",
        "Alex Shi: 140 ns on lkml, 100 ns in Linux commit e7b52ffd45a6",
        "May and Jun 2012",
        _X86,
        100,
        140,
        "ns",
        "assumed",
    ),
    InvalidateCost(
        "C",
        "invlpg, native, with all else that map and unmap do",
        "x86, not named",
        f"{_LOOP} 760 cycles",
        "2 Jul 2012",
        _X86,
        380,
        380,
        "cycles",
        "upper bound",
    ),
    InvalidateCost(
        "D",
        "invlpg in a KVM guest, with all else that map and unmap do",
        "x86, not named, nor whether with nested paging",
        f"{_LOOP} about 1500 cycles",
        "2 Jul 2012",
        _X86,
        750,
        750,
        "cycles",
        "upper bound",
    ),
    InvalidateCost(
        "E",
        "exit to KVM and back, which invlpg adds in a guest without nested paging",
        "Intel i7-3960X (Sandy Bridge), virtual CPU pinned",
        "yshalabi.github.io/VMExits, 'The Cost of Virtualization Exits'",
        "Dec 2014",
        _X86,
        1600,
        1700,
        "cycles",
        "measured",
    ),
    InvalidateCost(
        "F",
        "invalidate of one page, with all else that map and unmap do",
        "Raspberry Pi, ARMv6",
        f"{_LOOP} 947 cycles",
        "11 Jul 2012",
        ("arm",),
        474,
        474,
        "cycles",
        "upper bound",
    ),
    InvalidateCost(
        "G",
        "broadcast tlbi and dsb: what mprotect() took less without them",
        "none named",
        "Dev Jain, Linux commit c320dbb7c80d: 3.2 to 2.85 microseconds",
        "Oct 2025",
        ("aarch64",),
        350,
        350,
        "ns",
        "measured",
    ),
)
