# SPDX-License-Identifier: GPL-2.0-only
"""The importer on hand-made recordings: formats, APIs, malformed text; two CPUs at random."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import (
    ALLOCATE,
    FREE,
    ONE,
    READ,
    RO,
    RW,
    UPDATE,
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

from zsemu.errors import ZsemuError
from zsemu.traces import text_blocks
from zsemu.traces.importer import import_text
from zsemu.traces.trace import COLUMNS

# Lines as a kernel 6.1 printed them.
TRACE_PIPE = """\
         busybox-126     [001] ...1.    33.723290: zs_malloc: (zs_malloc+0x0/0x4f0 [zsmalloc]) size=59
         busybox-126     [001] ...1.    33.730052: zs_malloc_ret: (zram_bvec_rw.constprop.0+0x51d/0x5b0 [zram] <- zs_malloc) handle=0xff11000008fba458
         busybox-126     [001] ...1.    33.734909: zs_map_object: (zs_map_object+0x0/0x2c0 [zsmalloc]) handle=0xff11000008fba458 mode=2
         busybox-126     [001] ...3.    33.735449: zs_unmap_object: (zs_unmap_object+0x0/0x240 [zsmalloc]) handle=0xff11000008fba458
           <...>-127     [000] dN.2.    33.768836: zs_map_object: (zs_map_object+0x0/0x2c0 [zsmalloc]) handle=0xff11000008fba458 mode=1
           <...>-127     [000] ...4.    33.776999: zs_unmap_object: (zs_unmap_object+0x0/0x240 [zsmalloc]) handle=0xff11000008fba458
         kswapd0-43      [000] ...3.    40.000000: zs_free: (zs_free+0x0/0xc0 [zsmalloc]) handle=0xff11000008fba458
"""  # noqa: E501
ROWS: list[Row] = [
    (ALLOCATE, 0, 59, 1, 33730052, 33730052),
    (WRITE, 0, 59, 1, 33734909, 33735449),
    (READ, 0, 59, 0, 33768836, 33776999),
    (FREE, 0, 59, 0, 40000000, 40000000),
]


def test_a_kernel_s_lines(tmp_path: Path) -> None:
    trace, report = import_string(tmp_path, TRACE_PIPE)
    assert rows(trace) == ROWS
    assert trace.name == "recording"
    assert (report.lines, report.events) == (7, 7)
    assert (report.pairs, report.imported, report.entries) == (2, 2, ())
    assert trace.metadata.notes == ("7 lines, 7 events, 2 map/unmap pairs, 2 imported",)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-126     [001]", "-126     (  126) [001]"),
        ("-127     [000]", "-127     (-------) [000]"),
        ("busybox-126", "a b-9 [003]: c-126"),
        ("...1.", "...1"),
        ("\n", "\r\n"),
        ("size=59", "size=0x3b"),
        ("0xff11000008fba458", str(0xFF11000008FBA458 % 10**18)),
        (" [zsmalloc]", ""),
    ],
)
def test_variants_of_a_line(tmp_path: Path, old: str, new: str) -> None:
    assert old in TRACE_PIPE
    trace, _ = import_string(tmp_path, TRACE_PIPE.replace(old, new))
    assert rows(trace) == ROWS


def test_nanoseconds(tmp_path: Path) -> None:
    text = TRACE_PIPE.replace("33.723290", "33.723290001").replace("33.734909", "33.734909987")
    trace, _ = import_string(tmp_path, text)
    assert trace.begin.tolist()[1] == 33734909987


def test_allocations_of_two_tasks_at_once(tmp_path: Path) -> None:
    text = (
        event(1, "zs_malloc", "size=10")
        + event(2, "zs_malloc", "size=20", cpu=1, tid=9)
        # The first task has changed its CPU while it waited.
        + event(3, "zs_malloc_ret", "handle=0x8", cpu=1)
        + event(4, "zs_malloc_ret", "handle=0x10", tid=9)
    )
    trace, report = import_string(tmp_path, text)
    assert rows(trace) == [(ALLOCATE, 0, 10, 1, 3, 3), (ALLOCATE, 1, 20, 0, 4, 4)]
    assert report.entries == ()


def test_blocks_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "# c\n" + TRACE_PIPE.replace("  kswapd0", "CPU:0 [LOST 3 EVENTS]\n  kswapd0")
    trace, report = import_string(tmp_path, text)
    for size in (1, 7, 200, 1000):
        monkeypatch.setattr(text_blocks, "BLOCK", size)
        again, report_again = import_string(tmp_path, text)
        assert rows(again) == rows(trace) == ROWS
        assert report_again == report


def test_modes(tmp_path: Path) -> None:
    text = malloc(1, 8, 100) + use(2, 8, WO) + use(4, 8, RO) + use(6, 8, RW)
    trace, _ = import_string(tmp_path, text)
    assert trace.operation.tolist() == [ALLOCATE, WRITE, READ, UPDATE]


def test_a_reused_handle_is_a_new_object(tmp_path: Path) -> None:
    text = malloc(1, 8, 100) + malloc(2, 16, 50) + free(3, 8) + malloc(4, 8, 70) + use(5, 8, WO)
    trace, report = import_string(tmp_path, text)
    assert [row[:3] for row in rows(trace)] == [
        (ALLOCATE, 0, 100),
        (ALLOCATE, 1, 50),
        (FREE, 0, 100),
        (ALLOCATE, 2, 70),
        (WRITE, 2, 70),
    ]
    assert report.entries == ()


def test_api_of_6_15(tmp_path: Path) -> None:
    """No mem_len at read; a read may move to another CPU and overlap one of the same task."""
    text = (
        malloc(1, 8, 100)
        + event(2, "zs_obj_write", "handle=0x8 mem_len=100")
        + event(5, "zs_obj_write_ret")
        + event(6, "zs_obj_write", "handle=0x8 mem_len=60")
        + event(7, "zs_obj_read_begin", "handle=0x8")
        + event(9, "zs_obj_read_end", "handle=0x8", cpu=1)
    )
    trace, report = import_string(tmp_path, text)
    assert rows(trace) == [
        (ALLOCATE, 0, 100, 0, 1, 1),
        (WRITE, 0, 100, 0, 2, 5),
        (WRITE, 0, 60, 0, 6, 6),
        (READ, 0, 100, 0, 7, 9),
    ]
    assert (report.pairs, report.imported) == (3, 3)
    assert trace.metadata.geometry == "chain-8"


def test_api_of_2026(tmp_path: Path) -> None:
    text = (
        malloc(1, 8, 100)
        + event(2, "zs_obj_read_begin", "handle=0x8 mem_len=90")
        + event(3, "zs_obj_read_sg_begin", "handle=0x8 mem_len=80", tid=9)
        + event(4, "zs_obj_read_sg_end", "handle=0x8", tid=9)
        + event(5, "zs_obj_read_end", "handle=0x8")
    )
    trace, _ = import_string(tmp_path, text)
    assert rows(trace)[1:] == [(READ, 0, 90, 0, 2, 5), (READ, 0, 80, 0, 3, 4)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "none of its 0 lines is an event of zsmalloc"),
        ("# tracer: nop\n", "none of its 1 lines is an event of zsmalloc"),
        (event(1, "sched_switch", "a=1"), "none of its 1 lines is an event of zsmalloc"),
        ("hello\n", r":1: expected an event, not 'hello'; known are the texts of trace_pipe and"),
        (ONE + "x\n" + use(5, 8, RO), r":5: expected 'task-1 .* trace-cmd report, not 'x'"),
        (ONE.replace("size=100", "size="), r":1: expected 'zs_malloc: \(\.\.\.\) size=N', not"),
        (ONE.replace("mode=2", "mode=two"), ":3: expected 'zs_map_object: .* mode=N', not"),
        (ONE.replace(" mode=2", ""), ":3: expected 'zs_map_object: "),
        (ONE.replace("handle=0x8 mode=2", "mode=2 handle=0x8"), ":3: expected 'zs_map_"),
        (ONE.replace("0x8 mode", "0x12345678901234567 mode"), ":3: expected 'zs_map_"),
        (ONE.replace("[000]", "000"), ":1: expected an event, not"),
        (ONE.replace("0.000002:", "0.02:"), ":3: expected 'task-1 "),
        (ONE.replace("0.000002:", "2:"), ":3: only some of the times have a unit"),
        (ONE.replace("mode=2", "mode=3"), r":3: expected mode 0 \(RW\), .* not 3"),
        (ONE + malloc(9, 16, 4097), ":6: an object of 4097 bytes is larger than a page of 4096"),
        (ONE + malloc(0, 16, 9), ":5: the time goes back on one CPU"),
        (use(1, 8, RO), "no object in it is of known length"),
        ("# zsemu: kernel=6.1 page_size=5000\n" + ONE, "page size 5000 is not one of"),
    ],
)
def test_malformed(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ZsemuError, match=message) as error:
        import_string(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "recording.txt"))
    assert "\n" not in str(error.value)


def test_unknown_geometry(tmp_path: Path) -> None:
    with pytest.raises(ZsemuError, match="unknown geometry 'chain-5'; use one of 2012, chain-4"):
        import_text(tmp_path / "none", geometry="chain-5")


def test_header_line(tmp_path: Path) -> None:
    big = "# zsemu: kernel=6.3.1-arm64 page_size=16384\n" + ONE + malloc(9, 16, 16000)
    trace, _ = import_string(tmp_path, big)
    assert (trace.metadata.kernel, trace.metadata.page_size) == ("6.3.1-arm64", 16384)
    assert trace.metadata.geometry == "chain-8"
    trace, _ = import_text(tmp_path / "recording.txt", kernel="3.6", page_size=65536)
    assert (trace.metadata.kernel, trace.metadata.page_size) == ("3.6", 65536)


@pytest.mark.parametrize(
    ("kernel", "geometry"),
    [
        ("3.6.0", "2012"),
        ("4.0", "2012"),
        ("4.1", "chain-4"),
        ("6.2.16-rc1", "chain-4"),
        ("6.3", "chain-8"),
        ("6.12.1", "chain-8"),
        ("7.0", "chain-8"),
        (None, "chain-4"),
    ],
)
def test_geometry_follows_from_the_kernel(
    tmp_path: Path, kernel: str | None, geometry: str
) -> None:
    path = tmp_path / "recording.txt"
    path.write_text(ONE)
    assert import_text(path, kernel=kernel)[0].metadata.geometry == geometry
    assert import_text(path, kernel=kernel, geometry="2012")[0].metadata.geometry == "2012"


@pytest.mark.parametrize(
    ("kernel", "chain", "geometry"),
    [
        ("6.12.117+deb13-arm64-16k", "8", "chain-8"),
        ("6.12", "16", "chain-16"),
        ("6.2.9", "8", "chain-4"),  # It has no such option; another tool wrote this.
        ("6.12", "5", None),
        # Its chains follow from other rules than those of chain-4.
        ("6.12", "4", None),
    ],
)
def test_geometry_follows_from_the_chain_size(
    tmp_path: Path, kernel: str, chain: str, geometry: str | None
) -> None:
    text = f"# zsemu: kernel={kernel} page_size=16384 chain_size={chain}\n" + ONE
    if geometry is not None:
        assert import_string(tmp_path, text)[0].metadata.geometry == geometry
        return
    with pytest.raises(ZsemuError, match=rf"CHAIN_SIZE is {chain}.*give the nearest with --geom"):
        import_string(tmp_path, text)
    assert import_text(tmp_path / "recording.txt", geometry="chain-8")[1].imported == 1


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=False), st.integers(1, 60))
def test_random_recordings(
    tmp_path_factory: pytest.TempPathFactory, source: random.Random, steps: int
) -> None:
    """Two CPUs' events, printed in an order that is right only on each, give what happened.

    It is long because what is done, what is expected and what is printed go step by step.
    """
    alive: dict[int, tuple[int, int]] = {}
    busy: dict[int, tuple[int, int]] = {}
    expected: list[Row] = []
    queues: tuple[list[str], list[str]] = ([], [])
    printed = objects = 0
    text = ""
    for step in range(steps):
        us = 10 * step
        cpu = source.randrange(2)
        tid = 100 + cpu
        if cpu in busy:
            handle, row = busy.pop(cpu)
            expected[row] = (*expected[row][:5], us)
            queues[cpu].append(end(us, handle, cpu, tid))
        elif not alive or source.random() < 0.4:
            handle = source.choice([n for n in range(8, 4096, 8) if n not in alive][:4])
            size = source.randint(1, 4096)
            alive[handle] = objects, size
            expected.append((ALLOCATE, objects, size, cpu, us, us))
            queues[cpu].append(malloc(us, handle, size, cpu, tid))
            objects += 1
        else:
            handle = source.choice(sorted(alive))
            number, size = alive[handle]
            mode = source.choice([RW, RO, WO, 3])
            if mode < 3:
                busy[cpu] = handle, len(expected)
                kind = {RW: UPDATE, RO: READ, WO: WRITE}[mode]
                expected.append((kind, number, size, cpu, us, us))
                queues[cpu].append(begin(us, handle, mode, cpu, tid))
            else:
                del alive[handle]
                expected.append((FREE, number, size, cpu, us, us))
                queues[cpu].append(free(us, handle, cpu, tid))
        if source.random() < 0.7:
            queue = queues[source.randrange(2)]
            text += "".join(queue)
            queue.clear()
    for cpu, (handle, _) in list(busy.items()):
        queues[cpu].append(end(10 * steps, handle, cpu, 100 + cpu))
    expected = [
        (*row[:5], 10 * steps) if row_number in {row for _, row in busy.values()} else row
        for row_number, row in enumerate(expected)
    ]
    text += "".join(queues[0]) + "".join(queues[1])
    printed = text.count("\n")

    path = tmp_path_factory.mktemp("random") / "recording.txt"
    path.write_text(text)
    trace, report = import_text(path)
    assert rows(trace) == expected
    # That it is consistent, as a file must be; writing so many files would take the most time.
    (part,) = trace.parts()
    assert {name: getattr(part.trace, name).dtype for name in COLUMNS} == COLUMNS
    assert report.lines == report.events == printed
    assert {entry.how for entry in report.entries} <= {"mended"}
    assert {entry.what for entry in report.entries} <= {
        "event printed after a later one of another CPU"
    }
