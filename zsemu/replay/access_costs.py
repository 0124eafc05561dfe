# SPDX-License-Identifier: GPL-2.0-only
"""Measure what accesses cost, the copies between an object and its caller's buffer.

Where a strategy does the same for objects of all lengths (length_probe.py), an operation costs what
its shape costs and what its access costs. The driver's code for the access is the same for all
strategies. Its cost depends on the mode, the length, how the object is aligned, and whether the
strategy handed out the caller's own buffer. Where the object is decides only for which region its
bytes count, and how many cache lines they are. When a trace has been replayed, each access that has
occurred is made once more, from memory that nobody needs any more, and observed.

Behind its first bytes, a copy repeats what it does for each LINE of them. So of long accesses only
two are made for each remainder, a line apart, and what they differ by is added for every line more.
Every run checks that: an access that was observed must cost as much (by_shape.py).

A key is all that an access depends on: 31 bits, 0 for none.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import COLUMNS, LINE, REGIONS, TRAFFIC
from zsemu.guest.memory import BATCH, OTHER, POOL, ZSPAGE, Memory
from zsemu.guest.structures import Flag, Kind
from zsemu.replay.batch import MODES, Batch
from zsemu.traces.operation import Operation

_ALIGN: Final = 16
"""bytes: what an access may depend on of its place in a line is its place in so many"""
_LONG: Final = 2 * LINE
"""bytes from which on an access repeats what it does for a line"""

# From the lowest bit on: operation, whether the span is the caller's buffer, place in a line,
# length; region.
_OWN, _PLACE, _LENGTH, _REGION = (np.uint64(shift) for shift in (3, 4, 10, 27))


def _field(keys: NDArray[np.uint64], shift: np.uint64, bits: int) -> NDArray[np.int64]:
    return (keys >> shift & np.uint64((1 << bits) - 1)).astype(np.int64)


def regions(memory: Memory) -> NDArray[np.uint64]:
    """Return the region of every page of RAM, and OTHER for all that lies behind it: shape (n,).

    No object is in a zspage's descriptor. The values are as they are in a key.
    """
    found = memory.regions().astype(np.uint64)
    found[found == ZSPAGE] = OTHER
    return np.append(found, np.uint64(OTHER)) << _REGION


def keys(
    batch: Batch, span: NDArray[np.uint64], memory: Memory, regions: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Return the key of the access of each operation that has been run, shape (n,).

    ``span`` is where it found its object, shape (n,), and ``regions`` is what regions() returns. Of
    an operation that maps nothing, or did not find its object in one piece, the key means nothing.
    """
    page = (span - np.uint64(memory.virtual(0))) >> np.uint64(memory.page_shift)
    behind = np.uint64(len(regions) - 1)
    key: NDArray[np.uint64] = regions[np.minimum(page, behind).view(np.int64)]
    if (page >= behind).any():
        window = memory.sizes.cpus * memory.WINDOW_PAGES << memory.mmu_shift
        key[span - np.uint64(memory.target.window) < window] = POOL << int(_REGION)
    key |= batch.operation
    key |= (span == batch.ops["caller"]).astype(np.uint64) << _OWN
    key |= (span & np.uint64(LINE - 1)) << _PLACE
    key |= batch.part.trace.length.astype(np.uint64) << _LENGTH
    return key


def _kind(keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the access that is measured for each one, and by how many lines that is shorter.

    A key of no region, and a number; shape (n,) each.
    """
    place, length = _field(keys, _PLACE, 6) % _ALIGN, _field(keys, _LENGTH, 17)
    longer = np.maximum(length - _LONG, 0) // LINE
    kept = keys & np.uint64((1 << int(_PLACE)) - 1)
    kept |= place.astype(np.uint64) << _PLACE
    return kept | (length - longer * LINE).astype(np.uint64) << _LENGTH, longer


def _next(kinds: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the accesses that are a line longer, shape (n,)."""
    return kinds + np.uint64(LINE << int(_LENGTH))


def kinds(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the accesses that are to be measured to know what some cost, ascending."""
    found, longer = _kind(keys)
    return np.unique(np.concatenate([found, _next(found[longer > 0])]))


def prepare(kinds: NDArray[np.uint64], memory: Memory) -> None:
    """Write accesses into guest memory as operations; what they access is no longer of use."""
    operation = _field(kinds, np.uint64(0), 3)
    ops = memory.view(memory.ops, memory.types.op, len(kinds))
    ops[:] = np.zeros((), ops.dtype)
    ops["kind"], ops["mode"], ops["flags"] = Kind.ACCESS, MODES[operation], Flag.EACH
    ops["zspage"] = memory.virtual(memory.zspages)
    ops["length"] = _field(kinds, _LENGTH, 17)
    caller = memory.virtual(memory.arena)
    ops["caller"], ops["update"] = caller, caller + memory.sizes.arena // 2 // LINE * LINE
    # In a region that no access has to do with otherwise.
    other = memory.virtual(memory.known) + _field(kinds, _PLACE, 6)
    ops["span"] = np.where(_field(kinds, _OWN, 1), caller, other)


@dataclass(frozen=True)
class Measured:
    """What accesses cost."""

    kinds: NDArray[np.uint64]
    """ascending, shape (kinds,)"""
    rows: NDArray[np.uint32]
    """of each the phase of the access, shape (kinds, columns)"""

    def cost(self, keys: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """Return what accesses cost whose kinds have been measured, shape (n, columns).

        Nothing for key 0.
        """
        found = np.zeros((len(keys), len(COLUMNS)), np.uint32)
        there = keys > 0
        found[there] = self._cost(keys[there])
        return found

    def _cost(self, keys: NDArray[np.uint64]) -> NDArray[np.uint32]:
        measured, longer = _kind(keys)
        found = self.rows[np.searchsorted(self.kinds, measured)]
        long = longer > 0
        line = self.rows[np.searchsorted(self.kinds, _next(measured[long]))] - found[long]
        found[long] += line * longer[long, np.newaxis].astype(np.uint32)
        place, length = _field(keys, _PLACE, 6), _field(keys, _LENGTH, 17)
        lines = (place + length - 1) // LINE - (place % _ALIGN + length - 1) // LINE
        found[:, COLUMNS.index("lines_touched")] += lines.astype(np.uint32)
        writes = _field(keys, np.uint64(0), 3) != Operation.READ
        found[:, COLUMNS.index("lines_dirtied")] += (lines * writes).astype(np.uint32)

        at, region = np.arange(len(keys)), _field(keys, _REGION, 4)
        for name in TRAFFIC:
            column = COLUMNS.index(f"{REGIONS[BATCH]}.{name}")
            amount = found[:, column].copy()
            found[:, column] = 0
            real = np.array([COLUMNS.index(f"{one}.{name}") for one in REGIONS])[region]
            found[at, real] += amount
        return found
