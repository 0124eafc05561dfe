# SPDX-License-Identifier: GPL-2.0-only
"""The commands that record: what they define and print, run with stand-ins for the tools."""

import fcntl
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from outside.counting import need

from traces.fake_kernel import ARGUMENTS, NEW, OLD, SG, act, fake
from zsemu.errors import ZsemuError
from zsemu.traces import recorder, supervisor, survey
from zsemu.traces.importer import import_text

EXCERPTS = Path(__file__).parent / "excerpts"
APIS = {"old": OLD, "new": NEW, "sg": [*NEW, *SG]}

PARAMETERS = {
    "zs_malloc": "pool size gfp",
    "zs_free": "pool handle",
    "zs_map_object": "pool handle mm",
    "zs_unmap_object": "pool handle",
    "zs_obj_read_begin": "pool handle local_copy",
    "zs_obj_read_end": "pool handle handle_mem",
    "zs_obj_write": "pool handle handle_mem mem_len",
    "zs_obj_read_sg_begin": "pool handle sg mem_len",
    "zs_obj_read_sg_end": "pool handle",
}
"""The parameters of each function, as in mm/zsmalloc.c of 6.1 and of 6.18."""
WITH_LENGTH = {
    "zs_obj_read_begin": "pool handle mem_len local_copy",
    "zs_obj_read_end": "pool handle mem_len handle_mem",
}
"""Those that are others in January 2026 (0be909f114c4)."""

# The upper half of a register that holds 32 bits is anything.
VALUES = {"size": 100, "handle": 0xFF110000_08FBA458, "mm": (77 << 32) + 2, "mem_len": 100}


def arguments(function: str, api: str) -> list[int]:
    """Return what is in a function's arguments when it is called."""
    parameters = (WITH_LENGTH if api == "sg" else {}).get(function, PARAMETERS[function])
    return [VALUES.get(name, 0xDEAD) for name in parameters.split()]


LINES = {
    "ftrace": "  zram-7  [000] ...1. {time}: {event}: ({function}+0x0/0x10){values}",
    "perf": "  zram     7 [000] {time}: zsemu:{event}: (ffffffffc0401000){values}",
    "trace-cmd": "zsemu:  zram-7  [000] {time}: {event}:   (ffffffffc0401000){values}",
}
"""How each tool prints a kprobe."""


def by_kprobes(script: str, tool: str, api: str) -> list[str]:
    """Return what the kprobes of a script print, each once, in their order."""
    lines = []
    for number, text in enumerate(
        re.findall(r"^echo (.*) >> kprobe_events$", script, re.MULTILINE)
    ):
        (definition,) = shlex.split(text)
        head, function, *fetches = definition.split()
        values = ""
        for fetch in fetches:
            name, where, *kind = re.split("[=:]", fetch)
            is_return = where == "$retval"
            value = VALUES["handle"] if is_return else arguments(function, api)[int(where[-1]) - 1]
            values += f" {name}={value % 2**32}" if kind == ["u32"] else f" {name}={value:#x}"
        event = head.partition(":zsemu/")[2]
        lines.append(
            LINES[tool].format(
                time=f"1.00000{number}", event=event, function=function, values=values
            )
        )
    return lines


def by_bpftrace(script: str, _: str, api: str) -> list[str]:
    """Return what the probes of a script's bpftrace program print, each once, in their order."""
    (program,) = re.findall(r" bpftrace -e '\n(.*?)\n' ", script, re.DOTALL)
    lines = []
    for number, probe in enumerate(program.splitlines()):
        function, text, names = re.fullmatch(  # type: ignore[union-attr]
            r'k(?:ret)?probe:(\w+) { printf\("(.*)\\n", (.*)\); }', probe
        ).groups()
        known = {"comm": "zram", "tid": 7, "cpu": 0, "nsecs": 1000 + number}
        values: list[object] = []
        for name in names.split(", "):
            if name in known:
                values.append(known[name])
            elif name == "retval":
                values.append(VALUES["handle"])
            else:
                value = arguments(function, api)[int(name[-1])]
                values.append(value % 2**32 if name.startswith("(uint32)") else value)
        lines.append(text.replace("%ll", "%") % tuple(values))
    return lines


def script(tool: str, functions: list[str], output: Path, seconds: float | None = None) -> str:
    kernel = survey.Kernel(frozenset(functions), ARGUMENTS, Path("/sys/kernel/tracing"))
    return recorder.script(recorder.Job(kernel, output, seconds), tool)


def definitions(functions: list[str]) -> list[str]:
    return [recorder.kprobe(probe, ARGUMENTS) for probe in survey.probes(functions)]


def test_definitions_for_the_map_api() -> None:
    """As the recordings in traces/ were made, group apart."""
    assert definitions(OLD) == [
        "p:zsemu/zs_malloc zs_malloc size=$arg2:u32",
        "r:zsemu/zs_malloc_ret zs_malloc handle=$retval",
        "p:zsemu/zs_free zs_free handle=$arg2",
        "p:zsemu/zs_map_object zs_map_object handle=$arg2 mode=$arg3:u32",
        "p:zsemu/zs_unmap_object zs_unmap_object handle=$arg2",
    ]


def test_definitions_for_6_15() -> None:
    """read_begin(pool, handle, local_copy), write(pool, handle, handle_mem, mem_len)."""
    assert definitions(NEW)[3:] == [
        "p:zsemu/zs_obj_read_begin zs_obj_read_begin handle=$arg2",
        "p:zsemu/zs_obj_read_end zs_obj_read_end handle=$arg2",
        "p:zsemu/zs_obj_write zs_obj_write handle=$arg2 mem_len=$arg4:u32",
        "r:zsemu/zs_obj_write_ret zs_obj_write",
    ]


def test_definitions_for_2026() -> None:
    """read_begin(pool, handle, mem_len, local_copy), sg_begin(pool, handle, sg, mem_len)."""
    assert definitions([*NEW, *SG])[3:] == [
        "p:zsemu/zs_obj_read_begin zs_obj_read_begin handle=$arg2 mem_len=$arg3:u32",
        "p:zsemu/zs_obj_read_end zs_obj_read_end handle=$arg2",
        "p:zsemu/zs_obj_write zs_obj_write handle=$arg2 mem_len=$arg4:u32",
        "r:zsemu/zs_obj_write_ret zs_obj_write",
        "p:zsemu/zs_obj_read_sg_begin zs_obj_read_sg_begin handle=$arg2 mem_len=$arg4:u32",
        "p:zsemu/zs_obj_read_sg_end zs_obj_read_sg_end handle=$arg2",
    ]


def test_the_tree_that_has_sg_only() -> None:
    chosen = definitions(["zs_malloc", "zs_free", "zs_obj_write", *SG])
    assert [line.split()[1] for line in chosen[3:]] == ["zs_obj_write"] * 2 + SG


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("tool", recorder.TOOLS)
def test_what_is_recorded_is_what_the_importer_reads(tmp_path: Path, tool: str, api: str) -> None:
    """Print the event of each probe as the tool does that is told so, and import it."""
    text = script(tool, APIS[api], tmp_path / "output")
    lines = (by_bpftrace if tool == "bpftrace" else by_kprobes)(text, tool, api)
    assert len(lines) == len(definitions(APIS[api]))
    # The free comes third in the table; it must be last in time.
    free = lines.pop(2)
    assert "zs_free" in free
    lines.append(free.replace("1.000002", "2.000000").replace(" 1002:", " 2000:"))
    path = tmp_path / "text"
    path.write_text("\n".join([*lines, ""]))
    trace, report = import_text(path)
    assert {entry.how for entry in report.entries} <= {"kept"}
    assert report.events == len(lines)
    assert report.imported == {"old": 1, "new": 2, "sg": 3}[api]
    assert set(trace.length.tolist()) == {100}


TWO_EVENTS = (
    "  zram-7 [000] ...1. 1.000001: zs_malloc: (zs_malloc+0x0/0x9) size=10\n"
    "  zram-7 [000] ...1. 1.000002: zs_malloc_ret: (f+0x0/0x9 <- zs_malloc) handle=0x8\n"
)


def record(
    tmp_path: Path, output: Path, seconds: float | None = 0, tool: str = "ftrace"
) -> survey.Kernel:
    """Record with the fake kernel that the test has put up; return what it offers."""
    kernel = survey.survey(
        kallsyms=tmp_path / "kallsyms", tracefs=tmp_path / "tracing", machine="x86_64"
    )
    commands = recorder.script(recorder.Job(kernel, output, seconds), tool)
    supervisor.run(commands, recorder.removal(kernel))
    return kernel


def assert_only_the_users_kprobe(tracefs: Path) -> None:
    """What the script has defined, it has removed; what was there before is there."""
    assert not (tracefs / "instances/zsemu").exists()
    written = (tracefs / "kprobe_events").read_text().splitlines()
    assert written[0] == "p:mine/zs_free zs_free"
    removed = [f"-:zsemu/{line.split()[0][8:]}" for line in definitions(OLD)]
    # Before it defines them, it removes what a killed recording may have left.
    assert written[1:] == [*removed, *definitions(OLD), *removed]


def test_run_on_a_fake_tracefs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _, tracefs = fake(tmp_path, OLD)
    act(tracefs, monkeypatch, TWO_EVENTS, hits=2)
    output = tmp_path / "a name with spaces.txt"
    record(tmp_path, output)
    assert_only_the_users_kprobe(tracefs)
    assert (tracefs / "last").read_text().split() == [str(recorder.BUFFER_KIB), "0"]

    lines = output.read_text().splitlines()
    assert re.match(r"# zsemu: kernel=\S+ page_size=\d+( chain_size=\d+)?$", lines[0])
    assert lines[-1] == "# zsemu: events=2"
    trace, report = import_text(output)
    assert trace.length.tolist() == [10]
    assert (report.events, report.entries) == (2, ())
    assert trace.metadata.kernel == output.read_text().split()[2].removeprefix("kernel=")
    assert "2 events in" in capfd.readouterr().err


@pytest.mark.parametrize(("hits", "misses"), [(3, 0), (2, 1)])
def test_no_event_is_lost_in_silence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    hits: int,
    misses: int,
) -> None:
    """A hit that was not printed, and a call that the kprobe missed."""
    _, tracefs = fake(tmp_path, OLD)
    act(tracefs, monkeypatch, TWO_EVENTS, hits, misses)
    with pytest.raises(ZsemuError, match="failed with status 1, for the reason given above"):
        record(tmp_path, tmp_path / "out")
    assert "events were lost: there were 3; record again" in capfd.readouterr().err
    assert_only_the_users_kprobe(tracefs)
    _, report = import_text(tmp_path / "out")
    assert [str(entry) for entry in report.entries] == [
        "skipped 1: count of 3 events, of which the recording lacks some (line 4)"
    ]


def test_a_failing_command_takes_down_what_was_put_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tracefs = fake(tmp_path, OLD)
    act(tracefs, monkeypatch)
    # Where the buffer's size is written there is a directory.
    (tmp_path / "instance/buffer_size_kb").unlink()
    (tmp_path / "instance/buffer_size_kb").mkdir()
    with pytest.raises(ZsemuError, match="recording failed with status 2"):
        record(tmp_path, tmp_path / "out")
    assert_only_the_users_kprobe(tracefs)


def test_two_recordings_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _, tracefs = fake(tmp_path, OLD)
    act(tracefs, monkeypatch)
    held = os.open(tracefs, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ZsemuError, match="recording failed with status 1"):
            record(tmp_path, tmp_path / "out")
    finally:
        os.close(held)
    assert "another recording runs on this machine" in capfd.readouterr().err
    assert (tracefs / "kprobe_events").read_text() == "p:mine/zs_free zs_free\n"
    assert not (tmp_path / "out").exists()


def test_what_a_killed_recording_has_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tracefs = fake(tmp_path, OLD)
    act(tracefs, monkeypatch, TWO_EVENTS, hits=2)
    shutil.copytree(tmp_path / "instance", tracefs / "instances/zsemu")
    record(tmp_path, tmp_path / "out")
    assert_only_the_users_kprobe(tracefs)


STAND_INS = {
    # Ctrl-C ends it with a status of its own.
    "perf": """case $1 in
        record) while [ "$1" != -- ]; do shift; done; shift; "$@"; touch perf.data; exit 130;;
        script) [ -e perf.data ] && cat EXCERPTS/perf-script.txt
            [ "$2" != --show-lost-events ] || echo " a 7 [000] 99.5: PERF_RECORD_LOST lost 5";;
    esac""",
    # It leaves a file of that name in the folder in which it runs.
    "trace-cmd": """case $1 in
        record) while [ "$1" != sh ]; do shift; done; "$@"; touch trace.dat "(null).cpu0";;
        report) [ -e trace.dat ] && cat EXCERPTS/trace-cmd.txt;;
    esac""",
    "bpftrace": "cat EXCERPTS/bpftrace-hex.txt; echo Lost 5 events >&2",
}
"""By the name of each tool, a shell script that does what the recording depends on."""


def stand_in(folder: Path, tool: str, text: str) -> None:
    """Put a shell script beside those of :func:`act`, where it is found before the tool."""
    path = folder / "bin" / tool
    path.write_text("#!/bin/sh\n" + text.replace("EXCERPTS", shlex.quote(str(EXCERPTS))) + "\n")
    path.chmod(0o755)


@pytest.mark.parametrize("tool", STAND_INS)
def test_run_with_a_stand_in_for_the_tool(
    tmp_path: Path, tool: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _, tracefs = fake(tmp_path, OLD)
    act(tracefs, monkeypatch)
    stand_in(tmp_path, tool, STAND_INS[tool])
    output = tmp_path / "a folder" / "a name with spaces.txt"
    output.parent.mkdir()
    if tool == "trace-cmd":
        record(tmp_path, output, 0.1, tool)
    else:
        with pytest.raises(ZsemuError, match="recording failed with status 1"):
            record(tmp_path, output, 0.1, tool)

    said = capfd.readouterr().err
    assert "19 events in" in said
    # trace-cmd's excerpt has no lost events.
    assert ("events were lost; record again" in said) == (tool != "trace-cmd")
    if tool != "bpftrace":
        assert "recording; set up zram or zswap and run the workload now\n" in said
        assert_only_the_users_kprobe(tracefs)
    assert list(output.parent.iterdir()) == [output]
    trace, report = import_text(output)
    assert (report.events, report.imported) == (19, 5)
    assert trace.metadata.kernel == os.uname().release
    assert trace.page_size == os.sysconf("SC_PAGESIZE")
    lost = [entry for entry in report.entries if "lost" in entry.what]
    assert len(lost) == (tool != "trace-cmd")
    # bpftrace's times are in nanoseconds, and the recording says so.
    assert "kept" not in {entry.how for entry in report.entries}


@pytest.mark.parametrize("tool", STAND_INS)
def test_a_tool_that_fails(
    tmp_path: Path, tool: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _, tracefs = fake(tmp_path, OLD)
    act(tracefs, monkeypatch)
    stand_in(tmp_path, tool, "echo it is broken; exit 1")
    output = tmp_path / "a folder" / "out.txt"
    output.parent.mkdir()
    with pytest.raises(ZsemuError, match="recording failed with status 1"):
        record(tmp_path, output, None, tool)
    said = capfd.readouterr()
    assert "it is broken" in said.out + said.err + output.read_text()
    assert list(output.parent.iterdir()) == [output]
    if tool != "bpftrace":
        assert_only_the_users_kprobe(tracefs)


@pytest.mark.parametrize("seconds", [None, 2.5])
@pytest.mark.parametrize("tool", recorder.TOOLS)
def test_the_script_is_a_shell_script(tool: str, seconds: float | None) -> None:
    text = script(tool, [*NEW, *SG], Path("it's.txt"), seconds)
    assert text.startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    until = "exit(); }" if tool == "bpftrace" else "sleep 2.5"
    assert (until in text) == (seconds is not None)
    assert ("Ctrl-C ends it" in text) == (seconds is None)


@pytest.mark.external
@pytest.mark.parametrize("api", APIS)
def test_bpftrace_compiles_the_program(tmp_path: Path, api: str) -> None:
    text = script("bpftrace", APIS[api], tmp_path / "out", 2.5)
    (program,) = re.findall(r" bpftrace -e '\n(.*?)\n' ", text, re.DOTALL)
    command = [need("bpftrace", "bpftrace"), "--emit-elf", tmp_path / "elf", "-e", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # One section for each probe, and one for what ends it.
    sections = re.findall(rb"s_k(?:ret)?probe:zs_\w+", (tmp_path / "elf").read_bytes())
    assert len(set(sections)) == len(definitions(APIS[api]))
