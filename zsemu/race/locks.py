# SPDX-License-Identifier: GPL-2.0-only
"""The locks that a strategy may need, and which operations each of them keeps apart.

A strategy's first comment says what must be locked from map to unmap: ``Needs: neighbours``, for
instance. Whatever else touches a slot, the allocator included, takes the same lock for that slot.
Two operations whose locks have something in common never overlap.
"""

from collections.abc import Iterable
from typing import Final

from zsemu.guest.strategies import NEEDS

LEVELS: Final = NEEDS
"""the locks, from the weakest to the strongest"""
NOTHING: Final = LEVELS[0]
NEVER: Final = "none helps"
"""where something goes wrong whatever is locked"""

Slot = tuple[int, int]
"""a zspage and the number of a slot in it"""


def _locked(level: str, slots: Iterable[Slot]) -> set[Slot]:
    """Return what an operation locks that touches some slots, below the lock of the pool."""
    if level == NOTHING:
        return set()
    if level == "zspage":
        return {(zspage, 0) for zspage, _ in slots}
    beside = (-1, 0, 1) if level == "neighbours" else (0,)
    return {(zspage, slot + step) for zspage, slot in slots for step in beside}


def excludes(level: str, one: Iterable[Slot], other: Iterable[Slot]) -> bool:
    """Return whether a lock keeps two operations apart that touch these slots."""
    return level == "pool" or not _locked(level, one).isdisjoint(_locked(level, other))


def weakest(one: Iterable[Slot], other: Iterable[Slot]) -> str:
    """Return the weakest lock that keeps two operations apart."""
    one, other = list(one), list(other)
    return next(level for level in LEVELS if excludes(level, one, other))


def strongest(levels: Iterable[str]) -> str:
    """Return the strongest of some locks; NEVER is stronger than all."""
    return max(levels, key=[*LEVELS, NEVER].index, default=NOTHING)
