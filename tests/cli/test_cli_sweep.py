# SPDX-License-Identifier: GPL-2.0-only
"""zsemu sweep from outside: exit status, streams, files, and what is left after a signal."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import until
from samples import busy_trace

from zsemu.cli import main
from zsemu.guest.strategies import strategy
from zsemu.results.document import load
from zsemu.traces import file as trace_file

# Where the tests run in the background of a shell, Ctrl-C is ignored unless this is said.
ZSEMU = (
    sys.executable,
    "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from zsemu.cli import main; sys.exit(main())",
)
SHORT = ("sweep", "--trace", "short.npz", "--arch", "arm", "-o", "out", "--jobs", "1")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go where a short trace is."""
    monkeypatch.chdir(tmp_path)
    trace_file.save(busy_trace(300), tmp_path / "short.npz")
    (tmp_path / "broken.c").write_text("int wrong(void) { return nothing; }\n")
    (tmp_path / "file").touch()
    return tmp_path


def test_sweep(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ("--page-size", "4096", "--page-size", "16384")
    asked = (*SHORT, "--strategy", "copy,pgtable", *sizes, "--optimisation", "O2,Os")
    names = [
        f"out/short-zig-{level}-chain-8-{size}.json"
        for level in ("O2", "Os")
        for size in (4096, 16384)
    ]
    assert main(asked) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == ["6 cells: 6 computed, 0 there before", *names, "out/sweep.csv"]
    left_out, misleading = err.splitlines()
    assert left_out == (
        "zsemu: warning: left out: pgtable maps pages, and these have none of 16384 bytes: arm"
    )
    assert "16384" in misleading
    assert {p.name for p in Path("out").iterdir()} == {
        "cells",
        "sweep.csv",
        *(Path(name).name for name in names),
    }
    assert [len(load(Path(name)).records) for name in names] == [2, 1, 2, 1]
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    assert main(asked) == 0
    assert capsys.readouterr().out.startswith("6 cells: 0 computed, 6 there before\n")
    assert {p: p.read_bytes() for p in Path("out").rglob("*") if p.is_file()} == before


def test_violation(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = strategy("copy").path.read_text()
    Path("mine.c").write_text(text.replace("area->buffer + first,", "area->buffer,"))
    assert main([*SHORT, "--strategy", "copy,mine.c"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 cells: 2 computed, 0 there before"
    says = r"BROKEN: arm mine\.c zig O2 chain-8 4096: \d+ violations?, first .*wrong bytes.*"
    assert re.fullmatch(says, lines[1])
    assert lines[2:] == ["out/short-zig-O2-chain-8-4096.json", "out/sweep.csv"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--arch", "mips"), "'mips'"),
        (("--strategy", "copie"), "'copie'"),
        (("--strategy", "broken.c"), r"broken\.c:1: does not compile for arm"),
        (("--trace", "nope"), "nope: no such trace"),
        (("--geometry", "chain-8,chain-5"), "chain-5; .*chain-16"),
        (("--page-size", "4096,big"), "not bytes: choose 4096, 16384 or 65536"),
        (("--page-size", "5000"), "5000; .*65536"),
        (("--cc", "zig,tcc"), "tcc; .*zig, gcc, clang"),
        (("--optimisation", "O7"), "O7; .*O0, O1, O2, O3, Os"),
        (("--operations", "1"), "map nothing"),
        (("--strategy", "pgtable", "--page-size", "65536"), "nothing is left to compute"),
        (("-o", "file"), "file"),
        (("--jobs", "0"), "'--jobs'"),
        (("--cluster", "nonsense://x"), "nonsense://x: no Dask scheduler answers"),
    ],
)
def test_bad_use(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert main([*SHORT, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    first, *detail = err.rstrip("\n").split("\n")
    assert re.match(f"zsemu: .*{says}", first), first
    assert bool(detail) == ("compile for" in first)
    assert [path for path in Path("out").rglob("*") if path.is_file()] == []


def test_output_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep"]) == 2
    assert "'--output'" in capsys.readouterr().err


def test_missing_extra_is_named(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "zsemu.runs.cluster", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main([*SHORT, "--cluster", "tcp://127.0.0.1:8786"]) == 2
    err = capsys.readouterr().err
    assert "pip install 'zsemu[cluster]'" in err and len(err.splitlines()) == 1
    assert not Path("out").exists()


def session(leader: int) -> list[int]:
    """Return the processes of a session, zombies apart."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


LONG = ("sweep", "--trace", "short.npz", "--arch", "arm,x86_64")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, bytes]:
    """The files of a sweep that nothing has interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        trace_file.save(busy_trace(300), folder / "short.npz")
        assert main([*LONG, "-o", "out", "--jobs", "1"]) == 0
        return {path: path.read_bytes() for path in Path("out").rglob("*.*")}


@pytest.mark.xdist_group("interrupted")
@pytest.mark.parametrize("how", ["ctrl-c", "terminated", "killed"])
def test_interrupted(
    place: Path, how: str, whole: dict[Path, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing computed is lost, nothing goes on, and the next run gives the same bytes."""
    total = 16

    def there() -> int:
        return len(list(Path("out/cells").glob("[a-z]*.json")))

    with subprocess.Popen(
        [*ZSEMU, *LONG, "-o", "out", "--jobs", "2"],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until(lambda: there() >= 2, "two cells")
        if how == "ctrl-c":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGTERM if how == "terminated" else signal.SIGKILL)
        status = process.wait()
        until(lambda: session(process.pid) == [], "all processes gone")
        out, err = process.communicate()
    assert status == {"ctrl-c": 130, "terminated": 143, "killed": -signal.SIGKILL}[how]
    assert out == "" and "Traceback" not in err
    if how != "killed":  # Then joblib's own processes say what they clear away.
        assert err == ("zsemu: interrupted\n" if how == "ctrl-c" else "")
    kept = there()
    assert 2 <= kept < total
    assert not list(Path("out").glob("*.*"))
    capsys.readouterr()
    assert main([*LONG, "-o", "out", "--jobs", "1"]) == 0
    first = f"{total} cells: {total - kept} computed, {kept} there before"
    assert capsys.readouterr().out.splitlines()[0] == first
    for path, content in whole.items():
        assert path.read_bytes() == content
