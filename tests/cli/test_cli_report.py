# SPDX-License-Identifier: GPL-2.0-only
"""zsemu report from the command line: from a comparison to a page, and back by its own command."""

import shlex
from pathlib import Path

import pytest
from documents import document
from pages import Page
from samples import busy_trace

from zsemu.cli import main
from zsemu.guest.strategies import strategy
from zsemu.results.document import save
from zsemu.traces.file import save as save_trace

ODD = "<b>&.c"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save(document(), tmp_path / "out.json")
    return tmp_path


def test_page_by_default(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "out.json"]) == 0
    assert capsys.readouterr() == ("report.html\n", "")
    first = (place / "report.html").read_bytes()
    assert main(["report", "out.json", "-o", "other.html"]) == 0
    assert (place / "other.html").read_bytes() == first
    assert len(first) < 5_000_000
    found = Page(first.decode())
    assert not found.faults
    assert found.table("All maps", "bytes, map + unmap")["copy"]["arm"].endswith(" 1.00x")
    assert main(["report", "out.json", "--relative-to", "pgtable"]) == 0
    found = Page((place / "report.html").read_text())
    assert not found.table("All maps", "bytes, map + unmap")["copy"]["arm"].endswith(" 1.00x")


def test_a_broken_cell_is_no_failure_of_the_report(place: Path) -> None:
    save(document(broken=True), place / "broken.json")
    assert main(["report", "broken.json"]) == 0
    assert "25 violations" in (place / "report.html").read_text()


def test_markdown(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "out.json", "--format", "markdown"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("## out\n") and err == ""
    assert main(["report", "out.json", "--format", "markdown", "-o", "out.md"]) == 0
    assert (place / "out.md").read_text() == out
    assert [path.name for path in place.iterdir() if path.suffix == ".html"] == []


@pytest.mark.parametrize("image", ["svg", "png"])
def test_plots(image: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "out.json", "--format", image, "-o", "for/mail"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert f"for/mail/out-arm-read-bytes.{image}" in listed
    assert sorted(listed) == sorted(str(p.relative_to(place)) for p in place.glob("for/mail/*"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.json"], "none.json: cannot be read as results"),
        (["out.json", "sub/out.json"], "two results are called out"),
        (["out.json", "--relative-to", "swap"], "out: no strategy 'swap' in these results"),
        (["out.json", "-o", "none/report.html"], "none/report.html: no place for a file"),
        (["out.json", "-o", "."], "no place for a file"),
        (["out.json", "--properties", "out.json"], "out.json: holds no properties"),
        (["out.json", "--properties", "x", "--format", "svg"], "only the page has them"),
        (["out.json", "--race", "out.json"], "out.json: holds no locks: write it with: zsemu race"),
        (["out.json", "--race", "x", "--format", "png"], "--race: only the page has them"),
        (["out.json", "--format", "svg", "-o", "out.json"], "out.json"),
        (["empty.json"], "empty: these results hold no maps"),
        ([], "missing argument"),
    ],
)
def test_bad_use(
    arguments: list[str], says: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "sub").mkdir()
    save(document(), place / "sub" / "out.json")
    text = (place / "out.json").read_text()
    head, _, _ = text.partition(' "records": [')
    (place / "empty.json").write_text(f'{head} "records": []}}')
    before = sorted(place.rglob("*"))
    assert main(["report", *arguments]) == 2
    out, err = capsys.readouterr()
    assert says in err and err.count("\n") == 1 and "Traceback" not in err
    assert out == ""
    assert sorted(place.rglob("*")) == before


@pytest.mark.usefixtures("in_process")
def test_the_command_of_the_page_makes_the_same_results(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_trace(busy_trace(), place / "t.npz")
    (place / ODD).write_text(strategy("swap").path.read_text())
    options = ["--arch", "arm,riscv64", "--strategy", f"sg,./{ODD}", "--relative-to", "sg"]
    assert (
        main(
            ["compare", "--trace", "t.npz", "--operations", "500", *options, "--json", "mine.json"]
        )
        == 0
    )
    assert main(["report", "mine.json"]) == 0
    text = (place / "report.html").read_text()
    found = Page(text)
    assert not found.faults
    assert list(found.table("All maps", "bytes, map + unmap")) == ["sg", ODD]
    command = (
        found.text[found.text.index("zsemu compare \\\n") :].split("mine.json")[0] + "mine.json"
    )
    first = (place / "mine.json").read_bytes()
    (place / "mine.json").unlink()
    assert main(shlex.split(command.replace("\\\n", ""))[1:]) == 0
    assert (place / "mine.json").read_bytes() == first
    assert main(["report", "mine.json", "-o", "again.html"]) == 0
    assert (place / "again.html").read_text() == text
    capsys.readouterr()
