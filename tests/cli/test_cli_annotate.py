# SPDX-License-Identifier: GPL-2.0-only
"""zsemu annotate from the command line, and one instruction more from diff to annotate."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from faulty import FAULTY
from processes import on_terminal
from samples import busy_trace

from zsemu.cli import main
from zsemu.counts import LIMITS
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names as target_names
from zsemu.results.document import load
from zsemu.traces import file as trace_file

TRACE = busy_trace(400)
UNMAP = "	if (zs_spans(loc))\n		exchange(loc);\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go where there is a short trace."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    trace_file.save(TRACE, tmp_path / "t.npz")
    return tmp_path


def annotate(*arguments: str) -> int:
    return main(["annotate", *arguments])


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what is printed, which nothing on stderr is."""
    assert annotate(*arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shown(capsys, *arguments, "--format", "json"))
    return found


# --- From diff to the instruction --------------------------------------------------------------


def test_one_instruction_more(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It fails the diff, which names cell and phase; annotate points at it, and at nothing else."""
    text = strategy("swap").path.read_text()
    assert text.count(UNMAP) == 1
    # At the start, where the compiler has read nothing yet that it would read once more.
    changed = f'	asm volatile("nop");\n{UNMAP}'
    for folder, version in (("old", text), ("new", text.replace(UNMAP, changed))):
        (place / folder).mkdir()
        (place / folder / "mine.c").write_text(version)
        file = f"{folder}/mine.c"
        compare = ["compare", "--trace", "t.npz", "--strategy", file, "--relative-to", file]
        assert main([*compare, "--json", f"{folder}.json"]) == 0
    records = load(place / "new.json").records
    assert [record.arch for record in records] == list(target_names())
    capsys.readouterr()

    assert main(["diff", "old.json", "new.json"]) == 3
    said = capsys.readouterr().out
    for record in records:
        arch, maps = record.arch, record.maps
        block = said.split(f"{arch} mine.c t\n")[1].split("\n\n")[0]
        (row,) = [line for line in block.split("\n") if "REGRESSION" in line]
        assert row.split()[:2] == ["unmap", "instructions"]

        arguments = ["old/mine.c", "--arch", arch, "--trace", "t.npz", "--against", "new/mine.c"]
        found = as_json(capsys, *arguments)
        ((function, pair),) = [
            (name, pair)
            for name, pairs in found["alignment"].items()
            for pair in pairs
            if pair["mark"] != " "
        ]
        assert (function, pair["mark"], pair["left"]) == ("zs_unmap_object", ">", None)
        old, new = found["listings"]
        (right,) = [one for one in new["functions"] if one["name"] == function]
        (nop,) = [one for one in right["instructions"] if one["offset"] == pair["right"]]
        assert re.fullmatch(r"(c\.)?nop", nop["text"])
        assert nop["executions"] == maps
        assert (nop["file"], nop["source"]) == ("mine.c", 'asm volatile("nop");')
        rise = [one["counts"]["unmap"]["instructions"] for one in (new, old)]
        assert rise[0] - rise[1] == maps

    # For reading, on the last of them: this instruction below its line, and no other.
    page = shown(capsys, *arguments, "--hot")
    source, line = page.split("   at\n")[1].split("\n\n")[0].split("\n")
    assert re.fullmatch(r"\+ mine\.c:\d+: asm volatile\(.nop.\);", source)
    where = f"zs_unmap_object+{pair['right']:#x}"
    assert line.split() == [str(maps), "+", where, nop["text"]]
    assert re.search(rf"(?m)^unmap instructions +\d+ +\d+ +\+{maps} ", page)

    # Nothing against itself.
    assert annotate("new/mine.c", "--arch", "arm", "--against", "new/mine.c") == 2
    assert "the same again" in capsys.readouterr().err


# --- What is printed ---------------------------------------------------------------------------

FIGURES = r"\d+\.\d +(\d+) "


@pytest.mark.parametrize("arch", target_names())
def test_instructions_add_up_on_the_page(
    place: Path, capsys: pytest.CaptureFixture[str], arch: str
) -> None:
    """What a reader adds up from the lines is what stands above them."""
    page = shown(capsys, "copy", "--arch", arch, "--trace", "t.npz")
    (together,) = re.findall(r"(?m)^together +(\d+) ", page)
    each = [int(number) for number in re.findall(rf"(?m)^ *{FIGURES}", page)]
    assert sum(each) == int(together) > 0
    found = as_json(capsys, "copy", "--arch", arch, "--trace", "t.npz")
    (listing,) = found["listings"]
    rows = [row for function in listing["functions"] for row in function["instructions"]]
    assert sum(row["executions"] for row in rows) == int(together)
    for name in ("loads", "stores", "bytes_loaded", "bytes_stored", "string_iterations"):
        whole = sum(counts[name] for counts in listing["counts"].values())
        assert sum(row[name] for row in rows) == whole
    # The counts are those of compare.
    arguments = ["--trace", "t.npz", "--arch", arch, "--strategy", "copy", "--json", "c.json"]
    assert main(["compare", *arguments]) == 0
    (record,) = load(place / "c.json").records
    for phase, counts in listing["counts"].items():
        for name, value in counts.items():
            assert value == record.sum(name, "total", (phase,))


def test_says_what_the_figures_are(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = shown(capsys, "swap", "--arch", "aarch64", "--trace", "t.npz")
    told = " ".join(page.split())
    maps = int(TRACE.maps.sum())
    assert f"trace t (not recorded): {len(TRACE)} operations; geometry chain-8, 4 KiB pages" in told
    assert f"swap on aarch64: all operations: {maps} maps, " in told
    assert re.search(r"compiler zig [\d.]+ -O2; Unicorn 2\.\S+, aarch64 ARM64_A57; zsemu", told)
    assert "All figures are sums over settle, map, unmap of what was counted" in told
    assert LIMITS in told
    assert all(len(line) <= 80 for line in page.split("\n"))
    assert "zs_swap (map 50 %, unmap 50 %)" in page
    # Source and instructions are interleaved; of assembly the line stands behind.
    assert re.search(r"\nswap\.c:\d+: if \(!zs_spans\(loc\)\)\n.* cmp w.*\n.* b\.hi \+0x", page)
    assert re.search(r"\nzs\.h:\d+: return loc->offset \+ loc->zspage->class_size", page)
    assert re.search(r" ldr x3, \[x0\]  ; swap\.S:\d+\n", page)


def test_wider_and_narrower(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("swap", "--arch", "aarch64", "--trace", "t.npz")
    assert "per map loads stores" not in shown(capsys, *arguments)
    both = (*arguments, "--against", "copy")
    below = shown(capsys, *both)
    assert "\n- swap, + copy\n" in below
    assert all(len(line) <= 80 for line in below.split("\n"))
    monkeypatch.setenv("COLUMNS", "160")
    assert "per map loads stores" in shown(capsys, *arguments)
    beside = shown(capsys, *both)
    assert re.search(r"\nswap +copy\n", beside)
    assert all(len(line) <= 160 for line in beside.split("\n"))
    for mark in "|<>":
        assert re.search(rf"(?m)^.{{78}} [{mark}]( |$)", beside), mark


def test_hottest_first(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = shown(capsys, "swap", "--arch", "riscv32", "--trace", "t.npz", "--hot")
    each = [int(number) for number in re.findall(rf"(?m)^ *{FIGURES}.* zs_\w+\+0x", page)]
    assert len(each) > 50
    assert each == sorted(each, reverse=True)
    (together,) = re.findall(r"(?m)^together +(\d+) ", page)
    assert sum(each) == int(together)
    assert re.search(rf"(?m)^ *{FIGURES}.* zs_swap\+0x", page)
    # A repeated instruction by its rounds.
    page = shown(capsys, "copy", "--arch", "x86_64", "--trace", "t.npz", "--hot")
    first = next(line for line in page.split("\n") if re.match(rf" *{FIGURES}", line))
    assert re.search(r"zs_copy\+0x.* rep movsq .*; \d+ rounds$", first)


def test_functions_and_phases(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("copy", "--arch", "arm", "--trace", "t.npz")
    page = shown(capsys, *arguments, "--function", "zs_unmap_object", "--phase", "unmap,map")
    assert "\nzs_unmap_object (unmap)\n" in page
    assert "\nzs_copy (" not in page and "\nzs_map_object (" not in page
    page = shown(capsys, *arguments, "--phase", "access")
    functions = re.findall(r"(?m)^(\w+) \(access\)$", page)
    assert functions == ["zs_access_out", "zs_access_in", "zs_access_copy"]
    page = shown(capsys, "sg", *arguments[1:], "--phase", "settle")
    assert "No instruction was executed." in page


def test_scopes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where only spanning ones are counted, all of them go past the test for it."""
    arguments = ("copy", "--arch", "aarch64", "--trace", "t.npz")
    found = as_json(capsys, *arguments, "--scope", "spanning_read")
    (listing,) = found["listings"]
    assert listing["counted"].startswith(f"spanning read operations only: {listing['maps']} of ")
    for function in listing["functions"]:
        if function["name"] == "zs_map_object":
            assert function["instructions"][0]["executions"] == listing["maps"] > 0
            calls = [row for row in function["instructions"] if row["text"] == "bl zs_copy"]
            assert [row["executions"] for row in calls] == [listing["maps"]] * 2


def test_shapes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "swap", "--arch", "x86_64", "--shape", "read:1632/2")
    (listing,) = found["listings"]
    assert found["subject"] == "shape read:1632/2"
    assert (found["geometry"], found["provenance"]["traces"]) == ("chain-8", {})
    assert (listing["maps"], listing["counts"]["settle"]["instructions"]) == (1, 0)
    counts = {(r["arch"], r["strategy"], r["shape"], r["phase"]): r for r in golden()}
    for phase in ("map", "unmap"):
        expected = counts["x86_64", "swap", "1632/2 read", phase]
        for name in ("instructions", "loads", "stores"):
            # Of the slot before its header, and of what is behind the object, nothing is read.
            assert listing["counts"][phase][name] == int(expected[name])
    page = shown(capsys, "swap", "--arch", "x86_64", "--shape", "read:1632/3")
    assert "class 1680 (does not span)" in " ".join(page.split())
    assert "\nzs_swap" not in page


def golden() -> list[dict[str, str]]:
    with (Path(__file__).parents[1] / "golden" / "counts.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_two_architectures(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Line by line of C, each once, with what either side executes for it."""
    arguments = ("copy", "--arch", "arm", "--trace", "t.npz", "--against", "riscv64")
    page = shown(capsys, *arguments)
    assert "- arm, + riscv64" in page
    block = page.split("\nzs_map_object\n")[1].split("\n\n")[0]
    lines = re.findall(r"(?m)^\d+ \| \d+  (\S+):(\d+): ", block)
    mine = [int(number) for file, number in lines if file == "copy.c"]
    assert len(mine) > 5
    assert mine == sorted(set(mine))
    sums = [list(map(int, pair)) for pair in re.findall(r"(?m)^(\d+) \| (\d+)  ", block)]
    (totals,) = re.findall(r"(?m)^zs_map_object +(\d+) +(\d+) ", page)
    assert [sum(side) for side in zip(*sums, strict=True)] == list(map(int, totals))
    hot = shown(capsys, *arguments, "--hot")
    rises = [abs(int(a) - int(b)) for a, b in re.findall(r"(?m)^(\d+) \| (\d+)  ", hot)]
    assert rises == sorted(rises, reverse=True)


def test_same_bytes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first and the second run print the same bytes."""
    arguments = ("pgtable", "--arch", "riscv32", "--trace", "t.npz", "--format", "json")
    assert shown(capsys, *arguments) == shown(capsys, *arguments)


# --- Around it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "missing argument"),
        (("copy",), "missing option '--arch'"),
        (("copie", "--arch", "arm"), "'copie'.*pgtable, copy, .*C file"),
        (("copy", "--arch", "mips"), "'mips'.*x86_64-words, i386"),
        (
            ("copy", "--arch", "arm", "--against", "mips"),
            "no strategy .*pgtable.*x86_64-words, i386",
        ),
        (("copy", "--arch", "arm", "--against", "./none.c"), "none.c: no such C file"),
        (("copy", "--arch", "arm", "--against", "arm"), "the same again"),
        (("copy", "--arch", "arm", "--against", "copy"), "the same again"),
        (("copy", "--arch", "arm", "--phase", "umap"), "'umap'.*settle, map, access, unmap"),
        (("copy", "--arch", "arm", "--scope", "all"), "'all'.*total, spanning, "),
        (("copy", "--arch", "arm", "--function", "f"), "executes no function 'f'.*zs_map_object"),
        (("copy", "--arch", "arm", "--trace", "nope"), "nope: no such trace"),
        (("copy", "--arch", "arm", "--geometry", "chain-5"), "'chain-5'"),
        (("copy", "--arch", "arm", "--operations", "1"), "map nothing"),
        (("copy", "--arch", "arm", "--cc", "tcc"), "'tcc'.*zig, gcc, clang"),
        (("pgtable", "--arch", "arm", "--page-size", "16384"), "arm has no pages of 16384"),
        (("copy", "--arch", "arm", "--shape", "read"), "no shape 'read': .*read:1632/2"),
        (("copy", "--arch", "arm", "--shape", "read:1632/17"), "slots 0 to 16"),
        (("copy", "--arch", "arm", "--shape", "read:1632/2", "--scope", "spanning"), "leave out"),
    ],
)
def test_bad_use(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    more = () if {"--trace", "--shape"} & set(arguments) else ("--trace", "t.npz")
    assert annotate(*arguments, *more) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.match(f"zsemu: .*{says}", err), err
    assert err.count("\n") == 1


def test_violations_are_told_instead(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (fault,) = (fault for fault in FAULTY if fault.name == "static-variable")
    file = str(fault.write(place))
    for more in (("--trace", "t.npz"), ("--shape", "read:1632/2")):
        assert annotate(file, "--arch", "arm", *more) == 1
        out, err = capsys.readouterr()
        assert err == ""
        assert re.fullmatch(r"\S+ on arm: BROKEN: \d+ violations, first stray store: .*\n", out)


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert annotate("--help") == 0
    assert "Example: zsemu annotate copy" in capsys.readouterr().out


def test_terminal(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Colours on a terminal, weighted; none where NO_COLOR is set, or in a pipe."""
    arguments = ("annotate", "swap", "--arch", "arm", "--trace", "t.npz")
    screen = on_terminal(*arguments)
    assert "replaying" in screen
    hot = re.findall(r"\x1b\[1;31m *(\d+\.\d) [^\n]* ldm r", screen)
    assert hot
    assert all(float(share) > 1 for share in hot)
    assert re.search(r"\x1b\[2m +0 ", screen)  # never executed
    plain = on_terminal(*arguments, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3\d[m;]", plain)
    assert "\x1b" not in shown(capsys, *arguments[1:])
    marked = on_terminal(*arguments, "--against", "swap-min", "--hot")
    assert re.search(r"\x1b\[3[1235]m", marked)
