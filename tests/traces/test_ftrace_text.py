# SPDX-License-Identifier: GPL-2.0-only
"""What is read of a recording's lines, before anything is put in order."""

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
          zram-1000  [003] d..2.   100.000003: zs_map_object: (zs_map_object+0x0/0x9) handle=18446744073709551 mode=1
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


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: f"{probe.name}-{probe.arguments}")
def test_each_probe_is_told_by_its_name_and_arguments(tmp_path: Path, probe: object) -> None:
    assert probe in PROBES
    number = PROBES.index(probe)
    chosen = PROBES[number]
    arguments = " ".join(f"{name}={5 + at}" for at, (name, _) in enumerate(chosen.arguments))
    path = tmp_path / "text"
    path.write_text(f"  a-1 [000] .... 1.000000: {chosen.name}: (f+0x0) {arguments}\n")
    _, events = read(path)
    assert events.probe.tolist() == [number]
    values = [5 + at for at in range(len(chosen.arguments))]
    assert [*events.first.tolist(), *events.second.tolist()][: len(values)] == values

    # One argument more than it has is a garbled line.
    path.write_text(path.read_text().replace("\n", " mode=1 size=1\n"))
    with pytest.raises(ZsemuError, match="text:1: expected an event"):
        read(path)
