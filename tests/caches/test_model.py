# SPDX-License-Identifier: GPL-2.0-only
"""The native model of caches against one in Python, and against what must hold for any cache."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from samples import busy_trace, image, placed

from caches.reference import Access, Reference, packed, unpacked
from zsemu.caches.hierarchy import find
from zsemu.caches.model import Model
from zsemu.guest.targets import target
from zsemu.replay.access_sequence import AccessSequence
from zsemu.replay.observation import EveryOperation
from zsemu.replay.replay import Replay

HIERARCHIES = (
    "l1=64:1,l2=64:1",
    "l1=512:2,l2=2K:4",
    "l1=512:8,l2=512:1",
    "l1=1K:1,l2=1K:16",
    "l1=256:2:32,l2=1K:2:32",
    "l1=384:3,l2=1280:5",
)
RECORDED = ("l1=4K:2,l2=32K:4", "l1=32K:8,l2=512K:8", "cortex-a72")


def ours(hierarchy: str, steps: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the counts of the native model, shape (phases, counts)."""
    model = Model(find(hierarchy))
    # In pieces, as the replay gives them.
    for some in np.array_split(steps, 3):
        ends = np.array([0, len(some) // 2, len(some)], np.uint64)
        model.run(some, ends, np.array([2, 2, 2], np.uint32))
    assert not np.delete(model.sums, 2, axis=0).any()
    counts: NDArray[np.int64] = model.sums[2].astype(np.int64)
    return counts


def theirs(hierarchy: str, steps: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the same of the model in Python."""
    model = Reference(find(hierarchy))
    model.run(unpacked(steps))
    return model.counts


@cache
def random_steps() -> NDArray[np.uint64]:
    """Return accesses that go forward for a while and then jump, of all sizes, in all phases."""
    random = np.random.default_rng(3)
    accesses = []
    for _ in range(400):
        offset, size = int(random.integers(1 << 13)), int(random.choice([1, 4, 8, 16, 64]))
        store, phase = int(random.integers(2)), int(random.integers(4))
        for step in range(int(random.integers(1, 12))):
            accesses.append(Access(offset + step * size, size, store, phase))
    return packed(accesses)


@cache
def recorded_steps(arch: str, name: str) -> NDArray[np.uint64]:
    """Return all accesses of a replay."""
    kept: list[NDArray[np.uint64]] = []
    sequence = AccessSequence(lambda steps, ends, scopes: kept.append(steps.copy()))
    work = placed(busy_trace(120), arch)
    replay = Replay(
        image(target(arch), name), work, observe=lambda subject: EveryOperation(subject, sequence)
    )
    assert not replay.run().violation_count
    return np.concatenate(kept)


def test_packing() -> None:
    accesses = [Access(0, 1, 0, 0), Access((1 << 40) - 1, 64, 1, 3), Access(77, 16, 1, 2)]
    assert unpacked(packed(accesses)) == accesses


@pytest.mark.parametrize("hierarchy", HIERARCHIES)
def test_random_sequences(hierarchy: str) -> None:
    found = ours(hierarchy, random_steps())
    np.testing.assert_array_equal(found, theirs(hierarchy, random_steps()))
    assert (found > 0).all()


@pytest.mark.parametrize("hierarchy", RECORDED)
@pytest.mark.parametrize(("arch", "name"), [("x86_64", "swap-lazy"), ("arm", "pgtable")])
def test_recorded_sequences(arch: str, name: str, hierarchy: str) -> None:
    steps = recorded_steps(arch, name)
    assert len(steps) > 10000
    np.testing.assert_array_equal(ours(hierarchy, steps), theirs(hierarchy, steps))


def lines_in_order(steps: NDArray[np.uint64]) -> list[int]:
    return [
        line
        for access in unpacked(steps)
        for line in range(access.offset // 64, (access.offset + access.size - 1) // 64 + 1)
    ]


@pytest.mark.parametrize("name", ["copy", "swap-lazy"])
def test_an_infinite_cache_misses_each_line_once(name: str) -> None:
    steps = recorded_steps("x86_64", name)
    found = ours("l1=64M:1,l2=64M:1", steps).sum(axis=0)
    assert int(steps.max() & np.uint64((1 << 40) - 1)) < 64 << 20
    assert found.tolist() == [len(set(lines_in_order(steps))), 0] * 2


@pytest.mark.parametrize("name", ["copy", "swap-lazy"])
def test_a_cache_of_one_line_misses_at_each_change_of_line(name: str) -> None:
    steps = recorded_steps("x86_64", name)
    lines = np.array([-1, *lines_in_order(steps)])
    changes = np.count_nonzero(np.diff(lines))
    assert ours("l1=64:1,l2=64M:1", steps)[:, 0].sum() == changes > len(steps) // 4


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("memmove(set + 1, set, i * sizeof(*set));", ""),  # not the one used last goes
        ("set[0] |= store;", ""),  # a store into the line used last is forgotten
        ("*victim | store", "*victim"),  # and one into another
        ("use(&m->l2, line, 0, &victim)", "use(&m->l2, line, DIRTY, &victim)"),
        ("if (victim & DIRTY)", "if (0)"),
        ("line <= last", "line < last + !bits(step[at], STEP_SIZE, 7)"),
    ],
)
def test_finds_planted_faults(old: str, new: str, edit_caches: Callable[..., None]) -> None:
    edit_caches(old, new)
    broken = ours(HIERARCHIES[1], random_steps())
    assert (broken != theirs(HIERARCHIES[1], random_steps())).any()
