# SPDX-License-Identifier: GPL-2.0-only
"""The rebuilt sequence of accesses against the one that was observed whole, step by step."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from samples import image, placed, trace

from zsemu.caches.hierarchy import find
from zsemu.guest.image import Image
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.replay.access_sequence import AccessSequence
from zsemu.replay.by_shape import EachLength
from zsemu.replay.observation import EveryOperation, Observation
from zsemu.replay.placed_trace import PlacedTrace
from zsemu.replay.replay import Outcome, Replay
from zsemu.traces.operation import Operation
from zsemu.traces.trace import Trace


@cache
def recurring_trace(operations: int = 600) -> Trace:
    """Return a trace of few lengths on three CPUs: the same shapes in other places, over and over.

    Zspages come and go, so that shapes recur in other pages of the pool.
    """
    random = np.random.default_rng(5)
    rows: list[tuple[Operation, int, int, int]] = []
    live: list[tuple[int, int]] = []
    number = 0
    while len(rows) < operations:
        cpu, action = int(random.integers(3)), int(random.integers(8))
        if action < 2 or not live:
            length = int(random.choice([700, 1632, 2900, 3250]))
            rows.append((Operation.ALLOCATE, number, length, cpu))
            rows.append((Operation.WRITE, number, length, cpu))
            live.append((number, length))
            number += 1
        elif action == 2 and len(live) > 30:
            gone, length = live.pop(int(random.integers(len(live))))
            rows.append((Operation.FREE, gone, length, cpu))
        else:
            some, length = live[int(random.integers(len(live)))]
            modes = (Operation.READ, Operation.WRITE, Operation.UPDATE)
            rows.append((modes[int(random.integers(3))], some, length, cpu))
    return trace(rows)


def work_of(arch: str) -> PlacedTrace:
    """Place it in a pool whose pages are out of order, so that no page tells where the next is."""
    return replace(placed(recurring_trace(), arch), page_order="scattered")


def sequence(
    image_: Image, work: PlacedTrace, kind: type[Observation]
) -> tuple[list[NDArray[np.uint64]], AccessSequence, Outcome]:
    """Return all steps, ends and scopes of a replay that observes so."""
    kept: list[list[NDArray[np.uint64]]] = [[], [], []]

    def take(
        steps: NDArray[np.uint64], ends: NDArray[np.uint64], scopes: NDArray[np.uint32]
    ) -> None:
        before = sum(map(len, kept[0]))
        kept[0].append(steps.copy())
        kept[1].append(ends + np.uint64(before))
        kept[2].append(scopes.astype(np.uint64))

    whole = AccessSequence(take)
    outcome = Replay(
        image_,
        work,
        observe=lambda subject: kind(subject, whole),
    ).run()
    assert not outcome.violation_count
    return [np.concatenate(some) for some in kept], whole, outcome


@pytest.mark.parametrize("arch", target_names())
def test_rebuilt_is_observed(arch: str) -> None:
    work = work_of(arch)
    for name in strategy_names():
        image_ = image(target(arch), name)
        observed, _, outcome = sequence(image_, work, EveryOperation)
        rebuilt, whole, _ = sequence(image_, work, EachLength)
        assert whole.consistent
        assert whole.rebuilt > len(work.trace) / 3, name
        for one, other in zip(observed, rebuilt, strict=True):
            np.testing.assert_array_equal(one, other, name)
        # Every access that is counted is there; those in two pages, of a window, are there twice.
        counted = outcome.sums[..., [2, 3]].sum()
        assert counted <= len(observed[0]) <= 1.001 * counted


def test_the_first_operations_of_a_recording() -> None:
    """Long enough for several batches, and for samples of shapes that are known."""
    from zsemu.traces.file import find as find_trace
    from zsemu.traces.file import load

    work = placed(load(find_trace("sqlite-lzo-rle")).head(9000), "riscv64", "chain-4")
    image_ = image(target("riscv64"), "swap-lazy")
    observed, _, _ = sequence(image_, work, EveryOperation)
    rebuilt, whole, _ = sequence(image_, work, EachLength)
    assert whole.consistent and whole.rebuilt > 500
    for one, other in zip(observed, rebuilt, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("copy", "return BUFFER;", "return ABSOLUTE;"),
        ("pgtable", "return ENTRIES;", "return AREA;"),
        ("swap", "return SLOT + distance;", "return SLOT;"),
        ("sg", "first[i] + k * growth[i]", "first[i] + (k & 15) * growth[i]"),
    ],
)
def test_a_wrong_template_is_noticed_and_all_is_observed(
    name: str, old: str, new: str, edit_caches: Callable[..., None]
) -> None:
    image_, work = image(target("arm"), name), work_of("arm")
    caches = find("l1=4K:2,l2=32K:4")
    right = Replay(image_, work, caches=caches).run()
    edit_caches(old, new)
    found = Replay(image_, work, caches=caches).run()
    assert right.shapes and not found.shapes
    assert found.cache is not None and right.cache is not None
    np.testing.assert_array_equal(found.cache, right.cache)
    assert found.cache.any()


def test_no_caches_no_sequence() -> None:
    replay = Replay(image(target("arm"), "copy"), work_of("arm"))
    assert replay.run().cache is None
    assert not replay.machines.events._native.sequence.step
