# SPDX-License-Identifier: GPL-2.0-only
"""Replay a placed trace through one image, prove every object intact, and count.

A Replay takes one batch after the other, has an Observation run it and a Judge judge it. Then it
reads back what is alive at the end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsemu.caches.hierarchy import Hierarchy
from zsemu.guest.image import Image
from zsemu.guest.machine import Machine
from zsemu.replay.access_sequence import CacheCounts
from zsemu.replay.batch import Batch
from zsemu.replay.by_shape import EachLength, EachShape
from zsemu.replay.culprit import Culprit, SecondReplay
from zsemu.replay.judgement import Judge
from zsemu.replay.machines import Machines, Stopped
from zsemu.replay.observation import EveryOperation, Listener, Observation, Subject
from zsemu.replay.placed_trace import PlacedStream, PlacedTrace
from zsemu.replay.spanning_costs import ByShape
from zsemu.replay.violations import Violation

Observe = Callable[[Subject], Observation]
"""which operations are observed: a class of Observation, or what makes one"""


@dataclass(frozen=True)
class Outcome:
    """What one replay found."""

    sums: NDArray[np.int64]
    """counts, shape (SCOPE_COLUMNS, phases, columns); meaningless after a violation"""
    by_shape: ByShape
    """what spanning maps cost by where the end of the page falls; meaningless after a violation"""
    violation_count: int
    violations: list[Violation]
    shapes: int
    """distinct shapes measured; 0 if every operation was"""
    shows: dict[str, int]
    """for those of counts.CHECKS that some observed operation was not zero in, the first such"""
    cache: NDArray[np.int64] | None = None
    """what a model of caches counted, shape (SCOPE_COLUMNS, phases, counts.CACHE_COUNTS)"""


class Replay:
    """One run of one image over one placed trace."""

    _by_span = False

    def __init__(
        self,
        image: Image,
        placed: PlacedTrace | PlacedStream,
        *,
        full: bool = False,
        observe: Observe | None = None,
        caches: Hierarchy | None = None,
        promises: Sequence[str] = (),
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Boot the guest.

        ``observe`` says which operations are observed: one of each shape (EachShape), unless it
        says otherwise or ``full`` is set, which stands for EveryOperation. With ``caches``, all
        accesses run through a model of these, for which lengths are part of a shape. The strategy
        is held to the ``promises`` given. ``progress`` hears how many operations each batch had.
        """
        self._subject = Subject(image, placed, tuple(promises), self._by_span)
        self._progress = progress
        self._caches = caches
        self._cached = CacheCounts(caches) if caches else None
        if self._cached:
            kind = EveryOperation if full else EachLength
            self.observation: Observation = kind(self._subject, self._cached)
        else:
            chosen = observe or (EveryOperation if full else EachShape)
            self.observation = chosen(self._subject)
        self._judge = Judge(self.observation, self._culprit())

    @property
    def machines(self) -> Machines:
        """The guest's memory and CPUs."""
        return self.observation.machines

    @property
    def observer(self) -> Machine:
        """The machine that runs what is observed: with ``full``, all; hooks may be added to it."""
        return self.machines.observer

    def run(self) -> Outcome:
        """Replay all of the trace, then read back what is alive at the end."""
        if isinstance(self.observation, EachLength):
            self.observation.prepare(self._probe)
        if not self._run_batches() or self._judge.count or self.observation.finish():
            return self._outcome()
        # What it costs is no function of the shape.
        everything = Replay(
            self._subject.image,
            self._subject.placed,
            full=True,
            caches=self._caches,
            promises=self._subject.promises,
            progress=self._progress,
        ).run()
        if not everything.violation_count and isinstance(self.observation, EachLength):
            self.observation.confirm(everything.sums)
        return everything

    def _run_batches(self) -> bool:
        """Run and judge all batches; return whether the guest got through them."""
        observation, writer = self.observation, self.machines.writer
        for batch in writer.batches():
            if not self._run(batch, observation.run):
                return False
            if self._progress:
                self._progress(len(batch.index))
        return all(self._run(batch, observation.read_back) for batch in writer.readback())

    def _run(self, batch: Batch, run: Callable[[Batch], None]) -> bool:
        """Run and judge a batch; return whether the guest got through it."""
        try:
            run(batch)
        except Stopped as stop:
            self._judge.stopped(batch, stop)
            return False
        self._judge.judge(batch)
        return True

    def _probe(self, placed: PlacedTrace, listener: Listener) -> bool:
        """Replay something else through the same image, and say whether nothing was wrong."""
        probe = Trial(
            self._subject.image, placed, observe=lambda subject: EveryOperation(subject, listener)
        )
        return not probe.run().violation_count

    def _culprit(self) -> Culprit:
        return SecondReplay(self.observation)

    def _outcome(self) -> Outcome:
        return Outcome(
            sums=self.observation.sums,
            by_shape=self.observation.spanning.document(),
            violation_count=self._judge.count,
            violations=self._judge.violations,
            shapes=self.observation.shapes,
            shows=self.observation.shows,
            cache=self._cached.sums if self._cached else None,
        )


class Trial(Replay):
    """A replay that only finds out whether something goes wrong.

    It names no culprit of what shows late, for which a Replay replays the trace once more. The
    user's accesses are judged by their spans: what they cost is not among the counts.
    """

    _by_span = True

    def _culprit(self) -> Culprit:
        return Culprit()
