# SPDX-License-Identifier: GPL-2.0-only
"""The command line from outside: exit status, streams, files, signals.

The file is long because each verb has to pass the same tests.
"""

import csv
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from processes import ZSEMU, alive, on_terminal, until
from samples import busy_trace

from zsemu.cli import main
from zsemu.cli.app import app
from zsemu.counts import LIMITS, NOT_CYCLES
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import known as known_targets
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.paths import cache as usual_cache
from zsemu.reports import break_even_text, details_text, glance_text
from zsemu.reports.matrix import Matrix
from zsemu.results.document import load
from zsemu.traces import file as trace_file

BAD_C = {
    "broken.c": "int wrong(void) { return nothing; }\n",
    "half.c": '#include "zs.h"\n'
    "u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,"
    "\n\tenum zs_mapmode mode, void *caller, struct zs_span *span)\n{\n"
    "\treturn zs_one_span(span, zs_payload(loc), loc);\n}\n",
    "empty.c": "",
    "promise.c": "/*\n * Mine.\n * Promises: everything\n */\n",
}


@pytest.fixture(autouse=True)
def _keep_handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go where a short trace is, and things that are no trace and no strategy."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    short = tmp_path / "short.npz"
    trace_file.save(busy_trace(300), short)
    (tmp_path / "empty.npz").touch()
    (tmp_path / "cut.npz").write_bytes(short.read_bytes()[:-100])
    (tmp_path / "text.npz").write_text("zs_malloc: size=59\n")
    np.savez(tmp_path / "other.npz", operation=np.zeros(3))
    (tmp_path / "directory.npz").mkdir()
    for name, text in BAD_C.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def files(directory: Path) -> dict[str, bytes | None]:
    """Return every file below a directory, and what it holds."""
    return {
        str(path): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")
    }


SHORT = ("compare", "--trace", "short.npz", "--arch", "arm")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--arch", "mips"), "'mips'.*x86_64, x86_64-movsb, .*i386, aarch64, arm, "),
        (("--strategy", "copie"), "'copie'.*pgtable, copy, copy-modes, .*C file"),
        (("--strategy", "none.c"), "none.c: no such C file"),
        (("--strategy", "./directory.npz"), "no such C file"),
        (("--strategy", "copy,nope"), "'nope'"),
        (("--strategy", "broken.c"), "broken.c.*does not compile for arm"),
        (("--strategy", "half.c"), "half.c: does not define zs_unmap_object"),
        (("--strategy", "empty.c"), "empty.c.*zs_map_object"),
        (("--strategy", "promise.c"), "promise.c: promises 'everything'"),
        (("--relative-to", "nope"), "'nope'"),
        (("--trace", "nope"), "nope: no such trace.*compile-zstd"),
        (("--trace", "empty.npz"), "empty.npz: empty"),
        (("--trace", "cut.npz"), "cut.npz: truncated"),
        (("--trace", "text.npz"), "text.npz: not a trace file"),
        (("--trace", "other.npz"), "other.npz: .*not a trace file"),
        (("--trace", "directory.npz"), "directory.npz: no such trace"),
        (("--geometry", "chain-5"), "'chain-5'.*2012, chain-4, chain-8, chain-16"),
        (("--page-size", "5000"), "5000.*4096, 16384, 65536"),
        (("--page-size", "16384"), "pgtable maps pages, and arm has no"),
        (("--page-size", "big"), "'--page-size'.*see: zsemu compare --help"),
        (("--operations", "1"), "map nothing"),
        (("--operations", "0"), "'--operations'"),
        (("--jobs", "0"), "'--jobs'"),
        (("--cc", "tcc"), "'tcc'.*zig, gcc, clang"),
        (("--count", "loads"), "'loads'.*'bytes', 'instructions'"),
        (("--count", "bytes", "--details"), "--count bytes: .*leave one of them out"),
        (("--count", "bytes", "--format", "csv"), "--count bytes: .*leave one of them out"),
        (("--break-even", "--count", "bytes"), "--break-even: .*leave --count, --regions"),
        (("--break-even", "--regions"), "--break-even: a table of its own"),
        (("--break-even", "--format", "csv"), "--break-even: .*csv and json out"),
        (("--format", "xml"), "'xml'.*'table', 'markdown', 'csv', 'json'"),
        (("--json", "none/out.json"), "none/out.json"),
        (("--json", "directory.npz"), "directory.npz"),
        (("--nonsense",), "--nonsense"),
        (("stray",), "stray"),
    ],
)
def test_bad_use(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    before = files(place)
    # The last of two equal options counts.
    asked = () if "--json" in arguments else ("--json", "out.json")
    assert main([*SHORT, *asked, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    first, *detail = err.rstrip("\n").split("\n")
    assert re.match(f"zsemu: .*{says}", first), first
    # Only a compiler has more to say.
    assert bool(detail) == ("compile for" in first or "does not define" in first)
    assert "Traceback" not in err
    assert files(place) == before


@pytest.mark.parametrize("arguments", [(), ("trace",)])
def test_no_verb_prints_help(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Usage: zsemu")


def test_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["comapre"]) == 2
    assert re.fullmatch(r"zsemu: .*'comapre'.*\n", capsys.readouterr().err)


def verbs() -> dict[str, Any]:
    """Return every command, by what is typed behind zsemu."""
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = [("", typer.main.get_command(app))]
    for name, command in waiting:
        if hasattr(command, "commands"):
            waiting += [(f"{name} {each}".strip(), one) for each, one in command.commands.items()]
        else:
            found[name] = command
    return found


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_has_an_example_that_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*verb.split(), "--help"]) == 0
    out = capsys.readouterr().out
    # In one line, which can be pasted.
    (line,) = re.findall(rf"^  Example: zsemu {verb}\b(.*)$", out, re.MULTILINE)
    words = shlex.split(line.partition(" | ")[0])
    verbs()[verb].make_context(verb, list(words))
    with pytest.raises(typer.TyperException, match="--nonsense"):
        verbs()[verb].make_context(verb, [*words, "--nonsense"])


def test_same_bytes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs, one of them with one process; options repeated, and with commas."""
    one = ["compare", "--trace", "short.npz", "--arch", "arm,x86_64", "--strategy", "swap,sg"]
    two = ["compare", "--trace", "short.npz", "--arch", "arm", "--arch", "x86_64"]
    two += ["--strategy", "swap", "--strategy", "sg", "--jobs", "1"]
    pages = []
    for number, arguments in enumerate((one, two)):
        assert main([*arguments, "--json", f"{number}.json", "--details"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        pages.append(out)
    assert (place / "0.json").read_bytes() == (place / "1.json").read_bytes()
    assert pages[0] == pages[1]
    made = load(place / "0.json")
    # What ratios are to runs unasked.
    assert [(r.arch, r.strategy) for r in made.records] == [
        (arch, name) for arch in ("arm", "x86_64") for name in ("copy", "swap", "sg")
    ]
    assert made.intact
    assert pages[0].count("intact") == 2 * 6
    assert LIMITS in " ".join(pages[0].split())


@pytest.mark.usefixtures("in_process")
def test_at_a_glance_and_in_detail(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*SHORT, "--strategy", "sg,copy", "--json", "out.json"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    matrix = Matrix(load(place / "out.json"), "copy")
    assert out == glance_text.text(matrix, count="bytes", width=80)
    assert "--details" in out and "\nbytes of map + access + unmap, ratio to copy\n" in out
    assert main([*arguments, "--count", "instructions"]) == 0
    assert capsys.readouterr().out == glance_text.text(matrix, count="instructions", width=80)
    assert main([*arguments, "--format", "markdown", "--count", "instructions"]) == 0
    assert capsys.readouterr().out == glance_text.markdown(matrix, count="instructions")
    for asked, split in ((["--details"], False), (["--regions"], True)):
        assert main([*arguments, *asked]) == 0
        assert capsys.readouterr().out == details_text.text(
            matrix.document, relative_to="copy", width=80, split=split
        )


@pytest.mark.usefixtures("in_process")
def test_break_even(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*SHORT, "--strategy", "pgtable,copy", "--json", "out.json", "--break-even"]
    for details in (False, True):
        asked = [*arguments, *(["--details"] if details else [])]
        assert main(asked) == 0
        out, err = capsys.readouterr()
        assert err == ""
        matrix = Matrix(load(place / "out.json"), "copy")
        assert out == break_even_text.text(matrix, width=80, details=details)
        assert "\nbreak-even of pgtable, " in out
        assert main([*asked, "--format", "markdown"]) == 0
        assert capsys.readouterr().out == break_even_text.markdown(matrix, details=details)


@pytest.mark.usefixtures("in_process")
def test_operations_and_geometry(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*SHORT, "--strategy", "copy", "--operations", "120", "--geometry", "2012"]
    assert main([*arguments, "--json", "out.json"]) == 0
    (record,) = load(place / "out.json").records
    assert (record.operations, record.geometry) == (120, "2012")
    assert "120 operations; geometry 2012" in capsys.readouterr().out
    assert main([*SHORT, "--strategy", "copy", "--json", "all.json"]) == 0
    (record,) = load(place / "all.json").records
    assert (record.operations, record.geometry) == (len(busy_trace(300)), "chain-8")


@pytest.mark.usefixtures("in_process")
def test_warning_goes_to_stderr(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHORT, "--strategy", "sg,copy", "--page-size", "16384"]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"zsemu: warning: .*4096.*16384\n", err)
    assert "16 KiB pages" in out and "warning" not in out


@pytest.mark.usefixtures("in_process")
def test_formats(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*SHORT, "--strategy", "copy", "--json", "out.json"]
    assert main([*arguments, "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert out == (place / "out.json").read_text()
    assert NOT_CYCLES in err and err.count("\n") < 5
    data = json.loads(out)
    assert data["records"][0]["counts"]["map"]["total"]["regions"]["pool"]["loads"] > 0

    assert main([*arguments, "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    assert NOT_CYCLES in err and "flags: " not in err
    assert len(rows) == 4 * 5
    entry = load(place / "out.json").records[0]
    loaded = [r["regions.pool.bytes_loaded"] for r in rows if r["phase"] == "map"]
    assert int(loaded[0]) == entry.sum("regions.pool.bytes_loaded", "total", ("map",)) > 0

    assert main([*arguments, "--format", "csv", "--details"]) == 0
    again, err = capsys.readouterr()
    assert again == out and LIMITS in " ".join(err.split()) and "flags: " in err

    assert main([*arguments, "--format", "markdown"]) == 0
    assert capsys.readouterr().out.count("\n| copy ") == 1
    assert main([*arguments, "--format", "markdown", "--details"]) == 0
    assert capsys.readouterr().out.count("\n| copy ") == 2
    assert main([*arguments, "--format", "markdown", "--regions"]) == 0
    assert capsys.readouterr().out.count("\n| copy ") == 5


@pytest.mark.usefixtures("in_process")
def test_endless_loop_is_a_violation(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = strategy("sg").path.read_text()
    (place / "loop.c").write_text(text.replace("{\n", '{\n\tfor (;;)\n\t\tasm volatile("");\n', 1))
    assert "for (;;)" in (place / "loop.c").read_text()
    assert main([*SHORT, "--strategy", "loop.c", "--json", "out.json"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    good, bad = load(place / "out.json").records
    assert good.intact and bad.strategy == "loop.c" and bad.counts is None
    assert [violation.kind for violation in bad.violations] == ["endless loop"]
    assert re.search(r"\nloop.c +BROKEN\n", out)
    assert "\nBROKEN: loop.c on arm: endless loop\n" in out
    told = r"(?m)^arm loop.c: endless loop: operation \d+ .*zs_map_object\+0x"
    assert re.search(told, out)

    assert main([*SHORT, "--strategy", "loop.c", "--details"]) == 1
    out = capsys.readouterr().out
    assert re.search(r"\nloop.c +1 violation .*BROKEN\n", out) and re.search(told, out)

    for asked in ((), ("--details",)):
        assert main([*SHORT, "--strategy", "loop.c", "--format", "csv", *asked]) == 1
        assert re.search(told, capsys.readouterr().err)


@pytest.mark.usefixtures("in_process")
def test_own_strategy_from_anywhere(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "mine.c").write_text(strategy("swap-min").path.read_text())
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    arguments = ["compare", "--trace", "../short.npz", "--arch", "riscv32"]
    assert main([*arguments, "--strategy", "../mine.c", "--relative-to", "../mine.c"]) == 0
    assert "\nmine.c " in capsys.readouterr().out
    assert main([*arguments, "--strategy", "sg", "--relative-to", "../mine.c"]) == 0
    out = capsys.readouterr().out
    assert ", ratio to mine.c\n" in out
    assert "\nmine.c " in out and "\nsg " in out and "\ncopy " not in out


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in target_names():
        assert re.search(rf"\n  {name} +{re.escape(target(name).description)}", out)
    for name in strategy_names():
        assert re.search(rf"\n  {name} +{re.escape(strategy(name).summary[:40])}", out)
    assert out.count("promises: ") == len(strategy_names())
    for name in trace_file.names():
        assert f"\n  {name} " in out
    assert all(len(line) <= 80 for line in out.split("\n"))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^zsemu \d", out) and "\ncompiler zig " in out and "\nUnicorn 2." in out
    for name in target_names():
        assert re.search(rf"\n +{name} +{target(name).cpu_model}\n", out)


@pytest.mark.usefixtures("in_process")
def test_quiet(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (*SHORT, "--strategy", "sg,copy", "--page-size", "16384")
    for asked in ((), ("--format", "csv")):
        assert main([*arguments, *asked]) == 0
        loud = capsys.readouterr()
        assert "warning" in loud.err
        for option in ("-q", "--quiet"):
            assert main([option, *arguments, *asked]) == 0
            assert capsys.readouterr() == (loud.out, "")
    # What is wrong is said all the same, and the next run is as loud as ever.
    assert main(["-q", *SHORT, "--strategy", "nope"]) == 2
    assert "'nope'" in capsys.readouterr().err
    assert main(list(arguments)) == 0
    assert "warning" in capsys.readouterr().err


def test_quiet_and_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", "-v", "list"]) == 2
    assert capsys.readouterr() == ("", "zsemu: --quiet and --verbose: choose one\n")


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("zsemu comp", ["compare"]),
        ("zsemu trace i", ["import", "info"]),
        ("zsemu compare --relat", ["--relative-to"]),
        ("zsemu compare --arch ", list(known_targets())),
        ("zsemu compare --arch ar", ["arm"]),
        ("zsemu doctor --arch arm,riscv64,r", ["arm,riscv64,riscv32"]),
        ("zsemu check --arch arm --arch i", ["i386"]),
        ("zsemu sweep -o x --arch aa", ["aarch64"]),
        ("zsemu compare --strategy swap-", ["swap-min", "swap-lazy"]),
        ("zsemu compare --strategy copy,h", ["copy,half.c"]),
        ("zsemu compare --strategy ./h", ["./half.c"]),
        ("zsemu check copy sg b", ["broken.c"]),
        ("zsemu check zsm", ["zsmalloc.ko", "zsmalloc.o"]),
        ("zsemu compare --relative-to pg", ["pgtable"]),
        ("zsemu compare --trace sq", ["sqlite-lzo-rle"]),
        ("zsemu trace info z", ["zsmapbench"]),
        ("zsemu compare --geometry chain-1", ["chain-16"]),
        ("zsemu check --geometry 2012,c", ["2012,chain-4", "2012,chain-8", "2012,chain-16"]),
        ("zsemu compare --format m", ["markdown"]),
        # Nothing: then the shell completes files.
        ("zsemu diff ou", []),
        ("zsemu compare --trace ./sh", []),
    ],
)
def test_completion(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    becomes: list[str],
) -> None:
    """What bash is told that the last word of a command line may become."""
    (place / "zsmalloc.o").touch()
    (place / "zsmalloc.ko").touch()
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    monkeypatch.setenv("_ZSEMU_COMPLETE", "complete_bash")
    with pytest.raises(SystemExit) as caught:
        main([])
    assert (caught.value.code, capsys.readouterr().out.split()) == (0, becomes)


@pytest.mark.external
def test_completion_in_bash(place: Path) -> None:
    script = """
        eval "$(zsemu --show-completion)"
        COMP_WORDS=(zsemu compare --arch i386,ri) COMP_CWORD=3
        _zsemu_completion zsemu
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    where = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": where, "HOME": str(place)},
    )
    assert (done.stdout.split(), done.stderr) == (["i386,riscv64", "i386,riscv32"], "")


# With processes of their own.


def start(*arguments: str, **more: str) -> subprocess.Popen[str]:
    """Start zsemu as a shell would."""
    return subprocess.Popen(
        [*ZSEMU, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **more},
    )


def descendants(pid: int) -> dict[int, str]:
    """Return the processes below one, and their command lines."""
    below: dict[int, str] = {}
    parents = {pid}
    while parents:
        children = set()
        for path in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                command = (path / "cmdline").read_text().replace("\0", " ")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent in parents:
                children.add(int(path.name))
                below[int(path.name)] = command
        parents = children
    return below


def workers(pid: int) -> list[int]:
    """Return the worker processes of zsemu."""
    return [child for child, command in descendants(pid).items() if "spawn_main" in command]


def running(pid: int) -> bool:
    """Say whether two workers have used so much time that they are replaying."""
    ticks = []
    for child in workers(pid):
        stat = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        ticks.append(int(stat[11]))
    return len(ticks) == 2 and min(ticks) > 0.8 * os.sysconf("SC_CLK_TCK")


LONG = ("compare", "--trace", "redis-zswap", "--arch", "riscv32", "--jobs", "2")


@pytest.mark.parametrize(
    ("number", "status", "says"),
    [(signal.SIGINT, 130, "zsemu: interrupted\n"), (signal.SIGTERM, 143, "")],
)
def test_signals_end_it_all(place: Path, number: int, status: int, says: str) -> None:
    before = files(place)
    process = start(*LONG, "--json", "out.json")
    until(lambda: running(process.pid), "two workers at work")
    below = descendants(process.pid)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (status, "", says)
    until(lambda: not any(map(alive, below)), "their end")
    assert files(place) == before


def test_interrupted_while_compiling(place: Path) -> None:
    cache = place / "cache"
    (place / "mine.c").write_text(strategy("copy").path.read_text())
    process = start(*SHORT, "--strategy", "mine.c", ZSEMU_CACHE=str(cache))

    def compiling() -> dict[int, str]:
        commands = descendants(process.pid).items()
        return {pid: command for pid, command in commands if "zig" in command and ".c" in command}

    until(lambda: bool(compiling()), "a compiler")
    below = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "zsemu: interrupted\n")
    until(lambda: not any(map(alive, below)), "their end")
    assert [path.name for path in (cache / "images").glob(".*")] == []


def test_killed_worker(place: Path) -> None:
    process = start(*LONG, "--json", "out.json")
    until(lambda: running(process.pid), "two workers at work")
    below = descendants(process.pid)
    os.kill(workers(process.pid)[0], signal.SIGKILL)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (2, "")
    assert re.fullmatch(r"zsemu: riscv32 [\w-]+: .*killed by SIGKILL.*memory.*--jobs.*\n", err)
    until(lambda: not any(map(alive, below)), "their end")
    assert not (place / "out.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        (*SHORT, "--strategy", "copy"),
        ("check", "sg", "--arch", "arm", "-k", "16 KiB"),
        ("doctor", "--arch", "arm"),
        ("list",),
        ("--version",),
        ("trace", "info", "zsmapbench"),
        ("trace", "synth", "zsmapbench", "-o", "made.npz"),
    ],
    ids=" ".join,
)
def test_nobody_reads_the_output(place: Path, arguments: tuple[str, ...]) -> None:
    process = start(*arguments)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 128 + signal.SIGPIPE


def test_verbose(place: Path) -> None:
    """The commands of a run with nothing compiled yet, pasted, compile the same once more."""
    cache = place / "cache"
    # zig's own cache has what it compiles once on a machine: parts of the C library.
    cache.mkdir()
    (cache / "zig").symlink_to(usual_cache() / "zig")
    process = start("-v", *SHORT, "--strategy", "copy", ZSEMU_CACHE=str(cache))
    out, err = process.communicate()
    assert process.returncode == 0 and "intact" in out
    lines = err.splitlines()
    made = {
        path: path.read_bytes()
        for folder in ("hooks", "images")
        for path in (cache / folder).iterdir()
    }
    assert len(lines) == len(made) == 5
    for line in lines:
        path = Path(shlex.split(line)[-1])
        path.unlink()
        environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(cache / "zig")}
        subprocess.run(line, shell=True, check=True, env=environment)
        assert path.read_bytes() == made.pop(path)
    assert made == {}

    process = start("--verbose", *SHORT, "--strategy", "copy", ZSEMU_CACHE=str(cache))
    again, err = process.communicate()
    (image,) = cache.glob("images/arm-copy-*.elf")
    assert (again, err) == (out, f"# cached: {image}\n")


def test_terminal(place: Path) -> None:
    screen = on_terminal(*SHORT, "--strategy", "copy,sg")
    assert "replaying" in screen and "arm copy" in screen
    # The fewest are set off, and what is right.
    assert re.search(r"\x1b\[1m0\.\d\d\*", screen) and "\x1b[32mintact" in screen
    screen = on_terminal(*SHORT, "--strategy", "copy", "--details")
    assert "\x1b[32mintact" in screen
    # Both scopes side by side.
    assert re.search(r"all \d+ maps.* spanning maps", screen)
    plain = on_terminal(*SHORT, "--strategy", "copy", NO_COLOR="1")
    assert "intact" in plain and not re.search(r"\x1b\[[0-9;]*3\d[m;]", plain)


def test_terminal_without_a_bar(place: Path) -> None:
    for option in ("-q", "-v"):
        screen = on_terminal(option, *SHORT, "--strategy", "copy")
        assert "intact" in screen and "replaying" not in screen and "arm copy" not in screen


@pytest.mark.parametrize(
    "arguments",
    [(*SHORT, "--strategy", "copy"), ("trace", "info", "zsmapbench"), ("list",), ("--help",)],
    ids=" ".join,
)
def test_pipe_is_clean(place: Path, arguments: tuple[str, ...]) -> None:
    """Also where a CI service would like colours."""
    process = start(*arguments, COLUMNS="80", FORCE_COLOR="1", CLICOLOR_FORCE="1")
    out, err = process.communicate()
    assert process.returncode == 0 and err == ""
    assert "\x1b" not in out and "\r" not in out
    # No wider than asked for, but for what cannot be wrapped.
    assert arguments[0] == "trace" or max(map(len, out.split("\n"))) <= 84
