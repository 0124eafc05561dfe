# SPDX-License-Identifier: GPL-2.0-only
"""Exhaustive geometry: nothing is left out, by counting what is there."""

from collections import defaultdict

import numpy as np
import pytest

from zsemu.check.exhaustive import exhaustive
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import NAMES, PAGE_SIZES, Geometry, geometry

USES = (Operation.READ, Operation.WRITE, Operation.UPDATE)


def small(name: str, page_size: int, word_bits: int = 64) -> Geometry:
    return geometry(name, page_size=page_size, word_bits=word_bits)


def done(one: Geometry) -> dict[tuple[int, int], dict[int, set[int]]]:
    """Return the lengths with which every (class, slot) is used: by operation."""
    work = exhaustive(one)
    found: dict[tuple[int, int], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for class_index, slot, operation, length in zip(
        work.placed.class_index.tolist(),
        work.placed.slot.tolist(),
        work.trace.operation.tolist(),
        work.trace.length.tolist(),
        strict=True,
    ):
        found[class_index, slot][operation].add(length)
    return found


@pytest.mark.parametrize(
    ("name", "page_size", "word_bits"),
    [
        *((name, 4096, 64) for name in NAMES),
        ("chain-8", 4096, 32),
        *(("chain-8", size, 64) for size in PAGE_SIZES[1:]),
    ],
)
def test_every_slot_of_every_class_in_every_mode(name: str, page_size: int, word_bits: int) -> None:
    one = small(name, page_size, word_bits)
    found = done(one)
    for class_index in range(len(one.classes)):
        slots = one.slots_of(class_index)
        full = int(one.sizes[class_index] - one.headers[class_index])
        for slot in range(len(slots)):
            used = found[class_index, slot]
            assert Operation.ALLOCATE in used
            for operation in USES:
                lengths = used[operation]
                # Full, minimal, and one that is no multiple of a word.
                assert {1, full} <= lengths, (class_index, slot, operation)
                assert full < 3 or any(length % 4 for length in lengths - {1})


@pytest.mark.parametrize(
    ("name", "page_size"), [("2012", 4096), ("chain-8", 4096), ("chain-8", 16384)]
)
def test_objects_end_with_the_page_and_just_behind_it(name: str, page_size: int) -> None:
    one = small(name, page_size)
    found = done(one)
    over: list[int] = []
    chosen = 0
    for class_index in range(len(one.classes)):
        slots = one.slots_of(class_index)
        # On larger pages every fourth of a class, the first always among them.
        for slot in np.flatnonzero(slots.spans)[:: 1 if page_size == 4096 else 4].tolist():
            chosen += 1
            end = page_size - int(slots.offset[slot]) - int(one.headers[class_index])
            used = found[class_index, slot]
            assert end in used[Operation.WRITE] & used[Operation.READ], (class_index, slot)
            everywhere = used[Operation.WRITE] & used[Operation.READ] & used[Operation.UPDATE]
            over += [length - end for length in everywhere if 0 < length - end < 8]
    assert set(over) == {1, 2, 3, 5, 6, 7}
    assert len(over) > chosen // 3


def test_what_is_updated_is_read_before_it_is_written() -> None:
    """Else nobody would know whether an update has reached the pool."""
    work = exhaustive(small("chain-8", 4096))
    trace = work.trace
    spans = work.placed.spans
    pending: dict[int, tuple[int, int]] = {}
    judged = 0
    for index, (operation, object_, length) in enumerate(
        zip(trace.operation.tolist(), trace.object.tolist(), trace.length.tolist(), strict=True)
    ):
        if operation == Operation.READ and object_ in pending:
            judged += length >= pending.pop(object_)[1]
        assert not (operation == Operation.WRITE and object_ in pending), index
        if operation == Operation.UPDATE and spans[index]:
            pending[object_] = (index, length)
    assert judged >= 3 * int(small("chain-8", 4096).slots.spans.sum())


def test_slots_are_freed_and_allocated_again_beside_full_ones() -> None:
    work = exhaustive(small("chain-8", 4096))
    freed = work.trace.operation == Operation.FREE
    born = work.trace.operation == Operation.ALLOCATE
    one = np.stack([work.placed.class_index, work.placed.slot])
    again = {tuple(pair) for pair in one[:, freed].T.tolist()}
    times: dict[tuple[int, ...], int] = defaultdict(int)
    for pair in one[:, born].T.tolist():
        times[tuple(pair)] += 1
    assert again
    # A zspage that is emptied goes; what is allocated then is the next one's first slot.
    assert sum(times[pair] > 1 for pair in again) > len(again) * 0.9


def test_both_cpus_use_every_spanning_object() -> None:
    work = exhaustive(small("2012", 4096))
    spanning = work.placed.spans & np.isin(work.trace.operation, USES)
    cpus: dict[int, set[int]] = defaultdict(set)
    for object_, cpu in zip(
        work.trace.object[spanning].tolist(), work.trace.cpu[spanning].tolist(), strict=True
    ):
        cpus[object_].add(cpu)
    first = [used for used in cpus.values() if len(used) < 2]
    # Those that only come after a free are written once.
    assert len(first) < len(cpus) / 2
    assert set().union(*cpus.values()) == {0, 1}


def test_page_orders_differ_in_nothing_else() -> None:
    up, down = (exhaustive(small("chain-4", 4096), order) for order in ("ascending", "descending"))
    assert (up.page_order, down.page_order) == ("ascending", "descending")
    np.testing.assert_array_equal(up.trace.operation, down.trace.operation)
