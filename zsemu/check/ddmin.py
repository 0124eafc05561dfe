# SPDX-License-Identifier: GPL-2.0-only
"""Find a small sublist that still shows what the whole list shows, within a budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")


@dataclass
class Budget:
    """What shrinking may still cost.

    It is counted in trials and not in seconds, so that it ends in the same place on every machine.
    """

    runs: int
    items: int
    """of all trials together"""
    ended: bool = False
    """whether a trial was left out"""

    def spend(self, items: int) -> bool:
        """Pay for a trial of so many items; return whether the budget had room for it."""
        if self.runs < 1 or self.items < items:
            self.ended = True
            return False
        self.runs -= 1
        self.items -= items
        return True


def smallest(items: Sequence[_T], shows: Callable[[list[_T]], bool], budget: Budget) -> list[_T]:
    """Return a small sublist of ``items``, in order, for which ``shows`` is true.

    Zeller's ddmin; ``shows(items)`` is taken to be true.
    """
    kept = list(items)
    parts = 2
    while len(kept) > 1:
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            candidate = kept[:start] + kept[start + size :]
            if not candidate:
                continue
            if not budget.spend(len(candidate)):
                return kept
            if shows(candidate):
                kept = candidate
                parts = max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(kept))
    return kept
