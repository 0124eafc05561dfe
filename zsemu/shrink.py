# SPDX-License-Identifier: GPL-2.0-only
"""Shrinking: the smallest list found that still shows something."""

from collections.abc import Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def smallest(items: Sequence[_T], shows: Callable[[list[_T]], bool], runs: int = 150) -> list[_T]:
    """Return a small sublist of ``items``, in order, for which ``shows`` is true.

    Zeller's ddmin, within so many runs of ``shows``; ``shows(items)`` is taken to be true.
    """
    kept = list(items)
    parts = 2
    while len(kept) > 1 and runs > 0:
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            candidate = kept[:start] + kept[start + size :]
            runs -= 1
            if candidate and shows(candidate):
                kept = candidate
                parts = max(parts - 1, 2)
                break
            if runs <= 0:
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(kept))
    return kept
