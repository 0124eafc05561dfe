# SPDX-License-Identifier: GPL-2.0-only
"""Give every distinct 64-bit key a number, the next index into arrays."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.guest.native_library import load_library

SOURCE: Final = Path(__file__).parent / "native" / "key_numbers.c"

_pointer = ctypes.c_void_p
_u64 = ctypes.c_uint64


class _Table(ctypes.Structure):
    """``struct table``."""

    _fields_ = (("key", _pointer), ("keys", _u64), ("slot", _pointer), ("mask", _u64))


@cache
def library() -> ctypes.CDLL:
    """Load the native part, which is compiled first if the cache of compiled code lacks it.

    ZsemuError with the compiler's message if it does not compile.
    """
    found = load_library("key_numbers", SOURCE)
    table = ctypes.POINTER(_Table)
    found.number_keys.argtypes = [table, _pointer, _u64, _pointer]
    found.place_keys.argtypes = [table]
    found.number_keys.restype = found.place_keys.restype = None
    return found


class KeyNumbers:
    """Gives every distinct 64-bit key a number, in order of appearance."""

    def __init__(self) -> None:
        self._table = _Table()
        self._keys = np.empty(0, np.uint64)
        self._slots = np.empty(0, np.uint32)

    def __len__(self) -> int:
        return int(self._table.keys)

    def keys(self) -> NDArray[np.uint64]:
        """Return all keys in the order of their numbers, shape (keys,)."""
        return self._keys[: len(self)].copy()

    def numbers(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the number of each key, new ones included, shape (n,)."""
        if len(self) + len(keys) > len(self._keys):
            self._grow(len(self) + len(keys))
        keys, numbers = np.ascontiguousarray(keys, np.uint64), np.empty(len(keys), np.int64)
        library().number_keys(self._table, keys.ctypes.data, len(keys), numbers.ctypes.data)
        return numbers

    def _grow(self, least: int) -> None:
        """Make room for at least so many keys, in a table of which at most half is in use."""
        room = 1 << max(least, 1024).bit_length()
        kept = self.keys()
        self._keys, self._slots = np.empty(room, np.uint64), np.zeros(2 * room, np.uint32)
        self._keys[: len(kept)] = kept
        table = self._table
        table.key, table.slot = self._keys.ctypes.data, self._slots.ctypes.data
        table.mask = len(self._slots) - 1
        library().place_keys(table)
