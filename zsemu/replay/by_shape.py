# SPDX-License-Identifier: GPL-2.0-only
"""Observe one operation of each shape, and count the others of that shape by it.

The guest's driver stops the counting CPU before an operation whose shape has not been measured, and
the observing CPU runs it. Where the length of an object does not matter to a strategy, all lengths
are one shape, and the accesses are measured by themselves once the trace has been replayed.

In every run the shapes' sums are held against an independent count: they must equal what the block
hits say of all that the strategy executed. Some operations of a known shape are observed again and
must cost the same. An access that was observed must cost what was measured for its length.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import COLUMNS, INSTRUCTIONS, PHASES, SCOPE_COLUMNS, UNCOUNTED
from zsemu.errors import ZsemuError
from zsemu.guest.hook_structures import EXPECTED
from zsemu.guest.structures import Flag, StopAt
from zsemu.kept import kept
from zsemu.replay import access_costs
from zsemu.replay.batch import Batch
from zsemu.replay.key_numbers import KeyNumbers
from zsemu.replay.length_probe import LengthProbe
from zsemu.replay.observation import Listener, Observation, Subject, labels
from zsemu.replay.placed_trace import MAX_OPERATIONS, PlacedTrace
from zsemu.replay.shapes import ShapeCosts, ShapeRules
from zsemu.traces.operation import Operation

_ACCESS: Final = PHASES.index("access")

Probe = Callable[[PlacedTrace, Listener], bool]
"""replays a placed trace, every operation observed; returns whether nothing was wrong"""


class EachLength(Observation):
    """Observes an operation of every shape; the length of the object is part of the shape."""

    def __init__(
        self, subject: Subject, listener: Listener | None = None, *, watch: int = -1
    ) -> None:
        super().__init__(subject, listener, watch=watch)
        self.rules = ShapeRules(settles=subject.image.has("zs_settle"))
        self._static = KeyNumbers()
        self._costs = ShapeCosts()
        self._regions = access_costs.regions(self.machines.memory)
        self._seen: list[tuple[NDArray[np.uint64], NDArray[np.uint32]]] = []
        """accesses observed with operations: keys, shape (n,), and rows, shape (n, columns)"""
        self._observed = np.zeros((len(PHASES), SCOPE_COLUMNS), np.int64)
        """instructions of the operations that were observed"""
        self._crowded = False
        """whether the driver knew more states than half of those that there is room for"""

    def prepare(self, probe: Probe) -> None:
        """Find out what a shape depends on, before the trace is replayed."""

    @property
    def shapes(self) -> int:
        """Distinct shapes that were measured."""
        return len(self._costs)

    def occurrences(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which operations were measured, and for how many, as ShapeCosts does."""
        return self._costs.occurrences()

    def run(self, batch: Batch) -> None:
        """Run a batch, observing only operations of shapes that are new, and some samples."""
        machines = self.machines
        self.begin(batch)
        shape = self._mark_shapes(batch)
        new = machines.alternate(batch)
        states = int(machines.memory.batch["nr_known"][0])
        self._crowded |= states > machines.memory.sizes.states // 2
        keys = shape.astype(np.uint64) << np.uint64(32) | batch.ops["state"].astype(np.uint64)
        access = self._accesses(batch)
        observed = np.flatnonzero(new)
        if len(observed):
            self._learn(batch, keys, access, observed)
        self._costs.occur(keys, access, ~new)
        self._listener.ran(batch, keys, observed)

    def read_back(self, batch: Batch) -> None:
        """Run a batch of the read-back, of which nothing is counted."""
        self.begin(batch)
        self.machines.count(batch)

    def finish(self) -> bool:
        """Sum up shapes and accesses, and say whether observations and block hits agree.

        ZsemuError if there were too many states to tell all shapes apart.
        """
        if self._crowded:
            raise ZsemuError("the strategy has more states than there is room for")
        measured = self.measure_accesses(access_costs.kinds(self._costs.accesses()))
        counted = np.zeros((len(PHASES), SCOPE_COLUMNS), np.int64)
        for part in self._costs.parts(measured.cost):
            self.spanning.add(part.label, part.times, part.rows)
            for scope in np.unique(part.scope).tolist():
                chosen = part.scope == scope
                rows = part.rows[chosen].astype(np.int64)
                self.sums[scope] += np.tensordot(part.times[chosen], rows, 1)
                counted[:, scope] += part.counted[chosen] @ rows[:, :, INSTRUCTIONS]
        counted[_ACCESS] = 0
        same = self._costs.consistent and self._listener.consistent
        if self._seen:
            keys, rows = map(np.concatenate, zip(*self._seen, strict=True))
            same = same and np.array_equal(measured.cost(keys), rows)
        return same and np.array_equal(self._block_hits(), counted)

    def confirm(self, sums: NDArray[np.int64]) -> None:
        """Hold the sums of a replay that observed everything against this one's block hits.

        ``sums`` is as Observation.sums; ZsemuError if they disagree.
        """
        observed = sums[:, :, INSTRUCTIONS].T.copy()
        observed[_ACCESS] = 0
        counted = self._block_hits() + self._observed
        if not np.array_equal(counted, observed):
            raise ZsemuError(
                f"{self.subject.image.path.name}: block hits stand for {counted.sum()}"
                f" instructions, and {observed.sum()} were observed: a bug in zsemu, or the"
                " strategy is not deterministic"
            )

    def _block_hits(self) -> NDArray[np.int64]:
        """Return the instructions that block hits stand for, shape (phases, SCOPE_COLUMNS)."""
        instructions = self.machines.blocks.instructions()
        instructions[:, UNCOUNTED] = 0  # the read-back
        return instructions

    def _mark_shapes(self, batch: Batch) -> NDArray[np.int64]:
        """Write into the records what the driver knows shapes by; return them, shape (n,)."""
        shape = self._static.numbers(self.rules.keys(batch))
        batch.ops["shape"] = shape
        # Samples get numbers from the other end, which no shape has. They lie in a row: to go from
        # one machine to the other and back costs more than to observe an operation.
        samples = self._listener.samples
        free = self.machines.memory.sizes.shapes - samples * (batch.number + 1)
        if len(self._static) > free:
            raise ZsemuError("the trace has more shapes than there is room for")
        last = max(0, len(batch.index) - samples)
        first = np.random.default_rng(batch.number).integers(last, endpoint=True)
        sampled = batch.ops["shape"][first : first + samples]
        sampled[:] = free + np.arange(len(sampled))
        return shape

    def _learn(
        self,
        batch: Batch,
        keys: NDArray[np.uint64],
        access: NDArray[np.uint64],
        observed: NDArray[np.int64],
    ) -> None:
        """Take the rows of operations that were observed, by their numbers in the batch."""
        everything = self.machines.take_rows(observed)
        self._listener.observed(batch, observed, everything)
        rows = everything[:, :, : len(COLUMNS)]
        scopes = batch.expected["scope"][observed]
        instructions = rows[:, :, INSTRUCTIONS].copy()
        instructions[:, _ACCESS] = 0
        np.add.at(self._observed.T, scopes, instructions)
        access = access[observed]
        apart = access > 0
        seen = apart & (batch.ops["flags"][observed] & Flag.EACH > 0)
        self._seen.append((access[seen], rows[seen, _ACCESS]))
        rows[apart, _ACCESS] = 0
        label = labels(batch, observed)
        self._costs.learn(keys[observed], batch.index[observed], scopes, label, rows)

    def _accesses(self, batch: Batch) -> NDArray[np.uint64]:
        """Return the keys of those accesses that are measured apart, else 0; shape (n,)."""
        span = batch.ops["span"].astype(np.uint64)
        apart = ~self.rules.matters(batch) & (batch.operation >= Operation.READ)
        if (apart & (span == 0)).any():
            self._costs.consistent = False
        keys = access_costs.keys(batch, span, self.machines.memory, self._regions)
        return np.where(apart, keys, 0)

    def measure_accesses(self, kinds: NDArray[np.uint64]) -> access_costs.Measured:
        """Make accesses once more that access_costs.kinds() has found, and observe them.

        The memory is of no use afterwards.
        """
        machines = self.machines
        found = np.zeros((len(kinds), len(COLUMNS)), np.uint32)
        control = machines.memory.batch
        for first in range(0, len(kinds), MAX_OPERATIONS):
            some = kinds[first : first + MAX_OPERATIONS]
            access_costs.prepare(some, machines.memory)
            machines.events.expect(np.zeros(len(some), EXPECTED))
            control["first"], control["last"], control["stop_at"] = 0, len(some), StopAt.NEVER
            machines.observer.drive()
            rows = machines.take_rows(slice(len(some)))
            found[first : first + len(some)] = rows[:, _ACCESS, : len(COLUMNS)]
        # No access is where it would be in a trace.
        machines.events.take_findings()
        return access_costs.Measured(kinds, found)


class EachShape(EachLength):
    """Observes an operation of every shape; the length is part of it only where it matters.

    Where it does not, accesses are measured apart, and are judged by their spans. Those of samples
    are observed, and must cost what was measured.
    """

    by_span = True

    def _mark_shapes(self, batch: Batch) -> NDArray[np.int64]:
        """Write shapes as ever, and at which operations each of the user's accesses is seen."""
        shape = super()._mark_shapes(batch)
        each = self.rules.matters(batch) | (batch.ops["shape"] != shape)
        batch.ops["flags"] |= each * np.uint32(Flag.EACH)
        return shape

    def prepare(self, probe: Probe) -> None:
        """Find out for which operations the length matters, as LengthProbe does."""
        geometry = self.subject.placed.geometry
        of = f"{self.subject.image.digest} {geometry!r}"

        def find_out() -> bytes | None:
            lengths = LengthProbe(geometry, settles=self.rules.settles)
            intact = probe(lengths.placed, lengths)
            # Else the trace will show what is wrong, too, or does not depend on it.
            return lengths.matter().tobytes() if intact else None

        found = kept("lengths", of, find_out)
        if found is not None:
            by_length = np.frombuffer(found, bool)
            self.rules.by_length = by_length.reshape(self.rules.by_length.shape)


class EachClass(EachLength):
    """Observes one operation of each mode and state in each size class; nothing is counted.

    One of them is on an object that spans and one on an object that does not. Contents are judged
    as ever.
    """

    def __init__(
        self, subject: Subject, listener: Listener | None = None, *, watch: int = -1
    ) -> None:
        super().__init__(subject, listener, watch=watch)
        self.rules.by_length[:] = False
        self.rules.by_slot = False

    def finish(self) -> bool:
        """Sum up nothing."""
        return True
