# SPDX-License-Identifier: GPL-2.0-only
"""Run the schedules that are wanted of scenes, of each up to one that fails.

What a scene is, and how it is set, a strategy (explore.py) and a kernel's own object
(kernel_bench.py) say each for itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.guest.image import Image
from zsemu.race.findings import Failure, SceneResult, Wanted
from zsemu.race.machine import TwoCpus
from zsemu.race.schedule import Schedule
from zsemu.race.searched import Bounds, Outcome, Searched
from zsemu.replay.violations import Violation

SAMPLES: Final = 2000
"""random schedules of a scene that has more than are run one after the other"""


@dataclass(frozen=True)
class Explored:
    """What came of a scene."""

    searched: Searched
    sampled: int
    """schedules that were drawn at random, since there were too many for all"""
    failed: Outcome | None
    """the failure with the fewest preemptions and then steps"""

    def result(self, told: SceneResult, violation: Callable[[int], Violation]) -> SceneResult:
        """Add the numbers and the failure to a result; ``violation`` describes a verdict."""
        failure, alone = None, False
        if found := self.failed:
            alone = told.lockable and not found.schedule.preemptions
            failure = Failure(told.scene, str(found.schedule), violation(found.verdict))
        return replace(
            told,
            schedules=self.searched.schedules,
            pruned=self.searched.pruned,
            complete=self.searched.complete or self.failed is not None,
            sampled=self.sampled,
            failure=failure,
            alone=alone,
        )


def explore(cpus: TwoCpus[Any], judge: Callable[[], int], wanted: Wanted) -> Explored:
    """Run all schedules wanted, with the fewest preemptions first, up to one that fails."""
    searched = Searched(0, 0, True, ())
    for preemptions in range(wanted.preemptions + 1):
        searched = cpus.search(Bounds(preemptions, limit=wanted.limit), judge)
        if searched.failed or not searched.complete:
            break
    if wanted.exhaustive and not searched.failed and searched.complete:
        searched = cpus.search(Bounds(exhaustive=True, limit=wanted.limit), judge)
    sampled = 0
    if not searched.complete and not searched.failed:
        more = cpus.sample(wanted.seed, SAMPLES, max(1, wanted.preemptions), judge)
        sampled = more.schedules
        searched = replace(searched, outcomes=more.outcomes)
    return Explored(searched, sampled, next(iter(searched.failed), None))


class AnyScene(Protocol):
    """Something on CPU A, and something else on CPU B at the same time."""

    @property
    def name(self) -> str:
        """What distinguishes it from all others."""

    @property
    def part(self) -> str:
        """What one worker runs: all scenes of which it is the same."""


S = TypeVar("S", bound=AnyScene)


class SetScene(Protocol):
    """A scene that is set: both CPUs stand before their operations."""

    def explore(self, wanted: Wanted) -> SceneResult:
        """Run all schedules wanted, with the fewest preemptions first, up to one that fails."""

    def replay(self, chosen: Schedule) -> tuple[Violation | None, int, NDArray[np.void]]:
        """Run one schedule; return what is wrong in the end, where in RAM, and all accesses.

        The offset in RAM is that of the first wrong byte, -1 if there is none; dtype STEP.
        """


class SceneBench(ABC, Generic[S]):
    """Two CPUs, on which one scene after the other is set."""

    image: Image
    cpus: TwoCpus[Any]

    @abstractmethod
    def scenes(self) -> Sequence[S]:
        """Return all scenes of what runs there."""

    @abstractmethod
    def set(self, scene: S) -> SetScene:
        """Set a scene."""

    def scene(self, name: str) -> S:
        """Return the scene of a name; ZsemuError if there is none."""
        for one in self.scenes():
            if one.name == name:
                return one
        raise ZsemuError(f"no scene {name!r}; zsemu race names the scene of each schedule")

    def replay(
        self, scene: str, chosen: Schedule
    ) -> tuple[Violation | None, int, NDArray[np.void]]:
        """Run one schedule of a scene, as the scene that is set does."""
        return self.set(self.scene(scene)).replay(chosen)

    def run(self, names: Collection[str], wanted: Wanted) -> list[SceneResult]:
        """Run the scenes of some names in every schedule that is wanted."""
        return [self.explore(one, wanted) for one in self.scenes() if one.name in names]

    def explore(self, scene: S, wanted: Wanted) -> SceneResult:
        """Run a scene in every schedule that is wanted."""
        return self.set(scene).explore(wanted)
