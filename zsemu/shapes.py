# SPDX-License-Identifier: GPL-2.0-only
"""Shapes: operations that cost the same, each measured once and multiplied by how often it occurs.

A shape is what can matter of what a strategy receives, and the state in the page words around the
slot. For an object that does not span the place matters only as far as cache lines and the slots
beside it are concerned. The sums are held against block hits in every run (replay.py).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import COLUMNS, INSTRUCTIONS, PHASES, SCOPE_COLUMNS
from zsemu.geometry import Geometry
from zsemu.placement import Placed
from zsemu.trace import Operation

_LINE = 64


def static_keys(
    operation: NDArray[np.uint8],
    length: NDArray[np.int64],
    placed: Placed,
    index: NDArray[np.int64],
    geometry: Geometry,
    *,
    settles: bool,
) -> NDArray[np.uint64]:
    """Return what is known of each operation's shape before it runs, shape (n,).

    ``operation`` and ``length`` are those of n operations, ``index`` where they are in ``placed``.
    ``settles`` is whether the strategy has zs_settle(): if it leaves something in other slots, what
    lies around an object that does not span matters, too.
    """
    class_index, offset = placed.class_index[index], placed.offset[index]
    spans = placed.spans[index]
    slot = class_index.astype(np.uint64) << np.uint64(16) | placed.slot[index].astype(np.uint64)
    # What tells whether a slot before it reaches into its page.
    inner = ((placed.page[index] > 0) & settles).astype(np.uint64) << np.uint64(6)
    first = ((offset < geometry.sizes[class_index]) & settles).astype(np.uint64) << np.uint64(7)
    place = (offset % _LINE).astype(np.uint64) | inner | first
    key = operation.astype(np.uint64)
    key |= spans.astype(np.uint64) << np.uint64(3)
    key |= (geometry.headers[class_index] == 0).astype(np.uint64) << np.uint64(4)
    key |= np.where(operation >= Operation.READ, length, 0).astype(np.uint64) << np.uint64(5)
    return key | np.where(spans, slot, place) << np.uint64(24)


class Index:
    """Gives every distinct 64-bit key a number, in order of appearance."""

    def __init__(self) -> None:
        self._keys = np.empty(0, np.uint64)
        self._numbers = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> NDArray[np.uint64]:
        """Return all keys in the order of their numbers, shape (keys,)."""
        keys: NDArray[np.uint64] = self._keys[np.argsort(self._numbers)]
        return keys

    def numbers(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the number of each key, new ones included, same shape."""
        distinct, where = np.unique(keys, return_inverse=True)
        at = np.searchsorted(self._keys, distinct)
        there = at < len(self._keys)
        there[there] = self._keys[at[there]] == distinct[there]
        new = ~there
        if new.any():
            fresh = np.arange(len(self), len(self) + int(new.sum()))
            self._keys = np.insert(self._keys, at[new], distinct[new])
            self._numbers = np.insert(self._numbers, at[new], fresh)
            at = np.searchsorted(self._keys, distinct)
        numbers: NDArray[np.int64] = self._numbers[at][where]
        return numbers


class Shapes:
    """The rows of all shapes seen, and how often each occurred."""

    def __init__(self) -> None:
        self._index = Index()
        self._rows = np.empty((0, len(PHASES), len(COLUMNS)), np.uint32)
        self._known = np.empty(0, bool)
        self._label = np.empty(0, np.uint64)
        self._scope = np.empty(0, np.int64)
        self._first = np.empty(0, np.int64)
        self._all = np.empty(0, np.int64)
        self._fast = np.empty(0, np.int64)
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
            self._scope, self._first, self._all, self._fast = (
                np.concatenate([array, np.zeros(extra, np.int64)])
                for array in (self._scope, self._first, self._all, self._fast)
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

    def occur(self, keys: NDArray[np.uint64], fast: NDArray[np.bool_]) -> None:
        """Count operations; ``fast`` are those that ran with block hits only. Shape (n,) each."""
        numbers = self._index.numbers(keys)
        self._grow()
        self._all += np.bincount(numbers, minlength=len(self._all))
        self._fast += np.bincount(numbers[fast], minlength=len(self._fast))

    def occurrences(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the operation on which each shape was measured, and how often it occurred.

        Ascending by operation, shape (shapes,) each.
        """
        known = np.flatnonzero(self._known)
        known = known[np.argsort(self._first[known])]
        return self._first[known], self._all[known]

    def sums(self) -> NDArray[np.int64]:
        """Return the counts of all operations, shape (SCOPE_COLUMNS, phases, columns)."""
        sums = np.zeros((SCOPE_COLUMNS, *self._rows.shape[1:]), np.int64)
        for scope in range(SCOPE_COLUMNS):
            chosen = np.flatnonzero((self._scope == scope) & self._known)
            for part in np.array_split(chosen, len(chosen) // 4096 + 1):
                sums[scope] += np.tensordot(self._all[part], self._rows[part].astype(np.int64), 1)
        return sums

    def parts(self) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint32]]]:
        """Yield all shapes, some at a time: how each was labelled, how often it occurred, its row.

        Shapes (n,), (n,), (n, phases, columns).
        """
        known = np.flatnonzero(self._known)
        for part in np.array_split(known, len(known) // 4096 + 1):
            yield self._label[part], self._all[part], self._rows[part]

    def fast_instructions(self) -> NDArray[np.int64]:
        """Return the instructions of the fast operations, shape (phases, SCOPE_COLUMNS)."""
        sums = np.zeros((len(PHASES), SCOPE_COLUMNS), np.int64)
        for scope in range(SCOPE_COLUMNS):
            chosen = np.flatnonzero((self._scope == scope) & self._known)
            each = self._rows[chosen][:, :, INSTRUCTIONS].astype(np.int64)
            sums[:, scope] = self._fast[chosen] @ each
        return sums
