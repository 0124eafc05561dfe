# SPDX-License-Identifier: GPL-2.0-only
"""Two levels of cache as zsemu/README.md defines them, written from that alone: slow and plain."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsemu.caches.hierarchy import Hierarchy, Level
from zsemu.guest.hook_structures import STEP_PHASE, STEP_SIZE, STEP_STORE


class Access(NamedTuple):
    """A load or a store."""

    offset: int
    size: int
    store: int
    phase: int = 0


def packed(accesses: Iterable[Access]) -> NDArray[np.uint64]:
    """Return accesses as the native model takes them."""
    return np.array(
        [
            a.offset | a.size << STEP_SIZE | a.store << STEP_STORE | a.phase << STEP_PHASE
            for a in accesses
        ],
        np.uint64,
    )


def unpacked(steps: NDArray[np.uint64]) -> list[Access]:
    """Return what packed() was given."""
    return [
        Access(
            step & (1 << STEP_SIZE) - 1,
            step >> STEP_SIZE & 127,
            step >> STEP_STORE & 1,
            step >> STEP_PHASE & 3,
        )
        for step in steps.tolist()
    ]


class _Cache:
    """One level: sets of lines, the one that was used last at the end; True if dirty."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self.sets: dict[int, OrderedDict[int, bool]] = {}

    def use(self, line: int, *, store: bool) -> tuple[bool, int | None]:
        """Use a line; return whether it missed, and the dirty line that had to go for it."""
        lines = self.sets.setdefault(line % self.level.sets, OrderedDict())
        missed = line not in lines
        victim = None
        if missed and len(lines) == self.level.ways:
            gone, dirty = lines.popitem(last=False)
            victim = gone if dirty else None
        lines[line] = lines.get(line, False) or store
        lines.move_to_end(line)
        return missed, victim


class Reference:
    """Both levels. ``counts`` are by phase, in the order of zsemu.counts.CACHE_COUNTS."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._line = hierarchy.line
        self._l1, self._l2 = _Cache(hierarchy.l1), _Cache(hierarchy.l2)
        self.counts = np.zeros((4, 4), np.int64)

    def run(self, accesses: Iterable[Access]) -> None:
        """Do all accesses in order."""
        for access in accesses:
            first = access.offset // self._line
            last = (access.offset + access.size - 1) // self._line
            for line in range(first, last + 1):
                self._use(line, access)

    def _use(self, line: int, access: Access) -> None:
        counts = self.counts[access.phase]
        missed, victim = self._l1.use(line, store=bool(access.store))
        if not missed:
            return
        counts[0] += 1
        missed, gone = self._l2.use(line, store=False)
        counts[2] += missed
        counts[3] += gone is not None
        if victim is not None:
            counts[1] += 1
            _, gone = self._l2.use(victim, store=True)
            counts[3] += gone is not None
