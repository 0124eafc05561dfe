# SPDX-License-Identifier: GPL-2.0-only
"""Keep track of the objects that are alive in a trace, and find operations that contradict them.

A trace is consistent if every object is allocated before it is used, is not used after it is freed,
is used with no more than its length, and if time never goes back.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from zsemu.traces.operation import Operation


class Operations(Protocol):
    """Consecutive operations as columns of shape (n,): what is needed here of trace.Trace."""

    @property
    def operation(self) -> NDArray[np.uint8]:
        """What each does, as in :class:`Operation`."""

    @property
    def object(self) -> NDArray[np.uint32]:
        """Numbers of the objects."""

    @property
    def length(self) -> NDArray[np.uint32]:
        """Bytes of payload."""

    @property
    def begin(self) -> NDArray[np.int64]:
        """Nanoseconds at map."""

    @property
    def end(self) -> NDArray[np.int64]:
        """Nanoseconds at unmap."""

    def __len__(self) -> int: ...

    @property
    def maps(self) -> NDArray[np.bool_]:
        """Which operations map an object."""

    @property
    def page_size(self) -> int:
        """Bytes of a page of the kernel."""


def first_true(wrong: NDArray[np.bool_]) -> int | None:
    """Return the index of the first element that is true, or None."""
    return int(np.argmax(wrong)) if wrong.any() else None


class Live:
    """The objects that are alive, from part to part of a trace, each with a handle.

    A handle is a small number that stands for an object as long as it lives. When the object is
    freed, a later one gets its handle. So an array that is indexed by handle needs room for the
    objects alive at once, not for all objects of the trace. A handle that is freed in one part is
    given out again from the next part on.
    """

    def __init__(self) -> None:
        self.operations = 0
        """Number of operations in the parts so far."""
        self.handles = 0
        """Number of handles that have been given out: every handle is less."""
        self._born = 0
        self._begin = 0
        self._free = np.empty(0, np.int64)
        # The objects that are alive, ascending by number: three columns of shape (alive,).
        self._number = np.empty(0, np.int64)
        self._length = np.empty(0, np.int64)
        self._handle = np.empty(0, np.int64)

    def numbers(self, allocates: NDArray[np.bool_], age: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of each operation's object from ``object_age``, as a file holds it."""
        born = self._born + np.cumsum(allocates)
        return np.where(allocates, born - 1, born - age)

    def lengths(
        self, number: NDArray[np.int64], allocated: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the whole length of each object, and whether it is alive at some time in a part.

        The part is the next one. ``number`` are the objects that its operations use, shape (n,),
        ``allocated`` the lengths of those that it allocates.
        """
        length = np.concatenate([self._length, allocated, [0]])
        at, there = self._find(number, len(allocated))
        return length[at], there

    def _find(
        self, number: NDArray[np.int64], allocated: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return for each object its row among those alive followed by those allocated, if any.

        The second array says whether there is one.
        """
        known = len(self._number)
        at = np.searchsorted(self._number, number)
        there = at < known
        there[there] = self._number[at[there]] == number[there]
        new = (number >= self._born) & (number < self._born + allocated)
        at[new] = known + number[new] - self._born
        there |= new
        at[~there] = known + allocated
        return at, there

    def follow(self, part: Operations) -> tuple[str | None, NDArray[np.int64]]:
        """Follow the next operations; return the first fault or None, and their handles.

        The faults are looked for kind by kind, so that of several the first one of the first kind
        is returned. Handles have shape (n,).
        """
        operation, length = part.operation, part.length.astype(np.int64)
        number = part.object.astype(np.int64)
        row, base = np.arange(len(part)), self.operations
        nothing = np.empty(0, np.int64)
        what = [item.name.lower() for item in Operation]

        def fault(at: int, text: str) -> tuple[str, NDArray[np.int64]]:
            return f"operation {base + at}: {text}", nothing

        def use(at: int) -> str:
            return f"{what[operation[at]]} of object {number[at]}"

        if (at := first_true(operation > max(Operation))) is not None:
            return fault(at, f"unknown code {operation[at]}; codes are 0 to {max(Operation)}")
        born = np.flatnonzero(operation == Operation.ALLOCATE)
        if (at := first_true(number[born] != self._born + np.arange(len(born)))) is not None:
            wrong, due = int(born[at]), self._born + at
            return fault(wrong, f"allocates object {number[wrong]}, the next is {due}")
        if (at := first_true(number >= self._born + len(born))) is not None:
            return fault(at, f"{use(at)}, never allocated")
        which, there = self._find(number, len(born))
        known = len(self._number)
        birth = np.concatenate([np.full(known, -1), born, [-1]])
        if (at := first_true(there & (row < birth[which]))) is not None:
            return fault(at, f"{use(at)}, not yet allocated")
        frees = np.flatnonzero(operation == Operation.FREE)
        death = np.full(known + len(born) + 1, len(part))
        # If an object is freed several times, the first free counts.
        death[which[frees][::-1]] = frees[::-1]
        if (at := first_true(~there | (row > death[which]))) is not None:
            return fault(at, f"{use(at)}, already freed")

        page_size = part.page_size
        if (at := first_true((length < 1) | (length > page_size))) is not None:
            return fault(at, f"length {length[at]}, not 1 to {page_size}")
        whole = np.concatenate([self._length, length[born]])
        if (at := first_true(length > whole[which])) is not None:
            return fault(at, f"length {length[at]} of an object of {whole[which[at]]} bytes")
        if (at := first_true((operation == Operation.FREE) & (length != whole[which]))) is not None:
            text = f"free with length {length[at]} of an object of {whole[which[at]]} bytes"
            return fault(at, text)

        if (at := first_true(np.diff(part.begin, prepend=self._begin) < 0)) is not None:
            return fault(at, f"begins at {part.begin[at]} ns, before the one above it")
        if (at := first_true(part.end < part.begin)) is not None:
            return fault(at, "ends before it begins")
        if (at := first_true((part.end != part.begin) & ~part.maps)) is not None:
            return fault(at, f"{what[operation[at]]} that takes time")
        return None, self._advance(part, born, which, whole, death[:-1] < len(part))

    def _advance(
        self,
        part: Operations,
        born: NDArray[np.int64],
        which: NDArray[np.int64],
        whole: NDArray[np.int64],
        dead: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """Take up what a consistent part allocates and frees; return its operations' handles."""
        given = self._free[len(self._free) - min(len(born), len(self._free)) :][::-1]
        new = self.handles + np.arange(len(born) - len(given))
        self._free = self._free[: len(self._free) - len(given)]
        self.handles += len(new)
        handle = np.concatenate([self._handle, given, new])
        number = np.concatenate([self._number, self._born + np.arange(len(born))])
        self._number, self._length, self._handle = number[~dead], whole[~dead], handle[~dead]
        self._free = np.concatenate([self._free, handle[dead]])
        self._born += len(born)
        self.operations += len(part)
        self._begin = int(part.begin[-1]) if len(part) else self._begin
        handles: NDArray[np.int64] = handle[which]
        return handles
