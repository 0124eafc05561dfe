# SPDX-License-Identifier: GPL-2.0-only
"""zsemu diff and baselines from the command line: one instruction more, and what becomes of it."""

import json
from pathlib import Path

import pytest
from samples import busy_trace

import zsemu.runs.compare
from zsemu.cli import main
from zsemu.guest.strategies import strategy
from zsemu.results.document import load
from zsemu.traces.file import save

pytestmark = pytest.mark.usefixtures("in_process")

EMPTY = "{\n}\n"
MORE = '{\n\tif (zs_spans(loc))\n\t\tasm volatile("nop");\n}\n'
NONE = '{\n\tif (zs_spans(loc))\n\t\tasm volatile("");\n}\n'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a trace, and one strategy in two versions, both called mine.c."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZSEMU_BASELINES", raising=False)
    save(busy_trace(), tmp_path / "t.npz")
    text = strategy("sg").path.read_text()
    assert text.endswith(EMPTY)
    for folder, body in (("old", NONE), ("new", MORE)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.c").write_text(text.removesuffix(EMPTY) + body)
    return tmp_path


def compare(version: str, *more: str) -> int:
    return main(
        [
            "compare",
            "--trace",
            "t.npz",
            "--arch",
            "arm,riscv64",
            "--strategy",
            f"{version}/mine.c",
            "--relative-to",
            f"{version}/mine.c",
            *more,
        ]
    )


def test_one_instruction_more(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("old", "--json", "old.json") == 0
    assert compare("new", "--json", "new.json") == 0
    spanning = {one.arch: one.spanning_maps for one in load(place / "new.json").records}
    capsys.readouterr()
    assert main(["diff", "old.json", "new.json"]) == 3
    out = capsys.readouterr().out
    for arch in ("arm", "riscv64"):
        block = out.split(f"{arch} mine.c t\n")[1].split("\n\n")[0].split("\n")
        (row,) = [line for line in block if "REGRESSION" in line]
        assert row.split()[:2] == ["unmap", "instructions"]
        new, old = (int(number) for number in row.split()[2].split("|"))
        assert new - old == spanning[arch]
    assert out.endswith("2 regressions\n")

    assert main(["diff", "new.json", "old.json"]) == 0
    assert main(["diff", "old.json", "old.json"]) == 0
    assert main(["diff", "old.json", "new.json", "--limit", "unmap.instructions=9%,stores=+0"]) == 0
    assert main(["diff", "old.json", "new.json", "--limit", "arm/*:unmap.instructions=0%"]) == 3
    capsys.readouterr()
    assert main(["diff", "old.json", "new.json", "--format", "json", "--scope", "spanning"]) == 3
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {(row["phase"], row["scope"]) for row in rows} == {("unmap", "spanning")}


def test_bad_use(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("old", "--json", "old.json") == 0
    assert compare("old", "--json", "short.json", "--operations", "500") == 0
    capsys.readouterr()
    for arguments, says in (
        (["old.json", "none.json"], "none.json: cannot be read"),
        (["old.json", "short.json"], "not to be compared: sha256 of trace t"),
        (["old.json", "old.json", "--limit", "cycles=5%"], "no count 'cycles'"),
        (["old.json", "old.json", "--limit", "x86_64/*:stores=5%"], "is for no cell"),
        (["old.json", "old.json", "--scope", "all"], "no scope 'all'"),
    ):
        assert main(["diff", *arguments]) == 2
        out, err = capsys.readouterr()
        assert says in err.split("\n")[0]
        assert out == ""
    assert main(["diff", "old.json", "short.json", "--force"]) == 0


def test_baselines(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compare("old", "--baseline", "main") == 2
    assert "no baseline 'main' in .zsemu (there: none)" in capsys.readouterr().err
    assert compare("old", "--save-baseline", "main") == 0
    assert len(load(place / ".zsemu" / "main.json").records) == 2
    assert compare("old", "--baseline", "main") == 0
    assert capsys.readouterr().out.endswith("no regression\n")
    assert compare("new", "--baseline", "main") == 3
    out = capsys.readouterr().out
    assert out.count("REGRESSION (rise)") == 2
    assert "intact" in out
    assert compare("new", "--baseline", "main", "--limit", "instructions=5%") == 0
    assert compare("new", "--baseline", "main", "--format", "json") == 3
    out, err = capsys.readouterr()
    json.loads(out[out.index("{\n") :])
    assert "REGRESSION" in err
    assert compare("new", "--limit", "instructions=5%") == 2
    assert compare("new", "--save-baseline", "../main") == 2
    assert "name is of letters" in capsys.readouterr().err
    assert not (place.parent / "main.json").exists()

    monkeypatch.setenv("ZSEMU_BASELINES", str(place / "kept" / "here"))
    assert compare("new", "--save-baseline", "main") == 0
    assert (place / "kept" / "here" / "main.json").is_file()


def test_what_cannot_be_compared_is_not_run(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compare("old", "--save-baseline", "main") == 0
    capsys.readouterr()
    monkeypatch.setattr(zsemu.runs.compare, "run", lambda *_, **__: pytest.fail("it has run"))
    assert compare("new", "--baseline", "main", "--operations", "500") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("zsemu: not to be compared: sha256 of trace t: ")


def test_a_violation_is_one_first(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("old", "--save-baseline", "main") == 0
    text = strategy("copy").path.read_text()
    assert "class_size - first" in text
    text = text.replace("class_size - first", "class_size - first - 1")
    (place / "new" / "mine.c").write_text(text)
    assert compare("new", "--baseline", "main") == 1
    out = capsys.readouterr().out
    assert "violations that the base has not" in out
    assert compare("new", "--json", "new.json") == 1
    assert main(["diff", ".zsemu/main.json", "new.json"]) == 3
