# SPDX-License-Identifier: GPL-2.0-only
"""zsemu trace: its verbs on good and bad input, and what they leave on disk."""

import lzma
import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from zsemu.cli.trace import Tool, app
from zsemu.errors import ZsemuError
from zsemu.traces import file as trace_file
from zsemu.traces import recorder, supervisor

TEXT = """\
  zram-7 [000] ...1. 1.000001: zs_malloc: (zs_malloc+0x0/0x9) size=1632
  zram-7 [000] ...1. 1.000002: zs_malloc_ret: (f+0x0/0x9 <- zs_malloc) handle=0x8
  zram-7 [000] ...1. 1.000003: zs_map_object: (zs_map_object+0x0/0x9) handle=0x8 mode=2
  zram-7 [000] ...1. 1.000004: zs_unmap_object: (zs_unmap_object+0x0/0x9) handle=0x8
  zram-7 [000] ...1. 1.000005: zs_free: (zs_free+0x0/0x9) handle=0x10
"""


def run(*arguments: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def failure(result: Result) -> str:
    assert isinstance(result.exception, ZsemuError)
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_text(TEXT)
    return path


def test_import(recording: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.npz"
    result = run("import", recording, "-o", output, "--kernel", "6.1.7", "--provenance", "a test")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "5 lines, 5 events, 1 map/unmap pairs, 1 imported",
        "dropped 1: zs_free of an object of unknown length, allocated before the recording "
        "or in lost events (line 5)",
        f"2 operations written to {output}; kernel 6.1.7, geometry chain-4, page size 4096",
    ]
    loaded = trace_file.load(output)
    assert (loaded.name, loaded.metadata.kernel) == ("out", "6.1.7")
    assert loaded.metadata.provenance == "a test"
    assert list(loaded.metadata.notes) == result.stdout.splitlines()[:2]


def test_import_from_standard_input(recording: Path, tmp_path: Path) -> None:
    from_file = run("import", recording, "-o", tmp_path / "a.npz")
    for stdin in (TEXT.encode(), lzma.compress(TEXT.encode())):
        from_stdin = run("import", "-", "-o", tmp_path / "b.npz", stdin=stdin)
        assert from_stdin.stdout == from_file.stdout.replace("a.npz", "b.npz")
        assert (
            trace_file.load(tmp_path / "b.npz").digest()
            == trace_file.load(tmp_path / "a.npz").digest()
        )
    garbled = TEXT.replace("size=", "size:").encode()
    assert "-:1: expected 'zs_malloc" in failure(run("import", "-", "-o", "x", stdin=garbled))
    assert "-: none of its 0 lines is an" in failure(run("import", "-", "-o", "x"))


def test_import_says_that_the_unit_of_the_times_is_unknown(tmp_path: Path) -> None:
    counter = re.sub(r"1\.00000(\d):", r"\1:", TEXT).encode()
    result = run("import", "-", "-o", tmp_path / "a.npz", stdin=counter)
    said = "kept 5: time of a clock whose unit the recording does not tell (line 1, 2, 3, 4, 5)"
    assert said in result.stdout.splitlines()
    assert said in run("info", tmp_path / "a.npz").stdout.splitlines()


def test_import_says_that_the_geometry_is_a_guess(recording: Path, tmp_path: Path) -> None:
    guessed = run("import", recording, "-o", tmp_path / "a")
    assert "chain-4 is a guess" in guessed.stdout
    told = run("import", recording, "-o", tmp_path / "a", "--geometry", "chain-16")
    assert "guess" not in told.stdout
    assert trace_file.load(tmp_path / "a").metadata.geometry == "chain-16"


def test_a_failing_import_leaves_the_output_as_it_was(recording: Path, tmp_path: Path) -> None:
    recording.write_text(TEXT.replace("mode=2", "mode=x"))
    output = tmp_path / "out.npz"
    assert "in.txt:3: expected 'zs_map_object: (...) handle=N mode=N', not" in failure(
        run("import", recording, "-o", output)
    )
    assert list(tmp_path.iterdir()) == [recording]
    output.write_text("before")
    failure(run("import", recording, "-o", output))
    assert output.read_text() == "before"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--geometry", "chain-5"], "unknown geometry 'chain-5'"),
        (["--page-size", "1000"], "page size 1000 is not one of 4096, 16384, 65536"),
    ],
)
def test_import_with_bad_options(
    recording: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    assert message in failure(run("import", recording, "-o", tmp_path / "out", *options))
    assert list(tmp_path.iterdir()) == [recording]


def test_import_does_not_overwrite_the_recording(recording: Path) -> None:
    assert "is the recording itself" in failure(run("import", recording, "-o", recording))
    assert recording.read_text() == TEXT


def test_info(recording: Path, tmp_path: Path) -> None:
    run("import", recording, "-o", tmp_path / "mine.npz", "--kernel", "3.6")
    result = run("info", tmp_path / "mine.npz")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert result.stdout.startswith("mine: kernel 3.6, geometry 2012, page size 4096\n")
    assert ["write", "1", "100.0", "%"] in lines
    assert ["allocate", "1"] in lines
    assert ["1537", "to", "2048", "1", "100.0", "%"] in lines
    # The first object of a class never spans.
    assert ["2012", "(recorded)", "0", "0.0", "%", "0", "0.0", "%", "0"] in lines
    assert "\x1b" not in result.stdout


def test_info_of_a_committed_trace_is_given_by_name() -> None:
    result = run("info", "zsmapbench")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["update", "1000", "100.0", "%"] in lines
    assert ["2012", "(recorded)", "1", "33.3", "%", "1000", "100.0", "%", "0"] in lines


def test_info_of_what_is_no_trace(recording: Path) -> None:
    assert "one of compile-zstd, numpy-16k, redis-zswap, sqlite-lzo-rle, zsmapbench" in failure(
        run("info", "none")
    )
    assert "in.txt: not a trace file" in failure(run("info", recording))


def kernel(tmp_path: Path) -> list[str]:
    names = ["zs_malloc", "zs_free", "zs_map_object", "zs_unmap_object"]
    (tmp_path / "kallsyms").write_text("".join(f"0 T {name}\n" for name in names))
    (tmp_path / "README").write_text("$arg<N>")
    return ["--kallsyms", str(tmp_path / "kallsyms"), "--tracefs", str(tmp_path)]


def test_record_runs_what_it_would_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, str]] = []
    monkeypatch.setattr(supervisor, "run", lambda *scripts: ran.append(scripts))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    options = ["-o", tmp_path / "out", *kernel(tmp_path), "--seconds", "3", "--buffer", "640"]
    printed = run("record", *options, "--script")
    assert printed.exit_code == 0
    assert not ran
    assert "zs_map_object handle=$arg2 mode=$arg3:u32" in printed.stdout
    assert "echo 640 > instances/zsemu/buffer_size_kb" in printed.stdout
    assert run("record", *options).exit_code == 0
    ((script, removal),) = ran
    assert script == printed.stdout
    assert "echo '-:zsemu/zs_malloc' >> kprobe_events" in removal


@pytest.mark.parametrize("tool", Tool)
def test_record_with_another_tool(tmp_path: Path, tool: Tool) -> None:
    printed = run("record", *kernel(tmp_path), "--tool", tool, "--script").stdout
    assert f"output={Path.cwd()}/zsmalloc.{tool}.txt\n" in printed
    commands = {
        Tool.FTRACE: "trace_pipe >> ",
        Tool.PERF: "exec perf record ",
        Tool.TRACE_CMD: "exec trace-cmd record ",
        Tool.BPFTRACE: " bpftrace -e '",
    }
    assert {name for name, command in commands.items() if command in printed} == {tool}


def test_each_tool_can_be_asked_for() -> None:
    assert set(Tool) == set(recorder.TOOLS)


def test_record_needs_root_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "needs root" in failure(run("record", *kernel(tmp_path)))


def test_record_without_zsmalloc(tmp_path: Path) -> None:
    (tmp_path / "kallsyms").write_text("0 T _stext\n")
    message = failure(run("record", "--kallsyms", tmp_path / "kallsyms"))
    assert "modprobe zsmalloc" in message
