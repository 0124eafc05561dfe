# SPDX-License-Identifier: GPL-2.0-only
"""Say which schedules of two CPUs are run, and hold what came of them, as data."""

from dataclasses import dataclass
from typing import Final

from zsemu.race.native_structures import FAILS
from zsemu.race.schedule import Schedule

LIMIT: Final = 1 << 22
"""schedules after which a search gives up"""


@dataclass(frozen=True)
class Bounds:
    """Which schedules are run."""

    preemptions: int = 2
    """at most; ignored by an exhaustive search"""
    exhaustive: bool = False
    limit: int = LIMIT
    """schedules after which the search gives up"""


@dataclass(frozen=True)
class Rules:
    """What holds for the two CPUs beside sequential consistency."""

    nested: bool = False
    """B interrupts A: it runs to its end once it has begun"""
    one_tlb: bool = False
    """both run on one CPU, one after the other"""
    after: int = 0
    """instructions that A executes before B can begin"""


@dataclass(frozen=True)
class Outcome:
    """A final state."""

    verdict: int
    """what judged it said: with the bit FAILS if it is a failure"""
    number: int
    """schedules that were run and end in it"""
    schedule: Schedule
    """the shortest of them"""


@dataclass(frozen=True)
class Searched:
    """What a search did."""

    schedules: int
    """that were run to their end"""
    pruned: int
    """continuations that were not run, since they are equivalent to ones that were"""
    complete: bool
    """whether that is all within the bounds"""
    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The final states that are failures, the simplest schedule first."""
        found = [one for one in self.outcomes if one.verdict & FAILS]
        return tuple(sorted(found, key=lambda one: (one.schedule.preemptions, one.schedule.steps)))
