# SPDX-License-Identifier: GPL-2.0-only
"""The bookkeeping of shapes against dicts."""

import numpy as np

from zsemu.counts import COLUMNS, INSTRUCTIONS, PHASES, SCOPE_COLUMNS
from zsemu.shapes import Index, Shapes


def test_numbers_are_stable_and_dense() -> None:
    random = np.random.default_rng(1)
    index = Index()
    model: dict[int, int] = {}
    for _ in range(20):
        keys = random.integers(0, 1 << 63, 50, np.int64).astype(np.uint64) >> np.uint64(57)
        numbers = index.numbers(keys)
        for key, number in zip(keys.tolist(), numbers.tolist(), strict=True):
            assert model.setdefault(key, number) == number
    assert sorted(model.values()) == list(range(len(model))) == list(range(len(index)))


def test_sums_are_rows_times_occurrences() -> None:
    random = np.random.default_rng(2)
    rows = random.integers(0, 1000, (6, len(PHASES), len(COLUMNS))).astype(np.uint32)
    scope = np.array([0, 1, 2, 3, 4, 1], np.uint32)
    keys = np.arange(6, dtype=np.uint64) << np.uint64(40)
    shapes = Shapes()
    label = random.integers(0, 9, 6).astype(np.uint64)
    operation = np.array([3, 4, 11, 12, 40, 41])
    shapes.learn(keys, operation, scope, label, rows)
    occurred = np.zeros(6, np.int64)
    expected = np.zeros((SCOPE_COLUMNS, len(PHASES), len(COLUMNS)), np.int64)
    fast_expected = np.zeros((len(PHASES), SCOPE_COLUMNS), np.int64)
    for _ in range(3):
        which = random.integers(0, 6, 500)
        fast = random.integers(0, 2, 500).astype(bool)
        shapes.occur(keys[which], fast)
        occurred += np.bincount(which, minlength=6)
        for i, quick in zip(which.tolist(), fast.tolist(), strict=True):
            expected[scope[i]] += rows[i]
            if quick:
                fast_expected[:, scope[i]] += rows[i][:, INSTRUCTIONS]
    np.testing.assert_array_equal(shapes.sums(), expected)
    np.testing.assert_array_equal(shapes.fast_instructions(), fast_expected)
    assert len(shapes) == 6
    # Measured once more: it stays the first time that counts.
    shapes.learn(keys[:2], operation[:2] + 100, scope[:2], label[:2], rows[:2])
    np.testing.assert_array_equal(shapes.occurrences(), [operation, occurred])
    by_label = np.zeros((9, *rows.shape[1:]), np.int64)
    for labels, times, part in shapes.parts():
        for one, number, row in zip(labels.tolist(), times.tolist(), part, strict=True):
            by_label[one] += number * row.astype(np.int64)
    for one in range(9):
        mine = [i for i in range(6) if label[i] == one]
        assert (by_label[one].sum() > 0) == bool(mine)
    np.testing.assert_array_equal(by_label.sum(axis=0), expected.sum(axis=0))


def test_a_shape_that_costs_differently_is_noticed() -> None:
    rows = np.ones((2, len(PHASES), len(COLUMNS)), np.uint32)
    keys, scope = np.array([7, 7], np.uint64), np.zeros(2, np.uint32)
    label = np.zeros(2, np.uint64)
    shapes = Shapes()
    shapes.learn(keys, np.arange(2), scope, label, rows)
    assert shapes.consistent
    rows[1, 0, INSTRUCTIONS] += 1
    shapes.learn(keys, np.arange(2), scope, label, rows)
    assert not shapes.consistent
