# SPDX-License-Identifier: GPL-2.0-only
"""What the measured figures should be: all targets of the benchmark, as data."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Target:
    """A number that a figure should not be above, or not below."""

    number: float
    least: bool = False
    """whether it should not be below"""

    def holds(self, value: float) -> bool:
        """Say whether a figure is as it should be."""
        return value >= self.number if self.least else value <= self.number

    def verdict(self, value: float) -> str:
        """Return what the figure should be, and whether it is."""
        side = "least" if self.least else "most"
        return f"at {side} {self.number:g}: {'holds' if self.holds(value) else 'missed'}"


def _at_least(number: float) -> Target:
    return Target(number, least=True)


OVER_UNHOOKED: Final = Target(1.2)
"""the counted replay of the whole trace over the one with no hook"""

FIRST_OVER_OTHER: Final = _at_least(4)
"""the whole replay of the first operations: another checkout's seconds over this one's"""

_AS_FAST: Final = {
    "Python hooks": (_at_least(100), _at_least(100)),
    "qemu-user, and memory by region": (_at_least(1), _at_least(2)),
    "callgrind --cache-sim=yes": (_at_least(1), _at_least(2)),
}
"""how many times as fast as a level the whole trace should be, with its contents judged and in the
emulator alone"""
_AS_FAST_ON: Final = {
    ("x86_64", "qemu-user, and memory by region"): (_at_least(1), _at_least(1.7)),
}
"""the same where an architecture differs: Unicorn runs a block for each round of ``rep movs``"""

AGAINST: Final = tuple(_AS_FAST)
"""the levels that a figure is given against"""


def as_fast(arch: str, level: str) -> tuple[Target, Target]:
    """Return how many times as fast as a level the replay should be, and the emulation alone."""
    return _AS_FAST_ON.get((arch, level), _AS_FAST[level])


SECONDS: Final = {
    "zsemu --version": 0.15,
    "zsemu check ./mine.c, holds": 25,
    "zsemu check ./mine.c, a wrong byte": 40,
    "zsemu check ./mine.c, every 300th write wrong": 40,
    "zsemu check ./mine.c, wrong where a byte is 0x37": 40,
    "zsemu check": 300,
    "zsemu compare": 8,
    "zsemu compare --trace sqlite-lzo-rle": 150,
    "zsemu race --arch aarch64": 180,
}
"""how long a user should wait for a whole command at most, on two processors with nothing else to
do, whether or not anything is cached"""

MEMORY: Final = {"zsemu compare --trace sqlite-lzo-rle": 1024}
"""MiB that all processes of a whole command should have together at most"""
