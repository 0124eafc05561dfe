# SPDX-License-Identifier: GPL-2.0-only
"""What is read of a recording's lines, before anything is put in order."""

from itertools import product
from pathlib import Path

import pytest

from zsemu.errors import ZsemuError
from zsemu.traces.probes import PROBES, Role
from zsemu.traces.recording import read

TEXT = """\
# tracer: nop
# zsemu: kernel=6.18.0 page_size=16384
          zram-1000  [003] d..2.   100.000001: zs_malloc: (zs_malloc+0x0/0x4f0) size=59
CPU:3 [LOST 17 EVENTS]
          zram-1001  [000] ...1.    99.999999: zs_obj_write: (zs_obj_write+0x0/0x9) handle=0xff mem_len=60
          zram-1001  [000] ...1.    99.999999: sched_wakeup: comm=a pid=1
          zram-1001  [000] ...1.   100.000002: zs_obj_write_ret: (f+0x1/0x2 <- zs_obj_write)
          zram-1000  [003] d..2.   100.000003: zs_map_object: (zs_map_object+0x0/0x9) handle=0x4189374bc6a7ef mode=1
          zram-1000  [003] d..2.   100.000004: zs_fr"""  # noqa: E501


def test_columns(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text(TEXT)
    recording, events = read(path)
    assert [PROBES[probe].name for probe in events.probe] == [
        "zs_malloc",
        "zs_obj_write",
        "zs_obj_write_ret",
        "zs_map_object",
    ]
    assert events.role.tolist() == [Role.MALLOC, Role.WRITE, Role.WRITE_RETURN, Role.BEGIN]
    assert events.tid.tolist() == [1000, 1001, 1001, 1000]
    assert events.cpu.tolist() == [3, 0, 0, 3]
    assert events.time.tolist() == [100000001000, 99999999000, 100000002000, 100000003000]
    assert events.first.tolist() == [59, 255, 0, 18446744073709551]
    assert events.second.tolist() == [0, 60, 0, 1]
    assert events.line.tolist() == [3, 5, 7, 8]
    assert events.gap.tolist() == [0, 1, 1, 1]

    assert recording.lines == 9
    assert recording.header == {"kernel": "6.18.0", "page_size": "16384"}
    assert (recording.cut, recording.other) == ([9], [6])
    assert (recording.lost, recording.lost_events) == ([4], 17)


NAMES = {
    "zs_malloc": [["size"]],
    "zs_malloc_ret": [["handle", "arg1"]],
    "zs_malloc__return": [["handle", "arg1"]],
    "zs_free": [["handle"]],
    "zs_map_object": [["handle"], ["mode", "mm"]],
    "zs_unmap_object": [["handle"]],
    "zs_obj_read_begin": [["handle"], ["mem_len"]],
    "zs_obj_read_end": [["handle"]],
    "zs_obj_write": [["handle"], ["mem_len"]],
    "zs_obj_write_ret": [],
    "zs_obj_write__return": [],
    "zs_obj_read_sg_begin": [["handle"], ["mem_len"]],
    "zs_obj_read_sg_end": [["handle"]],
}
"""By the name of each event, the names of its arguments: ours, then those that perf probe gives."""


@pytest.mark.parametrize("event", NAMES)
def test_each_probe_is_told_by_the_names_of_event_and_arguments(tmp_path: Path, event: str) -> None:
    path = tmp_path / "text"
    ours = event.replace("__return", "_ret")
    for names in product(*NAMES[event]):
        arguments = "".join(f" {name}={5 + at}" for at, name in enumerate(names))
        line = f"  a-1 [000] .... 1.000000: {event}: (f+0x0){arguments}"
        path.write_text(line + "\n")
        _, events = read(path)
        (probe,) = events.probe.tolist()
        wanted = [choice[0] for choice in NAMES[event]]
        assert PROBES[probe].name == ours
        assert [name for name, _ in PROBES[probe].arguments] == wanted
        assert [*events.first.tolist(), *events.second.tolist()] == [
            *range(5, 5 + len(names)),
            *[0] * (2 - len(names)),
        ]
        # One argument more than it has, and one of a name that it has not, are garbled lines.
        for garbled in (line + " other=1", line.replace("=5", "=5 other=1")):
            path.write_text(garbled + " other=1\n")
            with pytest.raises(ZsemuError, match=rf"text:1: expected '{event}: \(\.\.\.\)"):
                read(path)


def test_every_probe_is_tested() -> None:
    assert {probe.name for probe in PROBES} <= NAMES.keys()


def test_the_message_has_each_list_of_arguments(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("  a-1 [000] .... 1.000000: zs_obj_read_begin: (f+0x0) handle=1 mode=1\n")
    with pytest.raises(
        ZsemuError,
        match=r"expected 'zs_obj_read_begin: \(\.\.\.\) handle=N' or"
        r" 'zs_obj_read_begin: \(\.\.\.\) handle=N mem_len=N', not 'zs_obj_read_begin: \(f\+0x",
    ):
        read(path)
