# SPDX-License-Identifier: GPL-2.0-only
"""Know what every byte of every object must be, and what every caller's buffer must hold.

The content of an object is a function of its number and its version, which every write and update
raises by one: 64-bit word i is ``base(object, version) + i * STEP``. All of a batch's buffers
lie packed in one arena, so one comparison judges every byte that any access of the batch saw, and
the unused bytes between the buffers as well. What has to be done for each byte or in the order of
the operations is in native/oracle.c.
"""

import ctypes
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.guest.native_library import load_library
from zsemu.traces.operation import Operation

SOURCE: Final = Path(__file__).parent / "native" / "oracle.c"
BUFFERS: Final = np.array([0, 0, 1, 1, 2], np.int64)
"""callers' buffers that each trace.Operation has"""
STEP: Final = np.uint64(0x9E3779B97F4A7C15)
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
    found.fill.argtypes = found.differs.argtypes = [_pointer, _u64, _pointer]
    found.advance.restype = found.fill.restype = None
    return found


def _versions(*arrays: NDArray[np.int64]) -> _Versions:
    return _Versions(*(array.ctypes.data for array in arrays))


def base(object_: NDArray[np.uint32], version: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the first word of each content (a finaliser as in splitmix64), same shape."""
    word = object_.astype(np.uint64) << np.uint64(32) | version.astype(np.uint64)
    word = (word ^ word >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ word >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return word ^ word >> np.uint64(31)


def content(object_: int, version: int, length: int) -> NDArray[np.uint8]:
    """Return the first ``length`` bytes of one content, uint8."""
    first = base(np.array([object_], np.uint32), np.array([version], np.int64))
    words = first + np.arange((length + 7) // 8, dtype=np.uint64) * STEP
    return words.astype("<u8").view(np.uint8)[:length]


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
        operation = np.ascontiguousarray(operation, np.uint8)
        object_ = np.ascontiguousarray(object_, np.uint32)
        length = np.ascontiguousarray(length, np.int64)
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
    start: NDArray[np.int64]
    """first word of each buffer, shape (m,)"""
    known: NDArray[np.int64]
    """bytes of each that are defined afterwards, shape (m,)"""
    length: NDArray[np.int64]
    """bytes of each, shape (m,)"""
    words: int
    """of all buffers together"""
    given: NDArray[np.void]
    """what the buffers hold at first, dtype CONTENT, shape (m,)"""
    wanted: NDArray[np.void]
    """and what they must hold at the end, the same"""

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
        for buffer in np.flatnonzero(self.known < self.length).tolist():
            begin = int(self.start[buffer]) * 8
            wrong[begin + int(self.known[buffer]) : begin + int(self.length[buffer])] = False
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
    buffers = BUFFERS[operation]
    owner = np.repeat(np.arange(len(operation)), buffers)
    second = np.zeros(len(owner), bool)
    second[1:] = owner[1:] == owner[:-1]
    words = stride(length)[owner] // 8
    start = np.cumsum(words) - words
    kind, sizes = operation[owner], length[owner]
    sees = (kind == Operation.READ) | second
    version = np.where(sees, history.before[owner], history.after[owner])
    known = np.where(sees, np.minimum(sizes, history.defined[owner]), sizes)
    newest = history.newest[owner]

    wanted = np.empty(len(owner), CONTENT)
    wanted["start"], wanted["words"] = start, words
    wanted["length"], wanted["known"] = sizes, known
    # What the last update did not reach is of the version before.
    wanted["newest"] = np.where(sees & (known > newest), newest, sizes)
    wanted["first"] = base(object_[owner], version)
    wanted["older"] = base(object_[owner], version - 1)

    given = wanted.copy()
    receives = (kind == Operation.READ) | ((kind == Operation.UPDATE) & ~second)
    given["length"][receives] = given["newest"][receives] = 0
    given["newest"][second] = sizes[second]
    given["first"][second] = base(object_[owner[second]], history.after[owner[second]])
    return Arena(owner, start, known, sizes, int(words.sum()), given, wanted)
