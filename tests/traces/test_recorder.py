# SPDX-License-Identifier: GPL-2.0-only
"""The commands that record: chosen by what a kernel offers, run on a fake tracefs, imported."""

import re
import subprocess
from pathlib import Path

import pytest

from zsemu.errors import ZsemuError
from zsemu.traces import recorder
from zsemu.traces.importer import import_text
from zsemu.traces.probes import PROBES

OLD = ["zs_malloc", "zs_free", "zs_map_object", "zs_unmap_object"]
NEW = ["zs_malloc", "zs_free", "zs_obj_read_begin", "zs_obj_read_end", "zs_obj_write"]
SG = ["zs_obj_read_sg_begin", "zs_obj_read_sg_end"]
ARGUMENTS = ("$arg1", "$arg2", "$arg3", "$arg4")


def fake(folder: Path, functions: list[str], fetch: str = "$stack, $arg<N>,") -> tuple[Path, Path]:
    """Make a kallsyms and a tracefs; the instance's directory is there already."""
    kallsyms, tracefs = folder / "kallsyms", folder / "tracing"
    kallsyms.write_text(
        "ffffffff81000000 T _stext\n0000000000000000 A\n"
        + "".join(f"ffffffffc0400000 t {name}\t[zsmalloc]\n" for name in functions)
        + "ffffffffc0500000 r __ksymtab_zs_malloc\t[zsmalloc]\n"
    )
    events = tracefs / "instances/zsemu/events/zsemu"
    events.mkdir(parents=True)
    (tracefs / "README").write_text(f"fetcharg: {fetch}\n")
    (tracefs / "kprobe_events").write_text("")
    (tracefs / "instances/zsemu/trace_pipe").write_text("")
    return kallsyms, tracefs


def definitions(functions: list[str]) -> list[str]:
    return [recorder.definition(probe, ARGUMENTS) for probe in recorder.probes(functions)]


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


@pytest.mark.parametrize("functions", [OLD, NEW, [*NEW, *SG]], ids=["old", "new", "sg"])
def test_what_is_defined_is_what_the_importer_reads(tmp_path: Path, functions: list[str]) -> None:
    """Print each definition's event as the kernel would, and import it."""
    values = {"size": "100", "handle": "0xff10", "mode": "2", "mem_len": "100"}
    lines = []
    for number, text in enumerate(definitions(functions)):
        head, function, *arguments = text.replace(":u32", "").split()
        kind, event = head.split(":zsemu/")
        printed = " ".join(
            f"{name}={values[name]}" for name, _ in (word.split("=") for word in arguments)
        )
        where = f"{function}+0x0/0x10" if kind == "p" else f"zram_write+0x1/0x9 <- {function}"
        lines.append(f"  zram-7 [000] ...1. 1.00000{number}: {event}: ({where}) {printed}\n")
    # The free comes third in the table; it must be last in time.
    lines.append(lines.pop(2).replace("1.000002", "2.000000"))
    path = tmp_path / "text"
    path.write_text("".join(lines))
    trace, report = import_text(path)
    assert report.entries == ()
    assert report.events == len(definitions(functions))
    assert report.imported == {5: 1, 7: 2, 9: 3}[len(definitions(functions))]
    assert set(trace.length.tolist()) == {100}


def test_every_probe_of_the_importer_is_offered_to_some_kernel() -> None:
    offered = {
        probe for functions in (OLD, NEW, [*NEW, *SG]) for probe in recorder.probes(functions)
    }
    assert offered == set(PROBES)


def test_survey(tmp_path: Path) -> None:
    kallsyms, tracefs = fake(tmp_path, OLD)
    kernel = recorder.survey(kallsyms=kallsyms, tracefs=tracefs, machine="x86_64")
    assert kernel == recorder.Kernel(frozenset(OLD), ARGUMENTS, tracefs)


@pytest.mark.parametrize(
    ("machine", "second"),
    [
        ("x86_64", "%si"),
        ("i686", "%dx"),
        ("aarch64", "%x1"),
        ("armv7l", "%r1"),
        ("riscv64", "%a1"),
        ("riscv32", "%a1"),
    ],
)
def test_registers_where_there_is_no_arg_n(tmp_path: Path, machine: str, second: str) -> None:
    kallsyms, tracefs = fake(tmp_path, OLD, fetch="$stack<index>")
    kernel = recorder.survey(kallsyms=kallsyms, tracefs=tracefs, machine=machine)
    assert kernel.arguments[1] == second
    assert f"zs_free zs_free handle={second}" in recorder.script(kernel, Path("out"))


def test_an_unreadable_readme_means_arg_n(tmp_path: Path) -> None:
    kallsyms, tracefs = fake(tmp_path, OLD)
    (tracefs / "README").unlink()
    survey = recorder.survey
    assert survey(kallsyms=kallsyms, tracefs=tracefs, machine="aarch64").arguments == ARGUMENTS
    assert survey(kallsyms=kallsyms, tracefs=tracefs, machine="armv7l").arguments[0] == "%r0"


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ([], "has no zsmalloc; load it with: modprobe zsmalloc"),
        (["zs_malloc"], "has no zsmalloc"),
        (["zs_malloc", "zs_free", "zs_obj_write"], "neither zs_map_object nor zs_obj_read_begin"),
    ],
)
def test_kernels_that_do_not_do(tmp_path: Path, functions: list[str], message: str) -> None:
    kallsyms, tracefs = fake(tmp_path, functions)
    with pytest.raises(ZsemuError, match=message):
        recorder.survey(kallsyms=kallsyms, tracefs=tracefs, machine="x86_64")


def test_other_failures(tmp_path: Path) -> None:
    kallsyms, tracefs = fake(tmp_path, OLD, fetch="none")
    with pytest.raises(ZsemuError, match="registers of sparc64 are not known"):
        recorder.survey(kallsyms=kallsyms, tracefs=tracefs, machine="sparc64")
    with pytest.raises(ZsemuError, match="recording needs a Linux kernel"):
        recorder.survey(kallsyms=tmp_path / "none", tracefs=tracefs)


def test_run_on_a_fake_tracefs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kallsyms, tracefs = fake(tmp_path, OLD)
    instance = tracefs / "instances/zsemu"
    (instance / "trace_pipe").write_text(
        "  zram-7 [000] ...1. 1.000001: zs_malloc: (zs_malloc+0x0/0x9) size=10\n"
        "  zram-7 [000] ...1. 1.000002: zs_malloc_ret: (f+0x0/0x9 <- zs_malloc) handle=0x8\n"
    )
    output = tmp_path / "a name with spaces.txt"
    kernel = recorder.survey(kallsyms=kallsyms, tracefs=tracefs, machine="x86_64")
    recorder.run(recorder.script(kernel, output, seconds=0))

    written = (tracefs / "kprobe_events").read_text().splitlines()
    assert written[:5] == definitions(OLD)
    # All that was put up is taken down.
    assert written[5:] == [f"-:zsemu/{line.split()[0][8:]}" for line in definitions(OLD)]
    assert (instance / "tracing_on").read_text() == "0\n"
    assert (instance / "events/zsemu/enable").read_text() == "0\n"
    assert int((instance / "buffer_size_kb").read_text()) == recorder.BUFFER_KIB

    assert re.match(r"# zsemu: kernel=\S+ page_size=\d+\n", output.read_text())
    trace, report = import_text(output)
    assert trace.length.tolist() == [10]
    assert (report.events, report.entries) == (2, ())
    assert trace.metadata.kernel == output.read_text().split()[2].removeprefix("kernel=")
    assert "2 events in" in capfd.readouterr().err


def test_a_failing_command_takes_down_what_was_put_up(tmp_path: Path) -> None:
    kallsyms, tracefs = fake(tmp_path, OLD)
    # Where the buffer's size is written there is a directory.
    (tracefs / "instances/zsemu/buffer_size_kb").mkdir()
    kernel = recorder.survey(kallsyms=kallsyms, tracefs=tracefs, machine="x86_64")
    with pytest.raises(ZsemuError, match="recording failed with status"):
        recorder.run(recorder.script(kernel, tmp_path / "out", seconds=0))
    written = (tracefs / "kprobe_events").read_text().splitlines()
    assert [line.split()[0][:2] for line in written] == ["p:", "r:", "p:", "p:", "p:"] + ["-:"] * 5


@pytest.mark.parametrize("seconds", [None, 2.5])
def test_the_script_is_a_shell_script(tmp_path: Path, seconds: float | None) -> None:
    kallsyms, tracefs = fake(tmp_path, [*NEW, *SG])
    kernel = recorder.survey(kallsyms=kallsyms, tracefs=tracefs, machine="x86_64")
    text = recorder.script(kernel, Path("it's.txt"), seconds)
    assert text.startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    assert ("sleep 2.5\n" in text) == (seconds is not None)
    assert ("wait $reader" in text) == (seconds is None)
