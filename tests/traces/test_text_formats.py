# SPDX-License-Identifier: GPL-2.0-only
"""Excerpts as the tools wrote them: all give the same trace, and no tool's text is another's.

The tools wrote what is in ``excerpts/`` in virtual machines with Debian's kernel 6.1.176, or with
6.12.117 where the name says so. CPU 0 stores two pages in zram, CPU 1 reads them and stores another
page over the first, and CPU 0 resets zram. The tools are bpftrace 0.17, trace-cmd 3.1.6, perf 6.1
and the kernel itself.

- The names of what the scripts of ``zsemu trace record`` wrote begin with ``record-``.
- perf's chains of calls were cut to two calls each.
- For ``uprobes-``, a program called functions of the same names in the same order, and ``perf
  probe`` took the names and types of their arguments from its debug information.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from recordings import ALLOCATE, FREE, READ, WRITE

from zsemu.errors import ZsemuError
from zsemu.traces import recorder, text_blocks
from zsemu.traces.importer import import_text
from zsemu.traces.text_formats import COMMENT, FORMATS, LOST, TextFormat

EXCERPTS = Path(__file__).parent / "excerpts"
ROOT = Path(__file__).resolve().parents[2]

LENGTHS = (1987, 2138, 1993)
LENGTHS_6_12 = (2021, 2114, 2054)
"""What the three pages compress to; the pages are those of another file."""

STEPS = [  # operation, object, CPU
    (ALLOCATE, 0, 0),
    (WRITE, 0, 0),
    (ALLOCATE, 1, 0),
    (WRITE, 1, 0),
    (READ, 0, 1),
    (READ, 1, 1),
    (ALLOCATE, 2, 1),
    (WRITE, 2, 1),
    (FREE, 0, 1),
    (FREE, 2, 0),
    (FREE, 1, 0),
]

TICKS = {
    "bpftrace-dec": (52630000270, 56269115000),
    "bpftrace-hex": (52630064850, 56268967580),
    "counter": (7, 41),
    "latency-counter": (7, 41),
    "trace-cmd-counter": (46, 63),
    "trace-cmd-x86-tsc": (375819122465, 384516076627),
    "trace-cmd-x86-tsc-l": (375819122465, 384516076627),
    "x86-tsc": (148293581737, 157742051873),
}
"""Of each excerpt whose times are whole numbers, those of the first and the last step."""

NANOSECONDS = {
    "latency": (52834182000, 56475778000),
    "latency-trace": (15873045000, 19324459000),
    "perf-script": (52590035000, 56229929000),
    "perf-script-g": (52590346000, 56229809000),
    "perf-script-ns-pid": (52590035534, 56229929035),
    "record-bpftrace": (60911924270, 64430877220),
    "record-ftrace": (21096538000, 24657320000),
    "record-ftrace-6.12": (14446462000, 17956766000),
    "record-perf": (29175500000, 32759067000),
    "record-perf-6.12": (22804951000, 26284653000),
    "record-tgid": (52834227000, 56475790000),
    "record-trace-cmd": (39470265000, 43177157000),
    "trace": (52834303000, 56475800000),
    "trace-cmd": (85997546000, 89673057000),
    "trace-cmd-l": (85997546000, 89673057000),
    "trace-cmd-t": (85997545685, 89673056857),
    "trace_pipe": (52834307000, 56475804000),
    "uprobes-perf-script": (16964019175000, 16964022514000),
    "uprobes-trace_pipe": (16961283360000, 16961288951000),
}
"""Of each other excerpt the same, in nanoseconds."""

TIMES = TICKS | NANOSECONDS


def test_every_excerpt_is_tested() -> None:
    assert sorted(path.stem for path in EXCERPTS.iterdir()) == sorted(TIMES)


SAID = {
    "ftrace": {
        "`trace_pipe`": "trace_pipe",
        "`trace`": "trace",
        "`latency-format`": "latency",
        "`record-tgid`": "record-tgid",
        "`counter`": "counter",
        "`x86-tsc`": "x86-tsc",
    },
    "trace-cmd": {
        "`report`": "trace-cmd",
        "`-l`": "trace-cmd-l",
        "`-t`": "trace-cmd-t",
        "the same clocks": "trace-cmd-x86-tsc",
    },
    "perf": {
        "`script`": "perf-script",
        "`--ns`": "perf-script-ns-pid",
        "`-F +pid`": "perf-script-ns-pid",
        "call chains": "perf-script-g",
        "`perf probe`": "uprobes-perf-script",
    },
    "bpftrace": {
        "`trace_pipe`": "bpftrace-hex",
        "`zsemu trace record --tool bpftrace`": "record-bpftrace",
    },
}
"""What traces/README.md says of each tool, and the excerpt that shows it."""


def test_the_readme_says_what_is_tested() -> None:
    text = (ROOT / "traces/README.md").read_text()
    table = text.partition("| tool | what was tried |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = dict(line.strip("| ").split(" | ") for line in table.splitlines())
    assert rows.keys() == SAID.keys() == recorder.TOOLS.keys()
    for tool, row in rows.items():
        # All that is in backquotes, and what else is claimed.
        assert set(re.findall("`[^`]+`", row)) == {word for word in SAID[tool] if word[0] == "`"}
        assert all(word in row for word in SAID[tool])
        assert set(SAID[tool].values()) <= TIMES.keys()


@pytest.mark.parametrize("name", TIMES)
def test_all_give_the_same_trace(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = EXCERPTS / f"{name}.txt"
    trace, report = import_text(path)
    columns = (trace.operation, trace.object, trace.cpu)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == STEPS
    lengths = LENGTHS_6_12 if name.endswith("6.12") else LENGTHS
    assert trace.length.tolist() == [lengths[number] for number in trace.object.tolist()]
    assert (trace.begin[0], trace.end[-1]) == TIMES[name]
    assert (report.events, report.pairs, report.imported) == (19, 5, 5)
    # perf recorded sched_process_exec, too.
    expected = {"skipped": 14} if name in ("perf-script", "perf-script-ns-pid") else {}
    if name in TICKS:
        expected["kept"] = 19
    assert {entry.how: entry.count for entry in report.entries} == expected

    monkeypatch.setattr(text_blocks, "BLOCK", 1)
    again, report_again = import_text(path)
    assert (again.digest(), report_again) == (trace.digest(), report)


@pytest.mark.parametrize("name", TIMES)
def test_no_text_is_another_s(name: str) -> None:
    """Each line is an event of one and the same format, or of none and then something known."""
    lines = (EXCERPTS / f"{name}.txt").read_bytes().splitlines()
    found = [[known for known in FORMATS if known.any_event.match(line)] for line in lines]
    (used,) = {tuple(known) for known in found if known}
    assert len(used) == 1
    others = [line for line, known in zip(lines, found, strict=True) if not known]
    assert all(COMMENT.fullmatch(line) for line in others)


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_the_example_in_a_message_is_of_its_format(known: TextFormat) -> None:
    for other in FORMATS:
        (row,) = other.line.findall(known.example.encode())
        assert any(row) == (other is known)
        if other is known:
            assert (row[0], int(row[1]), *row[6:9]) == (b"1", 0, b"zs_free", b"handle", b"0x1")


DAMAGES: dict[str, Callable[[str], str]] = {
    "no equals sign": lambda line: line.replace(" handle=", " handle"),
    "no parenthesis": lambda line: "".join(line.rsplit("(", 1)),
    "no number": lambda line: line.replace("=", "=z"),
    "cut": lambda line: line.partition(" handle=")[0] + "\n",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", TIMES)
def test_a_damaged_line_is_named(tmp_path: Path, name: str, damage: str) -> None:
    lines = (EXCERPTS / f"{name}.txt").read_text().splitlines(keepends=True)
    at = next(at for at, line in enumerate(lines) if "zs_unmap_object: " in line)
    lines[at] = DAMAGES[damage](lines[at])
    path = tmp_path / "damaged.txt"
    path.write_text("".join(lines))
    with pytest.raises(ZsemuError, match=rf"damaged\.txt:{at + 1}: expected 'zs_unmap_object: "):
        import_text(path)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("trace_pipe", "perf-script", r":20: expected 'task-1 .* in the text of trace_pipe and"),
        ("perf-script", "trace_pipe", r":34: expected 'task 1 .* in the text of perf script, not"),
        ("latency", "trace_pipe", r":20: expected 'task-1 0\.\.\.1\. .* in latency format, not"),
        ("trace_pipe", "x86-tsc", r":20: only some of the times have a unit; these are two rec"),
        ("x86-tsc", "trace_pipe", r":20: only some of the times have a unit"),
        ("trace_pipe", "trace_pipe", r":20: the time goes back on one CPU; these are two rec"),
    ],
)
def test_two_texts_in_one_file(tmp_path: Path, first: str, second: str, message: str) -> None:
    path = tmp_path / "both.txt"
    path.write_bytes(b"".join((EXCERPTS / f"{name}.txt").read_bytes() for name in (first, second)))
    with pytest.raises(ZsemuError, match=message):
        import_text(path)


@pytest.mark.parametrize(
    ("name", "line", "lost"),
    [
        # As the tools wrote them when a buffer was too small.
        ("trace_pipe", "CPU:0 [LOST 9482 EVENTS]", 9482),
        ("latency", "CPU:0 [LOST 9347 EVENTS]", 9347),
        ("trace-cmd", "CPU:0 [EVENTS DROPPED]", 0),
        ("trace-cmd", "CPU:0 [138 EVENTS DROPPED]", 138),
        ("record-trace-cmd", "zsemu: CPU:0 [EVENTS DROPPED]", 0),
        ("perf-script", "  sleep   251 [000]    91.272491: PERF_RECORD_LOST lost 9865", 9865),
        ("perf-script-ns-pid", " a   251/251   [000]    91.272491: PERF_RECORD_LOST lost 2", 2),
        ("record-bpftrace", "Lost 3864 events", 3864),
    ],
)
def test_lost_events(tmp_path: Path, name: str, line: str, lost: int) -> None:
    """No pair is formed across the line, whichever tool reports the loss."""
    lines = (EXCERPTS / f"{name}.txt").read_text().splitlines()
    at = next(at for at, text in enumerate(lines) if "zs_malloc" in text and "size=" not in text)
    path = tmp_path / "lost.txt"
    path.write_text("\n".join([*lines[:at], line, *lines[at:], ""]))
    _, report = import_text(path)
    found = {(entry.what, entry.lines) for entry in report.entries}
    assert (f"report of lost events, {lost} in all", (at + 1,)) in found
    assert ("zs_malloc that did not return", (at,)) in found
    assert LOST.fullmatch(line.encode())


@pytest.mark.parametrize("line", ["Attached 5 probes", "WARNING: Total lost event count: 12", ""])
def test_what_newer_versions_of_bpftrace_say(tmp_path: Path, line: str) -> None:
    path = tmp_path / "new.txt"
    path.write_text((EXCERPTS / "bpftrace-hex.txt").read_text() + line + "\n")
    assert import_text(path)[1].events == 19


@pytest.mark.parametrize(
    ("option", "line", "message"),
    [
        (
            "-R",
            "  dd-244   [000]    55.099802: zs_malloc:          __probe_ip=ffffffffc051a2a0 size=4",
            r":1: expected 'zs_malloc: \(\.\.\.\) size=N', not 'zs_malloc:   ",
        ),
        (
            "--ts-diff",
            "  dd-244   [000]    55.101869: (+2067)  zs_malloc_ret:   (ffffffffc051a2a0) handle=8",
            ":1: expected an event, not '  dd-244 ",
        ),
    ],
)
def test_options_of_trace_cmd_that_change_events(
    tmp_path: Path, option: str, line: str, message: str
) -> None:
    """They are refused, not taken for events of something else."""
    path = tmp_path / f"{option}.txt"
    path.write_text(line + "\n")
    with pytest.raises(ZsemuError, match=message):
        import_text(path)


def test_unknown_text_names_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "verbose.txt"
    # As options/verbose makes of latency format.
    path.write_text(
        "              dd     244   0 36 00000001 00000001 [034c0a1c] 55314.972ms (+0.000ms): zs_"
        "malloc: (zs_malloc+0x0/0x4f0 [zsmalloc]) size=4096\n"
    )
    with pytest.raises(ZsemuError) as error:
        import_text(path)
    assert str(error.value).startswith(
        f"{path}:1: expected an event, not '              dd     244"
    )
    for known in (
        "trace_pipe",
        "trace-cmd report",
        "latency format",
        "perf script",
        "trace record",
    ):
        assert known in str(error.value)
