# SPDX-License-Identifier: GPL-2.0-only
"""What maps cost by the boundary, against a sum in plain Python over every single operation."""

from collections import defaultdict

import numpy as np
import pytest
from numpy.typing import NDArray
from samples import image, placed, trace

from zsemu.counts import COLUMNS, PHASES
from zsemu.guest.targets import names, target
from zsemu.replay.replay import Replay
from zsemu.replay.spanning_costs import FIELDS, MODES, ByShape, SpanningCosts, keys
from zsemu.traces.operation import Operation

STRATEGY = ("settle", "map", "unmap")


def model(operation: list[int], slot: list[tuple[int, int]], rows: NDArray[np.uint32]) -> ByShape:
    """Add up row after row."""
    sums: dict[tuple[str, int, int], list[int]] = defaultdict(lambda: [0] * 7)
    for kind, (head, tail), row in zip(operation, slot, rows.tolist(), strict=True):
        name = Operation(kind).name.lower()
        if tail and name in ("read", "write", "update"):
            entry = sums[name, head + tail, head]
            entry[0] += 1
            for number, count in enumerate(("instructions", "bytes_loaded", "bytes_stored")):
                values = {p: row[i][COLUMNS.index(count)] for i, p in enumerate(PHASES)}
                entry[1 + number] += sum(values[phase] for phase in STRATEGY)
                entry[4 + number] += values["access"]
    found = {}
    for mode in ("read", "write", "update"):
        lines = [(size, head, *sums[m, size, head]) for m, size, head in sorted(sums) if m == mode]
        found[mode] = dict(
            zip(FIELDS, zip(*lines, strict=True) if lines else [()] * len(FIELDS), strict=True)
        )
    return found


def test_sums() -> None:
    random = np.random.default_rng(3)
    boundary, seen = SpanningCosts(), []
    for _ in range(5):
        operation = random.integers(0, 5, 200).astype(np.uint8)
        slot = random.choice([0, 16, 32, 4080], (200, 2)).astype(np.uint64)
        rows = random.integers(0, 1 << 20, (200, len(PHASES), len(COLUMNS))).astype(np.uint32)
        boundary.add(keys(operation, slot), 1, rows)
        seen.append((operation, slot, rows))
    operation, slot, rows = (np.concatenate(column) for column in zip(*seen, strict=True))
    expected = model(operation.tolist(), slot.tolist(), rows.astype(np.uint32))
    assert boundary.document() == expected
    assert all(len(expected[mode]["maps"]) == 12 for mode in MODES)

    times = random.integers(0, 5, len(operation))
    multiplied = SpanningCosts()
    multiplied.add(keys(operation, slot), times, rows)
    again = [np.repeat(column, times, axis=0) for column in (operation, slot, rows)]
    expected = model(again[0].tolist(), again[1].tolist(), again[2].astype(np.uint32))
    for mode, columns in multiplied.document().items():
        occurred = [i for i, number in enumerate(columns["maps"]) if number]
        assert {k: tuple(v[i] for i in occurred) for k, v in columns.items()} == expected[mode]


@pytest.mark.parametrize("arch", names())
@pytest.mark.parametrize("name", ["copy-modes", "swap-lazy"])
def test_replays(arch: str, name: str) -> None:
    """By shapes and with everything observed: the same, and in agreement with all spanning maps."""
    random = np.random.default_rng(4)
    lengths = [int(n) for n in random.integers(300, 3500, 60)]
    rows = [(Operation.ALLOCATE, i, n, 0) for i, n in enumerate(lengths)]
    for _ in range(600):
        which = int(random.integers(60))
        operation = Operation(int(random.integers(2, 5)))
        rows.append((operation, which, lengths[which] - int(random.integers(3)), 0))
    work = placed(trace(rows), arch)
    by_shape = Replay(image(target(arch), name), work).run()
    full = Replay(image(target(arch), name), work, full=True).run()
    assert by_shape.violation_count == full.violation_count == 0
    assert by_shape.by_shape == full.by_shape
    assert 0 < by_shape.shapes < len(rows)

    for mode, columns in full.by_shape.items():
        scope = {"read": 1, "write": 2, "update": 3}[mode]
        spans = work.placed.spans & (work.trace.operation == MODES[mode])
        assert sum(columns["maps"]) == np.count_nonzero(spans) > 0
        for i in np.flatnonzero(spans).tolist():
            size = int(work.geometry.sizes[work.placed.class_index[i]])
            head = 4096 - int(work.placed.offset[i])
            assert (size, head) in zip(columns["class_size"], columns["head"], strict=True)
        for count in ("instructions", "bytes_loaded", "bytes_stored"):
            at = COLUMNS.index(count)
            total = full.sums[scope][[PHASES.index(phase) for phase in STRATEGY], at].sum()
            assert sum(columns[count]) == total
            assert sum(columns[f"access_{count}"]) == full.sums[scope][PHASES.index("access"), at]
