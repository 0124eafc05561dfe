# SPDX-License-Identifier: GPL-2.0-only
"""Shrinking against brute force over all sublists."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from zsemu.check.ddmin import Budget, smallest


def ample() -> Budget:
    return Budget(1000, 10**6)


def needs(*groups: set[int]) -> Callable[[list[int]], bool]:
    """Return a predicate: all of some group is there."""
    return lambda items: any(group <= set(items) for group in groups)


def fewest(items: list[int], shows: Callable[[list[int]], bool]) -> int:
    """Return how few items show it, having tried all."""
    return next(
        size
        for size in range(1, len(items) + 1)
        if any(shows(list(chosen)) for chosen in combinations(items, size))
    )


@pytest.mark.parametrize("seed", range(40))
def test_one_cause_is_found_exactly(seed: int) -> None:
    random = np.random.default_rng(seed)
    items = list(range(int(random.integers(1, 12))))
    cause = set(random.choice(items, int(random.integers(1, len(items) + 1)), replace=False))
    found = smallest(items, needs(cause), ample())
    assert found == sorted(cause)
    assert len(found) == fewest(items, needs(cause))


@pytest.mark.parametrize("seed", range(40))
def test_of_several_causes_no_item_is_superfluous(seed: int) -> None:
    random = np.random.default_rng(seed)
    items = list(range(10))
    causes = [set(random.choice(items, 3, replace=False).tolist()) for _ in range(3)]
    found = smallest(items, needs(*causes), ample())
    assert needs(*causes)(found)
    assert found == sorted(found)
    for left_out in found:
        assert not needs(*causes)([item for item in found if item != left_out])


def test_order_matters_and_is_kept() -> None:
    items = [3, 1, 2, 1, 3]
    found = smallest(items, lambda part: 1 in part and 3 in part[part.index(1) :], ample())
    assert found == [1, 3]


@pytest.mark.parametrize(("runs", "items"), [(7, 10**6), (100, 3000)])
def test_a_budget_is_kept_and_the_result_still_shows(runs: int, items: int) -> None:
    tried: list[int] = []

    def shows(part: list[int]) -> bool:
        tried.append(len(part))
        return {5, 900} <= set(part)

    budget = Budget(runs, items)
    found = smallest(range(1000), shows, budget)
    assert budget.ended
    assert len(tried) <= runs
    assert sum(tried) <= items
    assert {5, 900} <= set(found)
    assert len(found) < 1000


def test_nothing_is_never_tried() -> None:
    assert smallest([1], lambda part: True, ample()) == [1]
    assert smallest([1, 2], lambda part: bool(part), ample()) in ([1], [2])
