# SPDX-License-Identifier: GPL-2.0-only
"""Run a sequence of accesses through two levels of cache, and count what misses.

Both levels replace the line that was used last the longest time ago (LRU), keep a store until its
line has to go (write-back), and take a line before it is stored into (write-allocate). What one
level holds does not depend on the other: a line that leaves L2 stays in L1. A miss of L1 uses the
line in L2; only then the dirty line that had to go is written there, which uses it, too. L2 need
not fetch it, because all of it is written: that is no miss.
"""

import ctypes

import numpy as np
from numpy.typing import NDArray

from zsemu.caches.hierarchy import Hierarchy, Level
from zsemu.caches.native_structures import EMPTY, NativeLevel, NativeModel, library
from zsemu.counts import CACHE_COUNTS, PHASES, SCOPE_COLUMNS


class Model:
    """Two levels of cache, empty at first, and what has been counted in them."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self.sums = np.zeros((SCOPE_COLUMNS, len(PHASES), len(CACHE_COUNTS)), np.uint64)
        """what accesses cost, shape (SCOPE_COLUMNS, phases, CACHE_COUNTS)"""
        self._lines = [np.full(level.lines, EMPTY, np.uint64) for level in hierarchy.levels]
        levels = map(_native, hierarchy.levels, self._lines)
        shift = hierarchy.line.bit_length() - 1
        self._native = NativeModel(*levels, shift, self.sums.ctypes.data)

    def run(
        self, steps: NDArray[np.uint64], ends: NDArray[np.uint64], scopes: NDArray[np.uint32]
    ) -> None:
        """Let n operations do their accesses.

        ``steps`` are all accesses in order, as guest/native/step.h has them. ``ends`` is how many
        of them there are up to each operation's last one, ascending; ``scopes`` is the column in
        which each operation counts. Shape (n,) each.
        """
        assert steps.dtype == ends.dtype == np.uint64 and scopes.dtype == np.uint32
        assert not len(ends) or ends[-1] <= len(steps)
        steps, ends, scopes = map(np.ascontiguousarray, (steps, ends, scopes))
        library().run_model(
            ctypes.byref(self._native),
            steps.ctypes.data,
            ends.ctypes.data,
            scopes.ctypes.data,
            len(ends),
        )


def _native(level: Level, lines: NDArray[np.uint64]) -> NativeLevel:
    return NativeLevel(lines.ctypes.data, level.ways, level.sets - 1)
