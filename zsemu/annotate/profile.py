# SPDX-License-Identifier: GPL-2.0-only
"""Profile: what each instruction did in a replay, by phase.

A trace is replayed twice. The first time counts how often each shape occurs; the second time what
the one operation of each shape that is observed does is counted as often, instruction by
instruction. listing.py holds the sums over the instructions against the counts of the first.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import PHASES, PROFILE, SCOPES
from zsemu.guest.image import Image
from zsemu.replay.batch import Batch
from zsemu.replay.placed_trace import PlacedStream, PlacedTrace
from zsemu.replay.replay import Outcome, Replay
from zsemu.replay.violations import Violation

Progress = Callable[[int], None] | None


@dataclass(frozen=True)
class Profile:
    """What the instructions of one image did; all zero after a violation."""

    counts: NDArray[np.int64]
    """by address, counted from the first of the code: shape (phases, bytes of code, PROFILE)"""
    totals: NDArray[np.int64]
    """what the same operations cost as replays count it, shape (phases, PROFILE)"""
    maps: int
    """maps among the operations that were counted"""
    violation_count: int
    violations: list[Violation]


def _profile(replay: Replay, outcome: Outcome, totals: NDArray[np.int64], maps: int) -> Profile:
    counts = replay.profile.astype(np.int64)
    return Profile(counts, totals, maps, outcome.violation_count, outcome.violations)


def _broken(image: Image, outcome: Outcome) -> Profile:
    start, end = image.text
    nothing = np.zeros((len(PHASES), end - start, len(PROFILE)), np.int64)
    return Profile(nothing, nothing[:, 0], 0, outcome.violation_count, outcome.violations)


def of_trace(
    image: Image,
    work: PlacedTrace | PlacedStream,
    *,
    scope: str = "total",
    progress: Progress = None,
) -> Profile:
    """Replay a trace; what is counted is the operations of one of counts.SCOPES.

    ``progress`` hears of each operation twice.
    """
    replay = Replay(image, work, lengths=True, progress=progress)
    outcome = replay.run()
    if outcome.violation_count:
        return _broken(image, outcome)
    measured, times = replay.occurrences()
    # Where the cost is no function of the shape, every operation was observed.
    every = not outcome.shapes
    scopes = list(SCOPES[scope])
    del replay  # and its memory

    def weigh(batch: Batch) -> NDArray[np.integer]:
        counted: NDArray[np.int64] = np.isin(batch.expected["scope"], scopes).astype(np.int64)
        if every:
            return counted
        at = np.minimum(np.searchsorted(measured, batch.index), len(measured) - 1)
        counted[measured[at] != batch.index] = 0
        return counted * times[at]

    again = Replay(image, work, full=every, weigh=weigh, progress=progress)
    again.run()
    totals = outcome.sums[scopes, :, : len(PROFILE)].sum(axis=0)
    return _profile(again, outcome, totals, work.scope_maps[scope])


def of_operation(image: Image, work: PlacedTrace, operation: int, *, maps: bool) -> Profile:
    """Replay a script of which one operation, by its number, is counted."""

    def weigh(batch: Batch) -> NDArray[np.integer]:
        return np.equal(batch.index, operation).astype(np.int64)

    replay = Replay(image, work, full=True, weigh=weigh)
    outcome = replay.run()
    if outcome.violation_count:
        return _broken(image, outcome)
    return _profile(replay, outcome, replay.weighed, int(maps))
