# SPDX-License-Identifier: GPL-2.0-only
"""Hold what a race finds, as data: which lock keeps what apart, and the schedules that show why."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from zsemu.guest.strategies import Strategy
from zsemu.race import locks
from zsemu.replay.violations import Violation

MEMORY: Final = "Memory is sequentially consistent."
"""what holds for every result"""
LIMIT: Final = 200_000
"""schedules of one scene after which the others are drawn at random"""


@dataclass(frozen=True)
class Wanted:
    """Which schedules are run of each scene."""

    preemptions: int = 2
    exhaustive: bool = False
    seed: int = 0
    """of random schedules, where there are too many for all"""
    limit: int = LIMIT

    def __str__(self) -> str:
        if self.exhaustive:
            return "all schedules"
        return f"all schedules of at most {self.preemptions} preemptions"


@dataclass(frozen=True)
class Request:
    """What is to be run."""

    archs: tuple[str, ...]
    strategies: dict[str, Strategy]
    wanted: Wanted
    cc: str = "zig"
    only: str = ""
    """what the name "ARCH STRATEGY SCENE" must contain"""
    resume: bool = False
    """whether what was stored before is taken"""


@dataclass(frozen=True)
class Failure:
    """A schedule that goes wrong, the one with the fewest preemptions and then steps."""

    scene: str
    schedule: str
    violation: Violation


@dataclass(frozen=True)
class SceneResult:
    """What a search of one scene found."""

    scene: str
    group: str
    lockable: bool
    """whether a lock can keep the two apart"""
    excluded: str
    """the weakest lock that does; locks.NEVER if none can"""
    schedules: int = 0
    pruned: int = 0
    complete: bool = False
    """whether all schedules within the bounds were run, or one that fails was found"""
    sampled: int = 0
    """random schedules that were run beside those"""
    torn: str = ""
    """a schedule in which a read saw old and new content, where the API does not exclude that"""
    failure: Failure | None = None
    alone: bool = False
    """whether it fails without any preemption"""

    @property
    def needs(self) -> str:
        """The weakest lock with which nothing goes wrong."""
        if self.failure is None:
            return locks.NOTHING
        return locks.NEVER if self.alone else self.excluded


@dataclass(frozen=True)
class Group:
    """The scenes of one kind, and the weakest lock that all of them need."""

    name: str
    lockable: bool
    needs: str
    scenes: int
    schedules: int
    torn: str
    """a schedule of one of them that shows a torn read; may be empty"""
    failure: Failure | None
    """of a scene that needs that lock"""


@dataclass(frozen=True)
class Result:
    """What was found of one strategy on one architecture."""

    arch: str
    strategy: str
    stated: str
    """the lock that it says it needs; may be empty"""
    bound: str
    """which schedules were run, in words"""
    scenes: tuple[SceneResult, ...]
    own_locks: bool = False
    """whether it brings its own locks, as a kernel's object does: then it needs nothing"""

    @property
    def needs(self) -> str:
        """The weakest lock with which everything is right that a lock can make right."""
        return locks.strongest(one.needs for one in self.scenes if one.lockable)

    @property
    def failures(self) -> list[Failure]:
        """What goes wrong though the lock is held that the strategy says it needs."""
        wrong = [one for one in self.scenes if one.lockable and one.failure]
        if self.stated:
            strength = [*locks.LEVELS, locks.NEVER].index
            wrong = [one for one in wrong if strength(one.needs) > strength(self.stated)]
        else:
            wrong = [one for one in wrong if one.alone]
        return [one.failure for one in wrong if one.failure]

    @property
    def weaker(self) -> dict[str, Failure]:
        """By lock that is weaker than the one needed: a schedule that goes wrong with it."""
        strength = [*locks.LEVELS, locks.NEVER].index
        found: dict[str, Failure] = {}
        for level in locks.LEVELS[: strength(self.needs)]:
            wrong = [
                one.failure
                for one in self.scenes
                if one.lockable and one.failure and strength(one.needs) > strength(level)
            ]
            found[level] = wrong[0]
        return found

    @property
    def complete(self) -> bool:
        """Whether all schedules within the bounds were run."""
        return all(one.complete for one in self.scenes)

    @property
    def schedules(self) -> int:
        """How many were run."""
        return sum(one.schedules + one.sampled for one in self.scenes)

    @property
    def pruned(self) -> int:
        """Continuations that were not run, since others are equivalent."""
        return sum(one.pruned for one in self.scenes)

    @property
    def groups(self) -> list[Group]:
        """The scenes by kind, in the order in which they were run."""
        names = dict.fromkeys(one.group for one in self.scenes)
        return [_group(name, [s for s in self.scenes if s.group == name]) for name in names]


def _group(name: str, scenes: list[SceneResult]) -> Group:
    needs = locks.strongest(one.needs for one in scenes)
    worst = next((one.failure for one in scenes if one.failure and one.needs == needs), None)
    torn = next((one.torn for one in scenes if one.torn), "")
    number = sum(one.schedules + one.sampled for one in scenes)
    return Group(name, scenes[0].lockable, needs, len(scenes), number, torn, worst)


@dataclass(frozen=True)
class Findings:
    """Everything that was found."""

    results: tuple[Result, ...]
    left_out: int = 0
    """parts of the work that were not done, since it was interrupted"""

    @property
    def passed(self) -> bool:
        """Whether every strategy is right with the lock that it states."""
        return not any(result.failures for result in self.results)

    def of(self, strategy: str) -> Iterator[Result]:
        """Yield the results of one strategy."""
        return (result for result in self.results if result.strategy == strategy)


def merged(parts: Iterable[Result]) -> Result:
    """Return parts of one strategy's result on one architecture as one."""
    every = list(parts)
    scenes = tuple(scene for part in every for scene in part.scenes)
    first = every[0]
    return replace(first, scenes=scenes)
