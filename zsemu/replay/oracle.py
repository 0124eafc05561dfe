# SPDX-License-Identifier: GPL-2.0-only
"""Know what every byte of every object must be, and what every caller's buffer must hold.

The content of an object is a function of its number and its version, which every write and update
raises by one: 64-bit word i is ``base(object, version) + i * STEP``. All of a batch's buffers
lie packed in one arena, so one comparison judges every byte that any access of the batch saw, and
the unused bytes between the buffers as well.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.traces.operation import Operation

BUFFERS: Final = np.array([0, 0, 1, 1, 2], np.int64)
"""callers' buffers that each trace.Operation has"""
STEP: Final = np.uint64(0x9E3779B97F4A7C15)
POISON: Final = np.uint64(0xA5A5A5A5A5A5A5A5)
_ALIGN: Final = 64
_REDZONE: Final = 16
"""bytes, at least, between two buffers"""


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
        self.version = np.zeros(objects, np.int64)
        self.newest = np.zeros(objects, np.int64)
        self.defined = np.zeros(objects, np.int64)

    def advance(
        self,
        operation: NDArray[np.uint8],
        object_: NDArray[np.uint32],
        length: NDArray[np.int64],
    ) -> History:
        """Follow the next n operations."""
        n = len(object_)
        order = np.argsort(object_, kind="stable")
        who, sizes, what = object_[order], length[order], operation[order]
        writes = (what == Operation.WRITE) | (what == Operation.UPDATE)
        index = np.arange(n)
        changes = np.ones(n, bool)
        changes[1:] = who[1:] != who[:-1]
        # An allocation begins a history, also where a handle is used again.
        first = changes | (what == Operation.ALLOCATE)
        start = np.maximum.accumulate(np.where(first, index, 0))
        fresh = what[start] == Operation.ALLOCATE
        written = np.cumsum(writes)
        version = np.where(fresh, 0, self.version[who])
        after = version + written - (written - writes)[start]
        last = np.maximum.accumulate(np.where(writes, index, -1))
        previous = np.concatenate(([-1], last[:-1])) if n else last
        began = np.where(fresh, 0, self.newest[who])
        newest = np.where(previous >= start, sizes[previous], began)
        # An update leaves what it does not reach; of that only the newest version is followed.
        leaves = np.where(what == Operation.UPDATE, np.maximum(sizes, newest), sizes)
        known = np.where(fresh, 0, self.defined[who])
        defined = np.where(previous >= start, leaves[previous], known)

        final = np.ones(n, bool)
        final[:-1] = changes[1:]
        self.version[who[final]] = after[final]
        self.newest[who[final]] = np.where(last >= start, sizes[last], began)[final]
        self.defined[who[final]] = np.where(last >= start, leaves[last], known)[final]

        result = History(*(np.empty(n, np.int64) for _ in range(4)))
        result.before[order] = after - writes
        result.after[order] = after
        result.newest[order] = newest
        result.defined[order] = defined
        return result


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
    before: NDArray[np.uint64]
    """what the arena holds at first, shape (words,)"""
    after: NDArray[np.uint64]
    """and what it must hold at the end, shape (words,)"""

    def mismatches(self, found: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Compare the arena's words; return the bytes that are wrong, ascending, shape (k,)."""
        expected = self.after
        partly = np.flatnonzero(self.known < self.length)
        if len(partly):
            # Nobody ever defined these bytes: whatever is there is right.
            expected = expected.copy()
            bytes_, seen = expected.view(np.uint8), found.view(np.uint8)
            for buffer in partly.tolist():
                begin = int(self.start[buffer]) * 8
                undefined = slice(begin + int(self.known[buffer]), begin + int(self.length[buffer]))
                bytes_[undefined] = seen[undefined]
        if np.array_equal(found, expected):
            return np.empty(0, np.int64)
        return np.flatnonzero(found.view(np.uint8) != expected.view(np.uint8))


def _fill(
    first: NDArray[np.uint64],
    length: NDArray[np.int64],
    words: NDArray[np.int64],
) -> NDArray[np.uint64]:
    """Return packed buffers that begin with ``length`` bytes of content, and then poison."""
    end = np.cumsum(words)
    start = end - words
    # From word to word, and from the last of a buffer to the first of the next.
    flat = np.full(int(words.sum()), STEP, np.uint64)
    jump = first.copy()
    jump[1:] -= first[:-1] + (words[:-1] - 1).astype(np.uint64) * STEP
    flat[start] = jump
    np.cumsum(flat, out=flat)
    whole, rest = start + length // 8, (length % 8 * 8).astype(np.uint64)
    mask = (np.uint64(1) << rest) - np.uint64(1)
    flat[whole] = flat[whole] & mask | POISON & ~mask
    for distance in range(1, int((words - length // 8).max(initial=0))):
        at = whole + distance
        flat[at[at < end]] = POISON
    return flat


def _places(
    start: NDArray[np.int64], words: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return every word of some buffers: where it is in the arena, and where in its buffer."""
    inside = np.arange(int(words.sum())) - np.repeat(np.cumsum(words) - words, words)
    return np.repeat(start, words) + inside, inside


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
    after = _fill(base(object_[owner], version), sizes, words)

    # What the last update did not reach is of the version before.
    older = np.flatnonzero(sees & (known > history.newest[owner]))
    if len(older):
        at, inside = _places(start[older], words[older])
        first = base(object_[owner[older]], version[older] - 1)
        low = np.repeat(history.newest[owner[older]], words[older]) - inside * 8
        mask = np.where(
            low < 8,
            (np.uint64(1) << (low.clip(0, 7) * 8).astype(np.uint64)) - np.uint64(1),
            ~np.uint64(0),
        )
        after[at] = after[at] & mask | _fill(first, sizes[older], words[older]) & ~mask

    before = after.copy()
    receives = (kind == Operation.READ) | ((kind == Operation.UPDATE) & ~second)
    before[np.repeat(receives, words)] = POISON
    if second.any():
        new = base(object_[owner[second]], history.after[owner[second]])
        at, _ = _places(start[second], words[second])
        before[at] = _fill(new, sizes[second], words[second])
    return Arena(owner, start, known, sizes, before, after)
