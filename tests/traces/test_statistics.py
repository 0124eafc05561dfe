# SPDX-License-Identifier: GPL-2.0-only
"""The figures of a trace against a slow model that looks at every pair of operations."""

import random

import numpy as np
import pytest

from zsemu.traces import statistics, trace
from zsemu.traces.operation import Operation
from zsemu.traces.trace import COLUMNS, Metadata, Trace
from zsemu.zsmalloc.geometry import NAMES, geometry

Row = tuple[int, int, int, int, int, int]


def make(rows: list[Row]) -> Trace:
    table = np.array(rows, np.int64)
    columns = {name: table[:, at].astype(dtype) for at, (name, dtype) in enumerate(COLUMNS.items())}
    return Trace("mine", Metadata("6.1", "chain-4", 4096, ""), **columns)


def busy_trace(seed: int) -> list[Row]:
    """Many objects of two classes that span much, mapped for long on three CPUs; nothing freed.

    So the n-th object of a class is in its slot n, and the model needs no lists.
    """
    source = random.Random(seed)
    rows: list[Row] = []
    lengths: list[int] = []
    for time in range(400):
        if not lengths or source.random() < 0.2:
            lengths.append(source.choice([1640, 2700]))
            rows.append((Operation.ALLOCATE, len(lengths) - 1, lengths[-1], 0, time, time))
        else:
            number = source.randrange(max(0, len(lengths) - 8), len(lengths))
            kind = source.choice([Operation.READ, Operation.WRITE, Operation.UPDATE])
            end = time + source.randrange(5)
            rows.append((kind, number, lengths[number], source.randrange(3), time, end))
    return rows


def overlapping(rows: list[Row]) -> list[tuple[Row, Row]]:
    maps = [row for row in rows if row[0] >= Operation.READ]
    return [
        (one, other)
        for at, one in enumerate(maps)
        for other in maps[at + 1 :]
        if other[4] < one[5] and one[4] <= other[4]
    ]


def test_figures() -> None:
    rows = busy_trace(1)
    info = statistics.info(make(rows))
    assert info.operations == {kind: sum(row[0] == kind for row in rows) for kind in Operation}
    alive, expected = 0, []
    for row in rows:
        alive += {Operation.ALLOCATE: 1, Operation.FREE: -1}.get(Operation(row[0]), 0)
        expected.append(alive)
    assert info.live.tolist() == expected
    assert info.lengths.tolist() == sorted(row[2] for row in rows if row[0] == Operation.ALLOCATE)
    assert info.overlaps == len(overlapping(rows)) > 100
    assert info.seconds == pytest.approx(399e-9)


def test_live_objects_fall_with_frees() -> None:
    rows: list[Row] = [
        (Operation.ALLOCATE, 0, 9, 0, 0, 0),
        (Operation.ALLOCATE, 1, 5, 0, 1, 1),
        (Operation.FREE, 0, 9, 0, 2, 2),
        (Operation.READ, 1, 5, 0, 3, 3),
    ]
    info = statistics.info(make(rows))
    assert info.live.tolist() == [1, 2, 1, 1]
    assert info.lengths.tolist() == [5, 9]


def test_maps_that_only_touch_do_not_overlap() -> None:
    rows: list[Row] = [(Operation.ALLOCATE, 0, 9, 0, 0, 0)]
    rows += [
        (Operation.READ, 0, 9, cpu, begin, end)
        for cpu, begin, end in [(0, 1, 4), (1, 4, 4), (0, 4, 6), (1, 4, 6), (0, 6, 7)]
    ]
    assert statistics.info(make(rows)).overlaps == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_spanning(name: str, seed: int) -> None:
    rows = busy_trace(seed)
    classes = geometry(name)
    place: dict[int, tuple[int, int, int, bool]] = {}
    count: dict[int, int] = {}
    for row in rows:
        if row[0] == Operation.ALLOCATE:
            one = classes.classes[int(classes.class_index(row[2]))]
            nth = count.get(one.size, 0)
            count[one.size] = nth + 1
            slot = nth % one.objects
            start = slot * one.size
            spans = start // 4096 != (start + one.size - 1) // 4096
            place[row[1]] = one.size, nth // one.objects, slot, spans

    def reaches(one: Row, other: Row) -> bool:
        here, there = place[one[1]], place[other[1]]
        return here[3] and there[:3] == (here[0], here[1], here[2] + 1)

    found = statistics.spanning(make(rows), classes)
    assert found.objects == sum(spans for *_, spans in place.values()) > 0
    assert found.maps == sum(place[row[1]][3] for row in rows if row[0] >= Operation.READ) > 0
    expected = sum(reaches(a, b) or reaches(b, a) for a, b in overlapping(rows))
    assert found.next_maps == expected > 0


def test_zsmapbench_spans_as_it_was_made_to() -> None:
    found = statistics.spanning(trace.zsmapbench(), geometry("2012"))
    assert (found.objects, found.maps, found.next_maps) == (1, 1000, 0)
