# SPDX-License-Identifier: GPL-2.0-only
"""Decide which operations of a replay run on the observing CPU, and hold what they cost.

An Observation runs batches and holds what they cost. EveryOperation observes all of them, and
StrictTranslations does so with translations kept as a TLB may that never forgets. by_shape.py has
those that observe one operation of each shape.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import CHECKS, COLUMNS, PHASES, SCOPE_COLUMNS, UNCOUNTED
from zsemu.guest.image import Image
from zsemu.replay import spanning_costs
from zsemu.replay.batch import Batch
from zsemu.replay.machines import Machines, StrictMachines
from zsemu.replay.placed_trace import PlacedStream, PlacedTrace
from zsemu.replay.spanning_costs import SpanningCosts


@dataclass(frozen=True)
class Subject:
    """What is replayed: a strategy's image and a trace, and the promises that it is held to."""

    image: Image
    placed: PlacedTrace | PlacedStream
    promises: tuple[str, ...] = ()
    by_span: bool = False
    """whether the user's accesses are judged by their spans, and not counted: see Machines"""


class Listener:
    """Wants to hear of every batch, and of the operations in it that were observed."""

    samples = 4
    """operations of each batch that are to be observed whether their shape is known or not"""

    def attach(self, machines: Machines) -> None:
        """Prepare the guest for what is wanted, before anything runs."""

    def begin(self, batch: Batch) -> None:
        """Hear of a batch that is about to run."""

    def observed(
        self, batch: Batch, which: NDArray[np.int64] | slice, rows: NDArray[np.uint32]
    ) -> None:
        """Hear what some operations of a batch cost, shape (n, phases, counts.ROW)."""

    def ran(
        self, batch: Batch, keys: NDArray[np.uint64] | None, observed: NDArray[np.int64]
    ) -> None:
        """Hear of a batch that has run; ``keys`` are the shapes of its operations, shape (n,).

        ``observed`` are the numbers of those that were observed, ascending; without keys, all were.
        """

    @property
    def consistent(self) -> bool:
        """Whether operations of one shape did the same, as far as was listened for."""
        return True


class Observation:
    """Runs batches and holds what they cost; a subclass says which operations are observed."""

    machines_class: ClassVar[type[Machines]] = Machines
    by_span: ClassVar[bool] = False
    """whether the user's accesses are judged by their spans, whatever the subject says"""

    def __init__(
        self, subject: Subject, listener: Listener | None = None, *, watch: int = -1
    ) -> None:
        """Boot the guest; ``watch`` is as Machines has it."""
        self.subject = subject
        self.machines = self.machines_class(
            subject.image,
            subject.placed,
            promises=subject.promises,
            watch=watch,
            by_span=subject.by_span or self.by_span,
        )
        self._listener = listener or Listener()
        self._listener.attach(self.machines)
        self.sums = np.zeros((SCOPE_COLUMNS, len(PHASES), len(COLUMNS)), np.int64)
        """counts, shape (SCOPE_COLUMNS, phases, columns)"""
        self.spanning = SpanningCosts()
        self.shows: dict[str, int] = {}
        """for those of counts.CHECKS that some observed operation was not zero in, the first"""

    @property
    def shapes(self) -> int:
        """Distinct shapes that were measured; 0 if every operation was observed."""
        return 0

    def run(self, batch: Batch) -> None:
        """Run a batch of the trace; Stopped if the guest cannot go on."""
        raise NotImplementedError

    def read_back(self, batch: Batch) -> None:
        """Run a batch of the read-back, of which nothing is counted."""
        raise NotImplementedError

    def finish(self) -> bool:
        """Sum up what the operations cost that were not observed; whether that can be trusted."""
        return True

    def observe_all(self, batch: Batch, end: int | None = None) -> None:
        """Run a batch with everything hooked, up to an operation; add up what it costs."""
        self.begin(batch)
        self.machines.rows[: len(batch.index)] = 0
        self.machines.observe(batch, end)
        rows = self.machines.rows[: len(batch.index)]
        self._listener.observed(batch, slice(len(batch.index)), rows)
        self._listener.ran(batch, None, np.arange(len(batch.index)))
        if batch.is_readback:
            return
        counts, checks = rows[:, :, : len(COLUMNS)], rows[:, :, len(COLUMNS) :].sum(axis=1)
        for name, column in zip(CHECKS, checks.T, strict=True):
            if name not in self.shows and column.any():
                self.shows[name] = int(batch.index[np.argmax(column > 0)])
        for scope in range(UNCOUNTED):
            chosen = counts[batch.expected["scope"] == scope]
            self.sums[scope] += chosen.sum(axis=0, dtype=np.int64)
        self.spanning.add(labels(batch, slice(None)), 1, counts)

    def begin(self, batch: Batch) -> None:
        """Tell hooks and listener which batch is about to run."""
        self.machines.expect(batch)
        self._listener.begin(batch)


class EveryOperation(Observation):
    """Observes every operation."""

    def run(self, batch: Batch) -> None:
        """Run a batch of the trace; Stopped if the guest cannot go on."""
        self.observe_all(batch)

    def read_back(self, batch: Batch) -> None:
        """Run a batch of the read-back, of which nothing is counted."""
        self.observe_all(batch)


class StrictTranslations(EveryOperation):
    """Observes every operation, and serves a valid page-table entry until its invalidate."""

    machines_class = StrictMachines


def labels(batch: Batch, which: NDArray[np.int64] | slice) -> NDArray[np.uint64]:
    """Return to which row of SpanningCosts some operations belong, shape (n,)."""
    return spanning_costs.keys(batch.operation[which], batch.expected["bytes"][which])
