# SPDX-License-Identifier: GPL-2.0-only
"""Every defect that a recording can have, planted: what the importer mends, drops and reports."""

from pathlib import Path

import pytest
from recordings import (
    ALLOCATE,
    FREE,
    ONE,
    ONE_ROWS,
    READ,
    RO,
    WO,
    WRITE,
    Row,
    begin,
    end,
    event,
    free,
    import_string,
    malloc,
    rows,
    use,
)

from zsemu.traces import text_blocks
from zsemu.traces.importer import import_text
from zsemu.traces.repair import WINDOW

UNKNOWN = "an object of unknown length"

DEFECTS: dict[str, tuple[str, list[Row], int, list[tuple[str, str, int, tuple[int, ...]]]]] = {
    # name: text, rows, pairs found, entries (how, part of what, count, lines)
    "printed late": (
        malloc(1, 8, 100) + use(5, 8, WO) + malloc(3, 16, 50, cpu=1, tid=9) + use(7, 16, WO),
        [
            (ALLOCATE, 0, 100, 0, 1, 1),
            (ALLOCATE, 1, 50, 1, 3, 3),
            (WRITE, 0, 100, 0, 5, 6),
            (WRITE, 1, 50, 0, 7, 8),
        ],
        2,
        [("mended", "printed after a later one", 2, (5, 6))],
    ),
    "map before the return of its handle": (
        event(1, "zs_malloc", "size=100")
        + use(2, 8, RO, cpu=1, tid=9)
        + event(2, "zs_malloc_ret", "handle=0x8")
        + use(5, 8, RO),
        # It waits for the allocation; its end lies behind that.
        [
            (ALLOCATE, 0, 100, 0, 2, 2),
            (READ, 0, 100, 1, 2, 3),
            (READ, 0, 100, 0, 5, 6),
        ],
        2,
        [
            ("mended", "before the zs_malloc_ret", 1, (2,)),
            ("mended", "printed after a later one", 1, (4,)),
        ],
    ),
    "read before the return of its handle and the first write": (
        use(2, 8, RO, cpu=1, tid=9) + malloc(4, 8, 100) + use(6, 8, WO) + use(9, 8, WO),
        [
            (ALLOCATE, 0, 100, 0, 4, 4),
            (WRITE, 0, 100, 0, 6, 7),
            (READ, 0, 100, 1, 6, 6),
            (WRITE, 0, 100, 0, 9, 10),
        ],
        3,
        [("mended", "before the zs_malloc_ret", 1, (1,))],
    ),
    "map too long before the return of its handle": (
        use(1, 8, RO, cpu=1, tid=9) + malloc(2 + WINDOW / 1000, 8, 100),
        [(ALLOCATE, 0, 100, 0, 10002, 10002)],
        1,
        [("dropped", f"map/unmap pair of {UNKNOWN}", 1, (1,))],
    ),
    "map before the return of its handle on the same CPU": (
        use(1, 8, RO) + malloc(3, 8, 100),
        [(ALLOCATE, 0, 100, 0, 3, 3)],
        1,
        [("dropped", f"map/unmap pair of {UNKNOWN}", 1, (1,))],
    ),
    "map after the free of its handle": (
        ONE + free(5, 8) + use(6, 8, RO, cpu=1, tid=9),
        [*ONE_ROWS, (READ, 0, 100, 1, 5, 7), (FREE, 0, 100, 0, 5, 5)],
        2,
        [("mended", "after the zs_free", 1, (6,))],
    ),
    "free after its handle was returned again": (
        ONE + malloc(5, 8, 50) + free(6, 8, cpu=1, tid=9) + use(9, 8, WO),
        [
            *ONE_ROWS,
            (FREE, 0, 100, 1, 5, 5),
            (ALLOCATE, 1, 50, 0, 5, 5),
            (WRITE, 1, 50, 0, 9, 10),
        ],
        2,
        [("mended", "zs_free after its handle", 1, (7,))],
    ),
    "handle returned again, its free missing": (
        # The free is not a late one of the first object: then two frees would be missing.
        ONE + malloc(5, 8, 50) + free(6, 8, cpu=1, tid=9) + malloc(7, 8, 30),
        [
            *ONE_ROWS,
            (FREE, 0, 100, 0, 5, 5),
            (ALLOCATE, 1, 50, 0, 5, 5),
            (FREE, 1, 50, 1, 6, 6),
            (ALLOCATE, 2, 30, 0, 7, 7),
        ],
        1,
        [("mended", "its zs_free is missing", 1, (6,))],
    ),
    "allocated before the recording": (
        use(1, 24, RO) + use(3, 16, WO) + free(5, 24) + malloc(6, 24, 10),
        [(ALLOCATE, 0, 10, 0, 6, 6)],
        2,
        [
            ("dropped", f"map/unmap pair of {UNKNOWN}", 2, (1, 3)),
            ("dropped", f"zs_free of {UNKNOWN}", 1, (5,)),
        ],
    ),
    "length from mem_len": (
        event(1, "zs_obj_write", "handle=0x8 mem_len=60")
        + event(2, "zs_obj_write", "handle=0x8 mem_len=90")
        + free(3, 8),
        [
            (ALLOCATE, 0, 90, 0, 1, 1),
            (WRITE, 0, 60, 0, 1, 1),
            (WRITE, 0, 90, 0, 2, 2),
            (FREE, 0, 90, 0, 3, 3),
        ],
        2,
        [("mended", "length taken from mem_len", 1, (1,))],
    ),
    "return without its call": (
        ONE + event(4, "zs_malloc_ret", "handle=0x10") + use(5, 16, WO) + free(7, 16),
        ONE_ROWS,
        2,
        [
            ("dropped", "zs_malloc_ret without", 1, (5,)),
            ("dropped", f"map/unmap pair of {UNKNOWN}", 1, (6,)),
            ("dropped", f"zs_free of {UNKNOWN}", 1, (8,)),
        ],
    ),
    "return without its call, length from mem_len": (
        event(1, "zs_malloc_ret", "handle=0x10")
        + event(2, "zs_obj_write", "handle=0x10 mem_len=60"),
        [(ALLOCATE, 0, 60, 0, 1, 1), (WRITE, 0, 60, 0, 2, 2)],
        1,
        [("mended", "zs_malloc_ret without", 1, (1,))],
    ),
    "call without its return": (
        ONE + event(4, "zs_malloc", "size=5") + malloc(5, 16, 30),
        [*ONE_ROWS, (ALLOCATE, 1, 30, 0, 5, 5)],
        1,
        [("dropped", "did not return", 1, (5,))],
    ),
    "map without end": (
        ONE + begin(4, 8, RO) + begin(5, 8, RO, tid=9) + end(6, 8, tid=9),
        [*ONE_ROWS, (READ, 0, 100, 0, 5, 6)],
        2,
        [("dropped", "map that does not end", 1, (5,))],
    ),
    "unmap without map": (
        end(0, 8) + ONE + end(6, 8),
        ONE_ROWS,
        1,
        [("dropped", "unmap without its map", 2, (1, 6))],
    ),
    "free of an unknown handle": (
        free(0, 8) + ONE + free(5, 24) + free(6, 8) + free(7, 8),
        [*ONE_ROWS, (FREE, 0, 100, 0, 6, 6)],
        1,
        [("dropped", f"zs_free of {UNKNOWN}", 3, (1, 6, 8))],
    ),
    "failed allocations": (
        malloc(0, 0, 10)
        + malloc(0, 2**64 - 12, 10)
        + malloc(0, 2**64 - 4095, 10)
        + malloc(0, 2**32 - 28, 10)
        + ONE,
        ONE_ROWS,
        1,
        [("dropped", "failed", 4, (2, 4, 6, 8))],
    ),
    "longer than its object": (
        ONE + event(5, "zs_obj_write", "handle=0x8 mem_len=101"),
        ONE_ROWS,
        2,
        [("dropped", "longer than its object", 1, (5,))],
    ),
    "lost events": (
        "CPU:1 [LOST 42 EVENTS]\n"
        + ONE
        + "CPU:0 [3 EVENTS DROPPED]\n"
        + "CPU:0 [EVENTS DROPPED]\n"
        + use(5, 8, RO),
        [*ONE_ROWS, (READ, 0, 100, 0, 5, 6)],
        2,
        [("skipped", "lost events, 45 in all", 3, (1, 6, 7))],
    ),
    "no pair across lost events": (
        ONE
        + event(4, "zs_malloc", "size=5")
        + begin(5, 8, RO, tid=9)
        + "CPU:0 [LOST 9 EVENTS]\n"
        + event(6, "zs_malloc_ret", "handle=0x10")
        + end(7, 8, tid=9),
        ONE_ROWS,
        1,
        [
            ("dropped", "did not return", 1, (5,)),
            ("dropped", "map that does not end", 1, (6,)),
            ("dropped", "unmap without its map", 1, (9,)),
            ("dropped", "zs_malloc_ret without", 1, (8,)),
            ("skipped", "lost events, 9 in all", 1, (7,)),
        ],
    ),
    "cut in the last line": (
        ONE + use(5, 8, RO)[:-1],
        ONE_ROWS,
        1,
        [
            ("dropped", "map that does not end", 1, (5,)),
            ("dropped", "line cut off", 1, (6,)),
        ],
    ),
    "other events and comments": (
        "# tracer: nop\n#\n\nversion = 7\ncpus=2\nCPU 1 is empty\n"
        + ONE
        + event(4, "sched_switch", "prev_comm=a")
        + "  task-7  [000] ...1. 0.000005: zs_compact: (zs_compact+0x0)\n"
        + "  task-7  [000] ...1. 0.000006: bprint: anything\n",
        ONE_ROWS,
        1,
        [("skipped", "event of something else", 3, (11, 12, 13))],
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_defects(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, expected, pairs, entries = DEFECTS[name]
    trace, report = import_string(tmp_path, text)
    assert rows(trace) == expected
    monkeypatch.setattr(text_blocks, "BLOCK", 1)
    again, report_again = import_text(tmp_path / "recording.txt")
    assert (rows(again), report_again) == (expected, report)
    found = sorted((entry.how, entry.count, entry.lines) for entry in report.entries)
    assert found == sorted((how, count, lines) for how, _, count, lines in entries)
    for how, what, count, lines in entries:
        assert any(
            what in entry.what and (entry.how, entry.count, entry.lines) == (how, count, lines)
            for entry in report.entries
        )
    dropped = sum(
        entry.count
        for entry in report.entries
        if entry.how == "dropped" and entry.what.startswith("map/unmap pair")
    )
    assert report.pairs == pairs == report.imported + dropped
    assert report.imported == sum(row[0] >= READ for row in expected)


LATE_RETURN = [
    "  task-9  [001] ...1. 2: zs_map_object: (f+0x0) handle=0x8 mode=1\n"
    "  task-9  [001] ...1. 3: zs_unmap_object: (f+0x0) handle=0x8\n",
    "  task-7  [000] ...1. 1: zs_malloc: (f+0x0) size=100\n"
    "  task-7  [000] ...1. 3: zs_malloc_ret: (f+0x0) handle=0x8\n",
]


@pytest.mark.parametrize(
    ("header", "begin", "kept"),
    [
        # In nanoseconds, the two clocks may differ; a counter is the same for all CPUs.
        ("# zsemu: kernel=6.1 page_size=4096 time_unit=ns\n", 2, 0),
        ("# zsemu: kernel=6.1 page_size=4096\n", 2, 4),
        ("", 3, 4),
    ],
)
def test_clocks_of_another_unit_leave_only_equal_times_open(
    tmp_path: Path, header: str, begin: int, kept: int
) -> None:
    text = header + "".join(LATE_RETURN).replace("] ...1. 2:", f"] ...1. {begin}:")
    trace, report = import_string(tmp_path, text)
    mended = [entry.what for entry in report.entries if entry.how == "mended"]
    exact = header.endswith("4096\n")
    assert ("map before the zs_malloc_ret of its handle" in mended) == (not exact)
    assert trace.operation.tolist() == ([ALLOCATE] if exact else [ALLOCATE, READ])
    assert sum(entry.count for entry in report.entries if entry.how == "kept") == kept


def test_report_names_the_first_lines_only(tmp_path: Path) -> None:
    _, report = import_string(tmp_path, ONE + "".join(free(10 + n, 99) for n in range(7)))
    (entry,) = report.entries
    assert str(entry).startswith("dropped 7: zs_free of")
    assert str(entry).endswith("(line 5, 6, 7, 8, 9, ...)")
