# SPDX-License-Identifier: GPL-2.0-only
"""Run the schedules that are wanted of a scene that is set, up to one that fails."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from zsemu.race.findings import SceneResult, Wanted
from zsemu.race.machine import TwoCpus
from zsemu.race.searched import Bounds, Outcome, Searched

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

    def result(self, told: SceneResult) -> SceneResult:
        """Add the numbers to a result."""
        return replace(
            told,
            schedules=self.searched.schedules,
            pruned=self.searched.pruned,
            complete=self.searched.complete or self.failed is not None,
            sampled=self.sampled,
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
