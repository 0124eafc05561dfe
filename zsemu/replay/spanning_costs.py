# SPDX-License-Identifier: GPL-2.0-only
"""Add up what mapping a spanning object costs by where the page ends in its slot.

A row is a class size, a *head* (bytes of the slot that lie in its first page; the tail is the rest)
and a mode. Operations of a row may differ in length and in what state a strategy is in: a row sums
over all of them.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import COLUMNS, PHASES, STRATEGY_PHASES
from zsemu.replay.key_numbers import KeyNumbers
from zsemu.traces.operation import Operation

MODES: Final = {
    operation.name.lower(): operation
    for operation in (Operation.READ, Operation.WRITE, Operation.UPDATE)
}
FIGURES: Final = ("instructions", "bytes_loaded", "bytes_stored")
FIELDS: Final = (
    "class_size",
    "head",
    "maps",
    *FIGURES,
    *(f"access_{name}" for name in FIGURES),
)
"""of every row: FIGURES of what the strategy does (settle, map, unmap), then of the access"""

ByShape = dict[str, dict[str, tuple[int, ...]]]
"""by mode, then by one of FIELDS: a number for each row, ordered by class size and head"""

_SHIFT: Final = 20
_PHASES: Final = (
    [PHASES.index(phase) for phase in STRATEGY_PHASES],
    [PHASES.index("access")],
)


def keys(operation: NDArray[np.uint8], slot: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the row that each of n operations belongs to, shape (n,); 0: to none.

    ``slot`` has the bytes of its slot in the first page and in the second, shape (n, 2).
    """
    head, tail = slot[:, 0], slot[:, 1]
    shift = np.uint64(_SHIFT)
    key = (operation.astype(np.uint64) << shift | head + tail) << shift | head
    return np.where((operation >= Operation.READ) & (tail > 0), key, np.uint64(0))


class SpanningCosts:
    """The sums by row."""

    def __init__(self) -> None:
        self._index = KeyNumbers()
        self._sums = np.zeros((0, len(FIELDS) - 2), np.int64)

    def add(
        self,
        keys: NDArray[np.uint64],
        times: NDArray[np.int64] | int,
        rows: NDArray[np.uint32],
    ) -> None:
        """Add operations of the rows ``keys``, shape (n,), each so many ``times``.

        ``rows`` is what one of each costs, shape (n, phases, columns).
        """
        chosen = np.flatnonzero(keys)
        number = self._index.numbers(keys[chosen])
        more = len(self._index) - len(self._sums)
        self._sums = np.concatenate([self._sums, np.zeros((more, self._sums.shape[1]), np.int64)])
        times = np.broadcast_to(np.asarray(times, np.int64), keys.shape)[chosen]
        columns = [COLUMNS.index(name) for name in FIGURES]
        figures = rows[chosen][:, :, columns].astype(np.int64)
        parts = [figures[:, phases].sum(axis=1) for phases in _PHASES]
        values = np.concatenate([np.ones((len(chosen), 1), np.int64), *parts], axis=1)
        np.add.at(self._sums, number, values * times[:, np.newaxis])

    def document(self) -> ByShape:
        """Give the sums the form that results have."""
        key = self._index.keys()
        order = np.argsort(key)
        key = key[order]
        mask = np.uint64((1 << _SHIFT) - 1)
        mode = key >> np.uint64(2 * _SHIFT)
        sizes = np.stack([key >> np.uint64(_SHIFT) & mask, key & mask], axis=1).astype(np.int64)
        table = np.concatenate([sizes, self._sums[order]], axis=1)
        found = {}
        for name, operation in MODES.items():
            columns = table[mode == operation].T.tolist()
            found[name] = dict(zip(FIELDS, map(tuple, columns), strict=True))
        return found
