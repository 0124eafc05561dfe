# SPDX-License-Identifier: GPL-2.0-only
"""Give every distinct 64-bit key a number, the next index into arrays."""

import numpy as np
from numpy.typing import NDArray


class KeyNumbers:
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
        at = np.searchsorted(self._keys, keys)
        # Mostly all have been there before, so that nothing need be sorted.
        there = at < len(self._keys)
        there[there] = self._keys[at[there]] == keys[there]
        if not there.all():
            self._add(np.unique(keys[~there]))
            at = np.searchsorted(self._keys, keys)
        return self._numbers[at]

    def _add(self, keys: NDArray[np.uint64]) -> None:
        """Give numbers to new keys, which are distinct and ascend."""
        at = np.searchsorted(self._keys, keys)
        fresh = np.arange(len(self), len(self) + len(keys))
        self._keys = np.insert(self._keys, at, keys)
        self._numbers = np.insert(self._numbers, at, fresh)
