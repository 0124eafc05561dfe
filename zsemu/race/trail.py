# SPDX-License-Identifier: GPL-2.0-only
"""Follow a byte back through the accesses of a schedule: who stored it, and where it came from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_HOPS: Final = 6
"""stores at most through which a byte is followed"""
_NEAR: Final = 32
"""loads before a store among which what it stores is looked for"""


@dataclass(frozen=True)
class Hop:
    """A store that moved the byte, and the load before it, if one loaded the same value."""

    store: int
    """number of the access in the trace"""
    load: int | None
    byte: int
    """where in RAM the byte was stored"""
    source: int | None
    """where in RAM it was loaded from"""


def _last_store(steps: NDArray[np.void], before: int, byte: int) -> int | None:
    some = steps[:before]
    hits = np.flatnonzero(
        (some["store"] == 1) & (some["offset"] <= byte) & (byte < some["offset"] + some["size"])
    )
    return int(hits[-1]) if len(hits) else None


def _load_of(steps: NDArray[np.void], store: int) -> int | None:
    """Return the load of the same CPU whose value the store has, the nearest before it."""
    one, some = steps[store], steps[:store]
    loads = np.flatnonzero((some["store"] == 0) & (some["cpu"] == one["cpu"]))[-_NEAR:]
    mask = np.uint64((1 << 8 * min(8, int(one["size"]))) - 1)
    same = loads[
        (steps["size"][loads] == one["size"])
        & (steps["value"][loads] & mask == one["value"] & mask)
    ]
    return int(same[-1]) if len(same) else None


def trail(steps: NDArray[np.void], byte: int) -> Iterator[Hop]:
    """Yield the stores through which a byte of RAM came to be what it is, the last one first.

    ``steps`` are all accesses of a schedule, dtype STEP.
    """
    before = len(steps)
    for _ in range(_HOPS):
        store = _last_store(steps, before, byte)
        if store is None:
            return
        load = _load_of(steps, store)
        source = None
        if load is not None:
            source = int(steps["offset"][load]) + byte - int(steps["offset"][store])
        yield Hop(store, load, byte, source)
        if load is None or source is None:
            return
        before, byte = load, source
