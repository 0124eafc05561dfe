# SPDX-License-Identifier: GPL-2.0-only
"""The bookkeeping of shapes against dicts."""

import numpy as np
import pytest

from zsemu.counts import COLUMNS, INSTRUCTIONS, PHASES, SCOPE_COLUMNS
from zsemu.replay.key_numbers import KeyNumbers
from zsemu.replay.shapes import ShapeCosts


@pytest.mark.parametrize("shift", [0, 20, 40, 50])
@pytest.mark.parametrize("bits", [6, 13])
def test_numbers_are_in_the_order_of_appearance(bits: int, shift: int) -> None:
    """Of few keys and of many, for which the table grows, wherever they differ."""
    random = np.random.default_rng(1)
    index = KeyNumbers()
    model: dict[int, int] = {}
    for size in (50, 0, 5000, *[50] * 20, 5000):
        keys = random.integers(0, 1 << bits, size).astype(np.uint64) << np.uint64(shift)
        numbers = index.numbers(keys)
        assert [model.setdefault(key, len(model)) for key in keys.tolist()] == numbers.tolist()
    assert index.keys().tolist() == list(model)
    assert len(index) == len(model) > 1 << bits - 1


def test_parts_are_rows_and_accesses_times_occurrences() -> None:
    random = np.random.default_rng(2)
    rows = random.integers(0, 1000, (6, len(PHASES), len(COLUMNS))).astype(np.uint32)
    costs = random.integers(0, 1000, (4, len(COLUMNS))).astype(np.uint32)
    costs[0] = 0  # no access
    scope = np.array([0, 1, 2, 3, 4, 1], np.uint32)
    keys = np.arange(6, dtype=np.uint64) << np.uint64(40)
    shapes = ShapeCosts()
    label = random.integers(0, 9, 6).astype(np.uint64)
    operation = np.array([3, 4, 11, 12, 40, 41])
    shapes.learn(keys, operation, scope, label, rows)
    occurred = np.zeros(6, np.int64)
    # By shape and label: everything, and what was fast.
    expected = np.zeros((2, SCOPE_COLUMNS, 9, len(PHASES), len(COLUMNS)), np.int64)
    for _ in range(3):
        which, access = random.integers(0, 6, 500), random.integers(0, 4, 500)
        fast = random.integers(0, 2, 500).astype(bool)
        shapes.occur(keys[which], access.astype(np.uint64), fast)
        occurred += np.bincount(which, minlength=6)
        for i, one, quick in zip(which.tolist(), access.tolist(), fast.tolist(), strict=True):
            cost = rows[i].astype(np.int64)
            cost[PHASES.index("access")] += costs[one]
            expected[0, scope[i], label[i]] += cost
            expected[1, scope[i], label[i]] += cost * quick
    assert len(shapes) == 6
    np.testing.assert_array_equal(shapes.accesses(), [1, 2, 3])
    # Measured once more: it stays the first time that counts.
    shapes.learn(keys[:2], operation[:2] + 100, scope[:2], label[:2], rows[:2])
    np.testing.assert_array_equal(shapes.occurrences(), [operation, occurred])

    found = np.zeros_like(expected)
    for part in shapes.parts(lambda keys: costs[keys.astype(np.int64)]):
        for i in range(len(part.label)):
            row = part.rows[i].astype(np.int64)
            found[0, part.scope[i], part.label[i]] += part.times[i] * row
            found[1, part.scope[i], part.label[i]] += part.counted[i] * row
    np.testing.assert_array_equal(found, expected)


def test_a_shape_that_costs_differently_is_noticed() -> None:
    rows = np.ones((2, len(PHASES), len(COLUMNS)), np.uint32)
    keys, scope = np.array([7, 7], np.uint64), np.zeros(2, np.uint32)
    label = np.zeros(2, np.uint64)
    shapes = ShapeCosts()
    shapes.learn(keys, np.arange(2), scope, label, rows)
    assert shapes.consistent
    rows[1, 0, INSTRUCTIONS] += 1
    shapes.learn(keys, np.arange(2), scope, label, rows)
    assert not shapes.consistent
