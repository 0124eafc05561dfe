# SPDX-License-Identifier: GPL-2.0-only
"""Know which operations cost the same, and add up what they cost.

Operations that cost the same have one shape. Each shape is measured once and multiplied by how
often it occurs. A shape is all that can matter of what a strategy receives, and the state in the
page words around the slot. Where an object does not span, its place matters only as far as cache
lines and the slots beside it are concerned. Where the length does not matter (length_probe.py), the
cost of an operation is that of its shape and that of its access (access_costs.py). The sums are
held against block hits in every run (by_shape.py).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import COLUMNS, LINE, PHASES
from zsemu.replay.batch import Batch
from zsemu.replay.key_numbers import KeyNumbers
from zsemu.traces.operation import Operation


def _every_map() -> NDArray[np.bool_]:
    by_length = np.ones((len(Operation), 2), bool)
    by_length[: Operation.READ] = False
    return by_length


@dataclass
class ShapeRules:
    """What of an operation is part of its shape."""

    settles: bool
    """whether the strategy has zs_settle(): if it leaves something in other slots, what lies around
    an object that does not span matters, too"""
    by_length: NDArray[np.bool_] = field(default_factory=_every_map)
    """for which operations the length matters, shape (operations, 2): on objects that do not span,
    and on those that do"""
    by_slot: bool = True
    """whether it matters in which slot a spanning object is, and not only of which class"""

    def matters(self, batch: Batch) -> NDArray[np.bool_]:
        """Return to which operations the length matters, shape (n,)."""
        matters: NDArray[np.bool_] = self.by_length.reshape(-1)[
            2 * batch.operation + batch.part.placed.spans
        ]
        return matters

    def keys(self, batch: Batch) -> NDArray[np.uint64]:
        """Return what is known of each operation's shape before it runs, shape (n,)."""
        placed, operation = batch.part.placed, batch.operation
        class_index, spans = placed.class_index, placed.spans
        slot = class_index.astype(np.uint64) << np.uint64(16)
        if self.by_slot:
            slot |= placed.slot.view(np.uint32)
        key = np.where(spans, slot, self._inside(batch)) << np.uint64(24)
        small = operation | spans.view(np.uint8) << 3
        small |= (batch.part.geometry.headers == 0).view(np.uint8)[class_index] << 4
        key |= small
        if self.by_length.any():
            length = np.where(self.matters(batch), batch.part.trace.length, np.uint32(0))
            key |= length.astype(np.uint64) << np.uint64(5)
        return key

    def _inside(self, batch: Batch) -> NDArray[np.uint64]:
        """Return what matters of the places of objects that do not span, shape (n,)."""
        placed, geometry = batch.part.placed, batch.part.geometry
        place = (placed.offset & (LINE - 1)).astype(np.uint64)
        if not self.settles:
            return place
        # What tells whether a slot before it reaches into its page.
        near_start = placed.offset < geometry.sizes[placed.class_index]
        place |= (placed.page > 0).astype(np.uint64) << np.uint64(6)
        return place | near_start.astype(np.uint64) << np.uint64(7)


# A pair: an access, and above it a shape.
_ACCESS, _SHAPE = np.uint64((1 << 31) - 1), np.uint64(31)


@dataclass(frozen=True)
class Part:
    """Some of the operations that occurred, n different ones: arrays of shape (n, ...)."""

    label: NDArray[np.uint64]
    scope: NDArray[np.int64]
    times: NDArray[np.int64]
    """how often each occurred"""
    counted: NDArray[np.int64]
    """how often on the counting CPU, by block hits only"""
    rows: NDArray[np.uint32]
    """what one of each costs, shape (n, phases, columns)"""


class ShapeCosts:
    """The rows of all shapes seen, and how often each occurred with which access."""

    def __init__(self) -> None:
        self._index = KeyNumbers()
        self._rows = np.empty((0, len(PHASES), len(COLUMNS)), np.uint32)
        self._known = np.empty(0, bool)
        self._label = np.empty(0, np.uint64)
        self._scope = np.empty(0, np.int64)
        self._first = np.empty(0, np.int64)
        self._pairs = KeyNumbers()
        self._times = np.zeros((0, 2), np.int64)
        """of each pair of a shape and an access: how often it was observed, and how often not"""
        self.consistent = True
        """whether every shape measured twice cost the same both times"""

    def __len__(self) -> int:
        return int(self._known.sum())

    def _grow(self) -> None:
        missing = len(self._index) - len(self._known)
        if missing > 0:
            extra = max(missing, len(self._known) // 2)
            self._rows = np.concatenate(
                [self._rows, np.zeros((extra, *self._rows.shape[1:]), np.uint32)]
            )
            self._known = np.concatenate([self._known, np.zeros(extra, bool)])
            self._label = np.concatenate([self._label, np.zeros(extra, np.uint64)])
            self._scope, self._first = (
                np.concatenate([array, np.zeros(extra, np.int64)])
                for array in (self._scope, self._first)
            )

    def learn(
        self,
        keys: NDArray[np.uint64],
        operation: NDArray[np.int64],
        scope: NDArray[np.uint32],
        label: NDArray[np.uint64],
        rows: NDArray[np.uint32],
    ) -> None:
        """Take the rows of operations that were measured, shape (n, phases, columns).

        ``operation`` is their numbers, ascending. Operations of one shape have one ``scope`` and
        one ``label``. Shape (n,) each.
        """
        numbers = self._index.numbers(keys)
        self._grow()
        first, where = np.unique(numbers, return_index=True)
        new = ~self._known[first]
        self._rows[first[new]] = rows[where[new]]
        self._scope[first[new]] = scope[where[new]]
        self._first[first[new]] = operation[where[new]]
        self._label[first[new]] = label[where[new]]
        self._known[first] = True
        if self.consistent and not np.array_equal(self._rows[numbers], rows):
            self.consistent = False

    def occur(
        self, keys: NDArray[np.uint64], access: NDArray[np.uint64], counted: NDArray[np.bool_]
    ) -> None:
        """Count operations, each with the key of its access, 0 for none; shape (n,) each.

        ``counted`` are those that ran on the counting CPU, by block hits only.
        """
        shape = self._index.numbers(keys).astype(np.uint64)
        self._grow()
        pairs = self._pairs.numbers(shape << _SHAPE | access)
        if (missing := len(self._pairs) - len(self._times)) > 0:
            extra = max(missing, len(self._times) // 2)
            self._times = np.concatenate([self._times, np.zeros((extra, 2), np.int64)])
        # By one index: NumPy is slow to add by two.
        np.add.at(self._times.reshape(-1), 2 * pairs + counted, 1)

    def occurrences(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the operation on which each shape was measured, and how often it occurred.

        Ascending by operation, shape (shapes,) each.
        """
        shape = (self._pairs.keys() >> _SHAPE).astype(np.int64)
        times = np.zeros(len(self._known), np.int64)
        np.add.at(times, shape, self._times[: len(shape)].sum(axis=1))
        known = np.flatnonzero(self._known)
        known = known[np.argsort(self._first[known])]
        return self._first[known], times[known]

    def accesses(self) -> NDArray[np.uint64]:
        """Return the keys of the accesses that have occurred, ascending, without 0."""
        found = np.unique(self._pairs.keys() & _ACCESS)
        return found[found > 0]

    def parts(self, cost: Callable[[NDArray[np.uint64]], NDArray[np.uint32]]) -> Iterator[Part]:
        """Yield all that has occurred, some at a time; every shape has been learnt.

        ``cost`` gives for keys of accesses, shape (n,), what they cost, shape (n, columns).
        """
        pairs = self._pairs.keys()
        for some in np.array_split(np.arange(len(pairs)), len(pairs) // 4096 + 1):
            shape = (pairs[some] >> _SHAPE).astype(np.int64)
            assert self._known[shape].all()
            rows = self._rows[shape]
            rows[:, PHASES.index("access")] += cost(pairs[some] & _ACCESS)
            observed, counted = self._times[some].T
            yield Part(self._label[shape], self._scope[shape], observed + counted, counted, rows)
