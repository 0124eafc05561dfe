# SPDX-License-Identifier: GPL-2.0-only
"""Which operations must be observed, and what all of them cost together.

What a map and an unmap cost follows from size class, slot and mode (and from the length, where the
interface has it); what malloc and free cost, from the path that they take through the code, which
has been recorded before; what an access costs, from length, mode and where the payload begins in a
cache line. One of each is observed, and a few more at random must agree with it.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import COLUMNS as STRATEGY_COLUMNS
from zsemu.counts import PHASES as STRATEGY_PHASES
from zsemu.counts import SCOPE_COLUMNS
from zsemu.kernel.counts import COLUMNS, INSTRUCTIONS, KINDS, PHASES
from zsemu.replay.key_numbers import KeyNumbers
from zsemu.replay.spanning_costs import FIGURES, SpanningCosts

ACCESS: Final = PHASES.index("access")
MALLOC: Final = PHASES.index("malloc")
OTHERS: Final = tuple(phase for phase in range(len(PHASES)) if phase != ACCESS)
_SAMPLES: Final = 16
"""operations of each batch that are observed though their shape is known"""
_COMPARED: Final = slice(0, COLUMNS.index("lines_touched"))
"""Columns that a shape decides. The lines that the allocator's own data fill are decided by where
the slab allocator has put it."""


_MINE: Final = [KINDS.index("own"), KINDS.index("copy")]
_FIGURES: Final = [COLUMNS.index(name) for name in FIGURES]
_THEIRS: Final = [STRATEGY_COLUMNS.index(name) for name in FIGURES]


def _add_spanning(costs: SpanningCosts, keys: NDArray[np.uint64], rows: NDArray[np.uint32]) -> None:
    """Add operations to what spanning maps cost: own and copy, as with strategies.

    ``rows`` is what each costs, shape (n, phases, kinds, columns).
    """
    found = np.zeros((len(rows), len(STRATEGY_PHASES), len(STRATEGY_COLUMNS)), np.uint32)
    for phase, name in enumerate(STRATEGY_PHASES):
        if name in PHASES:
            mine = rows[:, PHASES.index(name)][:, _MINE].sum(axis=1, dtype=np.uint32)
            found[:, phase, _THEIRS] = mine[:, _FIGURES]
    costs.add(keys, 1, found)


class Sums:
    """What all operations cost, when every one of them is observed."""

    shapes = 0
    """distinct shapes that were measured; 0: every operation was"""

    def __init__(self) -> None:
        self.sums = np.zeros((SCOPE_COLUMNS, len(PHASES), len(KINDS), len(COLUMNS)), np.int64)
        self.spanning = SpanningCosts()

    def add(
        self, scope: NDArray[np.uint8], rows: NDArray[np.uint32], keys: NDArray[np.uint64]
    ) -> None:
        """Add operations: their scopes, shape (n,), costs, and rows of spanning costs, 0 for none.

        The costs have shape (n, phases, kinds, columns).
        """
        for column in np.unique(scope).tolist():
            self.sums[column] += rows[scope == column].sum(axis=0, dtype=np.int64)
        spanning = np.flatnonzero(keys)
        _add_spanning(self.spanning, keys[spanning], rows[spanning])


class Costs:
    """Shapes, what each costs, and the sums of a whole replay."""

    def __init__(self, *, by_length: bool) -> None:
        """``by_length``: whether a map is told the length, and so may depend on it."""
        self._by_length = by_length
        self._shapes, self._accesses = KeyNumbers(), KeyNumbers()
        self._rows = np.zeros((0, len(OTHERS), len(KINDS), len(COLUMNS)), np.uint32)
        self._access_rows = np.zeros((0, len(KINDS), len(COLUMNS)), np.uint32)
        self._times = np.zeros((0, SCOPE_COLUMNS), np.int64)
        self._fast_times = np.zeros((0, SCOPE_COLUMNS), np.int64)
        self._access_times = np.zeros((0, SCOPE_COLUMNS), np.int64)
        self.sums = np.zeros((SCOPE_COLUMNS, len(PHASES), len(KINDS), len(COLUMNS)), np.int64)
        self.spanning = SpanningCosts()
        self.consistent = True
        """whether every operation observed again has cost the same"""

    @property
    def shapes(self) -> int:
        """Distinct shapes that were measured."""
        return len(self._shapes)

    def choose(
        self,
        maps: NDArray[np.bool_],
        key: NDArray[np.uint64],
        length: NDArray[np.int64],
        start: NDArray[np.int64],
        random: np.random.Generator,
    ) -> NDArray[np.bool_]:
        """Say which of n operations must be observed, shape (n,).

        ``key`` says class, slot and mode of a map, and of the others the path; ``start`` where in
        a cache line the payload begins, less than 128.
        """
        n = len(maps)
        self._maps = np.flatnonzero(maps)
        mode = key & np.uint64(7)
        access = length.astype(np.uint64) << np.uint64(10) | start.astype(np.uint64) << np.uint64(3)
        if self._by_length:
            key = np.where(maps, key << np.uint64(16) | length.astype(np.uint64), key)
        known = len(self._shapes), len(self._accesses)
        self._shape_of = self._shapes.numbers(key)
        self._access_of = self._accesses.numbers((access | mode)[self._maps])
        observe = np.zeros(n, bool)
        fresh, first = np.unique(self._shape_of, return_index=True)
        observe[first[fresh >= known[0]]] = True
        fresh, first = np.unique(self._access_of, return_index=True)
        observe[self._maps[first[fresh >= known[1]]]] = True
        observe[random.integers(n, size=_SAMPLES)] = True
        self._grow()
        return observe

    def _grow(self) -> None:
        def grown(array: NDArray[Any], size: int) -> NDArray[Any]:
            if size <= len(array):
                return array
            room = np.zeros((max(size, 2 * len(array)) - len(array), *array.shape[1:]), array.dtype)
            return np.concatenate([array, room])

        for name in ("_rows", "_times", "_fast_times"):
            setattr(self, name, grown(getattr(self, name), len(self._shapes)))
        for name in ("_access_rows", "_access_times"):
            setattr(self, name, grown(getattr(self, name), len(self._accesses)))

    def learn(
        self,
        observed: NDArray[np.bool_],
        scope: NDArray[np.uint8],
        rows: NDArray[np.uint32],
        keys: NDArray[np.uint64],
    ) -> None:
        """Take a batch that has run: which operations were observed, and their rows.

        ``keys`` are the rows of spanning costs that operations belong to, 0 for none.
        """
        seen = np.flatnonzero(observed)
        self._compare(self._rows, self._shape_of[seen], rows[seen][:, OTHERS])
        looked = np.flatnonzero(observed[self._maps])
        access = rows[self._maps[looked], ACCESS]
        self._compare(self._access_rows, self._access_of[looked], access)
        np.add.at(self._times, (self._shape_of, scope), 1)
        fast = ~observed
        np.add.at(self._fast_times, (self._shape_of[fast], scope[fast]), 1)
        np.add.at(self._access_times, (self._access_of, scope[self._maps]), 1)
        spanning = np.flatnonzero(keys[self._maps])
        known = np.zeros((len(spanning), len(PHASES), len(KINDS), len(COLUMNS)), np.uint32)
        known[:, OTHERS] = self._rows[self._shape_of[self._maps[spanning]]]
        known[:, ACCESS] = self._access_rows[self._access_of[spanning]]
        _add_spanning(self.spanning, keys[self._maps[spanning]], known)

    def _compare(
        self, table: NDArray[np.uint32], number: NDArray[np.int64], rows: NDArray[np.uint32]
    ) -> None:
        """Keep the rows of shapes that are new; the others must be what is known."""
        known = table[number][..., INSTRUCTIONS].any(axis=tuple(range(1, table.ndim - 1)))
        fresh, first = np.unique(number[~known], return_index=True)
        table[fresh] = rows[~known][first]
        same = np.array_equal(table[number][..., _COMPARED], rows[..., _COMPARED])
        self.consistent &= same

    def finish(self, counted: NDArray[np.int64]) -> bool:
        """Add the shapes to the sums; say whether the block hits of the fast machine agree.

        ``counted`` are the instructions that the hits stand for, shape (phases, kinds, scopes).
        """
        expected = np.zeros_like(counted)
        rows = self._rows.astype(np.int64)
        for index, phase in enumerate(OTHERS):
            self.sums[:, phase] += np.tensordot(self._times.T, rows[:, index], 1)
            instructions = rows[:, index, :, INSTRUCTIONS]
            expected[phase] = np.tensordot(instructions.T, self._fast_times, 1)
        access = self._access_rows.astype(np.int64)
        self.sums[:, ACCESS] += np.tensordot(self._access_times.T, access, 1)
        counted = counted.copy()
        counted[ACCESS] = 0
        counted[:, :, SCOPE_COLUMNS - 1] = 0
        return self.consistent and np.array_equal(counted, expected)
