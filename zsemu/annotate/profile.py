# SPDX-License-Identifier: GPL-2.0-only
"""Profiles: what each instruction did in a replay, by phase.

A trace is replayed twice. The first replay finds out how often each shape occurs. The second counts
instruction by instruction what the one observed operation of each shape does, and weights it by
that number. listing.py holds the sums over the instructions against the counts of the first replay.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import PHASES, PROFILE, SCOPES
from zsemu.guest.image import Image
from zsemu.replay.batch import Batch
from zsemu.replay.by_shape import EachLength
from zsemu.replay.machines import Machines
from zsemu.replay.observation import EveryOperation, Listener, Subject
from zsemu.replay.placed_trace import PlacedStream, PlacedTrace
from zsemu.replay.replay import Outcome, Replay
from zsemu.replay.violations import Violation

Progress = Callable[[int], None] | None
Weigh = Callable[[Batch], NDArray[np.integer]]
"""says how often each operation of a batch is to count, shape (n,)"""


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
    phases: tuple[str, ...] = PHASES
    """in the order of the arrays"""


class InstructionCounter(Listener):
    """Has the hooks count each instruction of the operations that are observed, weighted."""

    def __init__(self, weigh: Weigh) -> None:
        self._weigh = weigh
        self._weights = np.zeros(0, np.uint64)
        self.totals = np.zeros((len(PHASES), len(PROFILE)), np.int64)
        """what the rows of the observed operations say, weighted, shape (phases, PROFILE)"""

    def attach(self, machines: Machines) -> None:
        """Make room for what each instruction does."""
        self._events = machines.events
        self.counts = self._events.profile()
        """what each instruction did, shape (phases, bytes of code, PROFILE)"""

    def begin(self, batch: Batch) -> None:
        """Tell the hooks how often each operation counts; those of the read-back do not."""
        n = len(batch.index)
        counted = np.zeros(n, np.uint64) if batch.is_readback else self._weigh(batch)
        self._weights = counted.astype(np.uint64)
        self._events.weigh(self._weights)

    def observed(
        self, batch: Batch, which: NDArray[np.int64] | slice, rows: NDArray[np.uint32]
    ) -> None:
        """Add up the rows of operations that were observed."""
        weights = self._weights[which].astype(np.int64)
        self.totals += np.tensordot(weights, rows[:, :, : len(PROFILE)].astype(np.int64), 1)


def _profile(
    counter: InstructionCounter, outcome: Outcome, totals: NDArray[np.int64], maps: int
) -> Profile:
    counts = counter.counts.astype(np.int64)
    return Profile(counts, totals, maps, outcome.violation_count, outcome.violations)


def _broken(image: Image, outcome: Outcome) -> Profile:
    start, end = image.text
    nothing = np.zeros((len(PHASES), end - start, len(PROFILE)), np.int64)
    return Profile(nothing, nothing[:, 0], 0, outcome.violation_count, outcome.violations)


def of_trace(
    image: Image,
    placed: PlacedTrace | PlacedStream,
    *,
    scope: str = "total",
    progress: Progress = None,
) -> Profile:
    """Replay a trace; what is counted is the operations of one of counts.SCOPES.

    ``progress`` hears of each operation twice.
    """
    outcome, measured, times = _occurrences(image, placed, progress)
    if outcome.violation_count:
        return _broken(image, outcome)
    # Where the cost is no function of the shape, every operation was observed.
    every = not outcome.shapes
    scopes = list(SCOPES[scope])

    def weigh(batch: Batch) -> NDArray[np.integer]:
        counted: NDArray[np.int64] = np.isin(batch.expected["scope"], scopes).astype(np.int64)
        if every:
            return counted
        at = np.minimum(np.searchsorted(measured, batch.index), len(measured) - 1)
        counted[measured[at] != batch.index] = 0
        return counted * times[at]

    counter = InstructionCounter(weigh)

    def observe(subject: Subject) -> EveryOperation | EachLength:
        return EveryOperation(subject, counter) if every else EachLength(subject, counter)

    Replay(image, placed, observe=observe, progress=progress).run()
    totals = outcome.sums[scopes, :, : len(PROFILE)].sum(axis=0)
    return _profile(counter, outcome, totals, placed.scope_maps[scope])


def _occurrences(
    image: Image, placed: PlacedTrace | PlacedStream, progress: Progress
) -> tuple[Outcome, NDArray[np.int64], NDArray[np.int64]]:
    """Replay, and return also which operations were measured, and for how many, (shapes,) each."""
    replay = Replay(image, placed, observe=EachLength, progress=progress)
    outcome = replay.run()
    assert isinstance(replay.observation, EachLength)
    return outcome, *replay.observation.occurrences()


def of_operation(image: Image, placed: PlacedTrace, operation: int, *, maps: bool) -> Profile:
    """Replay a script of which one operation, by its number, is counted."""

    def weigh(batch: Batch) -> NDArray[np.integer]:
        return np.equal(batch.index, operation).astype(np.int64)

    counter = InstructionCounter(weigh)
    outcome = Replay(image, placed, observe=lambda subject: EveryOperation(subject, counter)).run()
    if outcome.violation_count:
        return _broken(image, outcome)
    return _profile(counter, outcome, counter.totals, int(maps))
