# SPDX-License-Identifier: GPL-2.0-only
"""Know what every byte of every object must be, and what every caller's buffer must hold.

The content of an object is a function of its number and its version, which every write and update
raises by one: 64-bit word i is ``base(object, version) + i * STEP``, as native/oracle.c has them,
which does what is done for each byte or in the order of the operations. All of a batch's buffers
lie packed in one arena, so one comparison judges every byte that any access of the batch saw, and
the unused bytes between the buffers as well.
"""

import ctypes
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.guest.native_library import load_library

SOURCE: Final = Path(__file__).parent / "native" / "oracle.c"
BUFFERS: Final = np.array([0, 0, 1, 1, 2], np.int64)
"""callers' buffers that each trace.Operation has"""
_ALIGN: Final = 64
_REDZONE: Final = 16
"""bytes, at least, between two buffers"""

_FIELDS: Final = ("start", "words", "length", "known", "newest", "first", "older")
CONTENT: Final = np.dtype([(name, np.uint64) for name in _FIELDS])
"""``struct content``: what a caller's buffer holds"""

_pointer = ctypes.c_void_p
_u64 = ctypes.c_uint64


class _Versions(ctypes.Structure):
    """``struct versions``."""

    _fields_ = (("version", _pointer), ("newest", _pointer), ("defined", _pointer))


@cache
def library() -> ctypes.CDLL:
    """Load the native part, which is compiled first if the cache of compiled code lacks it.

    ZsemuError with the compiler's message if it does not compile.
    """
    found = load_library("oracle", SOURCE)
    versions = ctypes.POINTER(_Versions)
    found.advance.argtypes = [versions, versions, *[_pointer] * 4, _u64]
    found.lay_out.argtypes = [*[_pointer] * 4, versions, _pointer, _u64, *[_pointer] * 3]
    found.fill.argtypes = found.differs.argtypes = [_pointer, _u64, _pointer]
    found.advance.restype = found.lay_out.restype = found.fill.restype = None
    return found


def _columns(
    operation: NDArray[np.uint8], object_: NDArray[np.uint32], length: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.int64]]:
    """Return columns as C takes them."""
    return (
        np.ascontiguousarray(operation, np.uint8),
        np.ascontiguousarray(object_, np.uint32),
        np.ascontiguousarray(length, np.int64),
    )


def _versions(*arrays: NDArray[np.int64]) -> _Versions:
    return _Versions(*(array.ctypes.data for array in arrays))


def stride(length: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the bytes that a buffer of ``length`` takes in the arena."""
    return (length + (_REDZONE + _ALIGN - 1)) // _ALIGN * _ALIGN


@dataclass(frozen=True)
class History:
    """What came before each of n operations, arrays of shape (n,), int64."""

    before: NDArray[np.int64]
    """version of the object"""
    after: NDArray[np.int64]
    newest: NDArray[np.int64]
    """bytes of version ``before`` at its start; 0 where that is 0"""
    defined: NDArray[np.int64]
    """bytes that are defined: those behind ``newest``, which an update left alone, are of the
    version before that"""


class Versions:
    """The version of every object, from batch to batch."""

    def __init__(self, objects: int) -> None:
        self._objects = [np.zeros(objects, np.int64) for _ in range(3)]

    def advance(
        self,
        operation: NDArray[np.uint8],
        object_: NDArray[np.uint32],
        length: NDArray[np.int64],
    ) -> History:
        """Follow the next n operations."""
        n = len(object_)
        assert int(object_.max(initial=0)) < len(self._objects[0]) or not n
        before, newest, defined, after = (np.empty(n, np.int64) for _ in range(4))
        operation, object_, length = _columns(operation, object_, length)
        library().advance(
            _versions(*self._objects),
            _versions(before, newest, defined),
            *(array.ctypes.data for array in (after, operation, object_, length)),
            n,
        )
        return History(before, after, newest, defined)


@dataclass(frozen=True)
class Arena:
    """The callers' buffers of a batch: m buffers, packed."""

    owner: NDArray[np.int64]
    """operation of each buffer, shape (m,)"""
    given: NDArray[np.void]
    """what the buffers hold at first, dtype CONTENT, shape (m,)"""
    wanted: NDArray[np.void]
    """and what they must hold at the end, the same"""

    @cached_property
    def start(self) -> NDArray[np.int64]:
        """First word of each buffer, shape (m,)."""
        return self.wanted["start"].astype(np.int64)

    @cached_property
    def length(self) -> NDArray[np.int64]:
        """Bytes of each buffer, shape (m,)."""
        return self.wanted["length"].astype(np.int64)

    @cached_property
    def words(self) -> int:
        """Words of all buffers together."""
        return int(self.wanted["words"].sum())

    def write(self, words: NDArray[np.uint64]) -> None:
        """Write into memory, shape (words,), what the buffers hold at first."""
        assert words.dtype == np.uint64 and len(words) == self.words
        library().fill(self.given.ctypes.data, len(self.given), words.ctypes.data)

    @property
    def before(self) -> NDArray[np.uint64]:
        """What the arena holds at first, shape (words,)."""
        words = np.empty(self.words, np.uint64)
        self.write(words)
        return words

    @cached_property
    def after(self) -> NDArray[np.uint64]:
        """What the arena must hold at the end, shape (words,)."""
        words = np.empty(self.words, np.uint64)
        library().fill(self.wanted.ctypes.data, len(self.wanted), words.ctypes.data)
        return words

    def mismatches(self, found: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Compare the arena's words; return the bytes that are wrong, ascending, shape (k,)."""
        assert found.dtype == np.uint64 and len(found) == self.words
        if not library().differs(self.wanted.ctypes.data, len(self.wanted), found.ctypes.data):
            return np.empty(0, np.int64)
        wrong = found.view(np.uint8) != self.after.view(np.uint8)
        # Nobody ever defined these bytes: whatever is there is right.
        partly = self.wanted[self.wanted["known"] < self.wanted["length"]]
        for begin, known, length in partly[["start", "known", "length"]].tolist():
            wrong[begin * 8 + known : begin * 8 + length] = False
        return np.flatnonzero(wrong)


def arena(
    operation: NDArray[np.uint8],
    object_: NDArray[np.uint32],
    length: NDArray[np.int64],
    history: History,
) -> Arena:
    """Lay out the buffers of n operations: one for a read or write, two for an update, in order.

    The second of an update holds the new content, and afterwards what was seen of the old.
    """
    buffers = int(BUFFERS[operation].sum())
    owner, given, wanted = np.empty(buffers, np.int64), *np.empty((2, buffers), CONTENT)
    operation, object_, length = _columns(operation, object_, length)
    words = stride(length) // 8
    library().lay_out(
        *(array.ctypes.data for array in (operation, object_, length, words)),
        _versions(history.before, history.newest, history.defined),
        history.after.ctypes.data,
        len(operation),
        *(array.ctypes.data for array in (owner, given, wanted)),
    )
    return Arena(owner, given, wanted)
