# SPDX-License-Identifier: GPL-2.0-only
"""Keep the accesses of shapes, and give any operation of a shape its own.

A template has the accesses of one operation, each relative to something that the operation has: its
record, the descriptor of its zspage, its slot, its CPU's area. From the places of these of another
operation of the same shape come that operation's accesses, in the same order.
"""

import ctypes
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.caches.native_structures import NativeLayout, library
from zsemu.guest.structures import ZSPAGE_PFNS, ZSPAGE_WORDS

_CHUNK: Final = 1 << 19
"""steps that are expanded at a time, if an operation does not have more"""


class Templates:
    """The templates of shapes, by the number of the shape."""

    def __init__(
        self,
        regions: NDArray[np.uint8],
        owner: NDArray[np.int32],
        index: NDArray[np.int32],
        page_shift: int,
    ) -> None:
        """``regions``, ``owner`` and ``index`` are by page of RAM, as Hooks.observe() has them."""
        self._kept = regions, owner, index
        pointers = (array.ctypes.data for array in self._kept)
        self._layout = NativeLayout(*pointers, page_shift, ZSPAGE_PFNS, ZSPAGE_WORDS)
        self._words = np.empty(1 << 16, np.uint64)
        self._used = 0
        # By number of the shape: where its template begins and ends, and how many steps it has.
        self._first, self._last, self._steps = (np.zeros(0, np.int64) for _ in range(3))
        self._known = np.zeros(0, bool)

    def known(self, shapes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether shapes have a template, shape (n,)."""
        self._grow(int(shapes.max(initial=-1)) + 1)
        known: NDArray[np.bool_] = self._known[shapes]
        return known

    def learn(self, shape: int, place: NDArray[np.void], steps: NDArray[np.uint64]) -> None:
        """Make the template of a shape of what one operation of it did.

        ``place`` is the operation's, dtype PLACE, shape (1,).
        """
        self._grow(shape + 1)
        room = self._used + 2 * len(steps)
        if room > len(self._words):
            self._words = np.resize(self._words, max(room, 2 * len(self._words)))
        steps = steps.copy()
        words = library().make_template(
            ctypes.byref(self._layout),
            place.ctypes.data,
            steps.ctypes.data,
            len(steps),
            self._words[self._used :].ctypes.data,
        )
        self._first[shape], self._last[shape] = self._used, self._used + words
        self._steps[shape], self._known[shape] = len(steps), True
        self._used += words

    def expand(
        self, shapes: NDArray[np.int64], places: NDArray[np.void]
    ) -> Iterator[tuple[slice, NDArray[np.uint64], NDArray[np.uint64]]]:
        """Yield what n operations of known shapes do, some of them at a time, in order.

        ``places`` are theirs, dtype PLACE, shape (n,). What is yielded are the operations, their
        steps, and for each how many steps there are up to its last.
        """
        assert self._known[shapes].all()
        total = np.cumsum(self._steps[shapes])
        first = 0
        while first < len(shapes):
            before = int(total[first - 1]) if first else 0
            end = int(np.searchsorted(total, before + _CHUNK, side="right"))
            end = max(first + 1, end)
            some = slice(first, end)
            steps = np.empty(int(total[end - 1]) - before, np.uint64)
            ends = np.empty(end - first, np.uint64)
            where = [np.ascontiguousarray(one[shapes[some]]) for one in (self._first, self._last)]
            library().expand_templates(
                np.ascontiguousarray(places[some]).ctypes.data,
                self._words.ctypes.data,
                *(one.ctypes.data for one in where),
                end - first,
                steps.ctypes.data,
                ends.ctypes.data,
            )
            yield some, steps, ends
            first = end

    def _grow(self, shapes: int) -> None:
        missing = shapes - len(self._known)
        if missing > 0:
            extra = max(missing, len(self._known) // 2)
            self._first, self._last, self._steps = (
                np.concatenate([one, np.zeros(extra, np.int64)])
                for one in (self._first, self._last, self._steps)
            )
            self._known = np.concatenate([self._known, np.zeros(extra, bool)])
