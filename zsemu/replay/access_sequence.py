# SPDX-License-Identifier: GPL-2.0-only
"""Rebuild the sequence of accesses of a replay, and run it through a model of caches.

The sequence has the accesses of settle, map, access and unmap, in the order in which the guest made
them, by physical address. What was not observed is rebuilt from the accesses of the one operation
of its shape that was (zsemu.caches.templates); the length of the object is part of the shape.
In every run the operations that are observed again must access what the template says.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.caches.hierarchy import Hierarchy
from zsemu.caches.model import Model
from zsemu.caches.native_structures import PLACE
from zsemu.caches.templates import Templates
from zsemu.guest.memory import Memory
from zsemu.guest.structures import MAX_PAGES, ZSPAGE_PFNS, ZSPAGE_SIZE, ZSPAGE_WORDS
from zsemu.replay.batch import Batch
from zsemu.replay.key_numbers import KeyNumbers
from zsemu.replay.machines import Machines
from zsemu.replay.observation import Listener
from zsemu.replay.placed_trace import MAX_OPERATIONS
from zsemu.replay.zspages import Zspages

_ROOM: Final = 1 << 26
"""accesses of a batch: half a GiB, of which only what is used takes memory"""

Steps = Callable[[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint32]], None]
"""takes the steps of some operations, for each how many there are up to its last, and the scope of
each, as caches.model.Model.run() does"""


class AccessSequence(Listener):
    """Gives all accesses of a replay, batch by batch, to what wants them."""

    samples = 32
    """more than are needed for counts: a shape may cost the same and access something else"""

    def __init__(self, take: Steps) -> None:
        self._take = take
        self._shapes = KeyNumbers()
        self.rebuilt = 0
        """operations that were not observed"""
        self._same = True

    @property
    def consistent(self) -> bool:
        """Whether all that was observed again did what its template says."""
        return self._same

    def attach(self, machines: Machines) -> None:
        """Have the observing CPU keep its accesses."""
        self._machines = machines
        memory, zspages = machines.memory, machines.writer.zspages
        machines.events.keep_sequence(MAX_OPERATIONS, _ROOM)
        self._templates = Templates(
            memory.regions(), zspages.owner, zspages.index, memory.page_shift
        )

    def ran(
        self, batch: Batch, keys: NDArray[np.uint64] | None, observed: NDArray[np.int64]
    ) -> None:
        """Take a batch, of which some operations were observed, by their numbers, ascending.

        ``keys`` are the shapes of its operations, shape (n,); None if all were observed.
        """
        steps, ends = self._machines.events.take_sequence()
        # An operation without accesses ends where the one before it does.
        ends = np.maximum.accumulate(ends[: len(batch.index)])
        if batch.is_readback:
            return
        scopes = np.ascontiguousarray(batch.expected["scope"])
        if keys is None:
            self._take(steps, ends.astype(np.uint64), scopes)
            return
        shapes = self._shapes.numbers(keys)
        where = places(batch, self._machines.memory, self._machines.writer.zspages)
        again = self._learn(shapes, where, observed, steps, ends)
        self.rebuilt += len(shapes) - len(observed)
        for some, rebuilt, rebuilt_ends in self._templates.expand(shapes, where):
            self._compare(
                again[(again >= some.start) & (again < some.stop)],
                some.start,
                (steps, ends),
                (rebuilt, rebuilt_ends),
            )
            self._take(rebuilt, rebuilt_ends, scopes[some])

    def _learn(
        self,
        shapes: NDArray[np.int64],
        where: NDArray[np.void],
        observed: NDArray[np.int64],
        steps: NDArray[np.uint64],
        ends: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Make templates of observed operations of new shapes; return the other observed ones."""
        known = self._templates.known(shapes[observed])
        _, first = np.unique(shapes[observed], return_index=True)
        fresh = np.zeros(len(observed), bool)
        fresh[first] = True
        fresh &= ~known
        for at in observed[fresh].tolist():
            begin = int(ends[at - 1]) if at else 0
            self._templates.learn(int(shapes[at]), where[at : at + 1], steps[begin : ends[at]])
        return observed[~fresh]

    def _compare(
        self,
        again: NDArray[np.int64],
        start: int,
        seen: tuple[NDArray[np.uint64], NDArray[np.int64]],
        rebuilt: tuple[NDArray[np.uint64], NDArray[np.uint64]],
    ) -> None:
        """Hold operations that were observed again against what was rebuilt from ``start`` on."""
        for at in again.tolist():
            one, other = (
                steps[int(ends[at - first - 1]) if at > first else 0 : int(ends[at - first])]
                for (steps, ends), first in ((seen, 0), (rebuilt, start))
            )
            self._same &= bool(np.array_equal(one, other))


class CacheCounts(AccessSequence):
    """Runs all accesses of a replay through a model of caches."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._model = Model(hierarchy)
        super().__init__(self._model.run)

    @property
    def sums(self) -> NDArray[np.int64]:
        """What has been counted, shape (SCOPE_COLUMNS, phases, counts.CACHE_COUNTS)."""
        return self._model.sums.astype(np.int64)


def places(batch: Batch, memory: Memory, zspages: Zspages) -> NDArray[np.void]:
    """Return where each operation of a batch finds what it accesses, dtype PLACE, shape (n,)."""
    n, target = len(batch.index), memory.target
    cpu = batch.expected["cpu"].astype(np.int64)
    descriptor, page = batch.expected["zspage"], batch.ops["page"].astype(np.int64)
    found = np.zeros(n, PLACE)
    found["zspage"], found["page"] = descriptor, page
    base = found["base"]
    base["record"] = memory.ops + np.arange(n) * memory.types.op.itemsize
    base["zspage"] = memory.zspages + descriptor * ZSPAGE_SIZE
    for name, start in (("pfn", ZSPAGE_PFNS), ("word", ZSPAGE_WORDS)):
        base[name] = base["zspage"] + (start + page * target.word).astype(np.uint64)
    base["caller"] = batch.expected["caller"]
    base["area"] = memory.area + cpu * memory.area_stride
    base["buffer"] = memory.buffer + cpu * memory.area_stride
    base["entries"] = memory.window_leaf + cpu * memory.WINDOW_PAGES * target.pte_size
    base["slot"] = batch.expected["part"][:, 0]
    for name, distance in (("before", -1), ("behind", 1), ("after", 2)):
        which = np.clip(page + distance, 0, MAX_PAGES - 1)
        base[name] = memory.page_offset(zspages.pages[descriptor, which])
    return found
