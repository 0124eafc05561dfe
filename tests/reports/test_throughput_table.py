# SPDX-License-Identifier: GPL-2.0-only
"""Copying beside exchanging: every cell computed again from the JSON, on the page and in text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import readme
from documents import document
from pages import Page

from reports.test_summary import tables as markdown_tables
from zsemu.cli import main
from zsemu.errors import ZsemuError
from zsemu.reports.html_page import html
from zsemu.reports.matrix import Matrix
from zsemu.reports.summary import markdown
from zsemu.reports.throughput_table import throughput_table
from zsemu.results.document import save
from zsemu.results.throughput import LIMITS, Throughput, load_all

KEPT = readme.HERE / "loops.json"
TITLE = "Inner loops, as llvm-mca sees them"


def changed(place: Path, change: Callable[[Any], None]) -> Path:
    data = json.loads(KEPT.read_text())
    change(data)
    file = place / "changed.json"
    file.write_text(json.dumps(data))
    return file


def by_hand(data: Any) -> list[list[str]]:  # noqa: ANN401
    """Return architecture with CPU, and both rates: bytes of a round, by the cycles of a round."""
    rows: dict[str, dict[str, str]] = {}
    for listing in data["listings"]:
        # The first loop of each is that of whole blocks, through which most bytes go.
        loop = listing["loops"][0]
        per_round = (loop["bytes_loaded"] + loop["bytes_stored"]) / loop["iterations"]
        for cpu, cycles in loop["cycles"].items():
            rate = "-" if cycles is None else f"{per_round / (cycles / 1000):.2f}"
            rows.setdefault(f"{listing['arch']} {cpu}", {})[loop["function"]] = rate
    return [[name, rates["zs_copy"], rates["zs_swap"]] for name, rates in rows.items()]


def test_every_cell() -> None:
    data = json.loads(KEPT.read_text())
    found = readme.loops()
    expected = by_hand(data)
    assert len(expected) > 12 and ["aarch64 cortex-a57", "9.84", "10.66"] in expected
    shown = throughput_table(found)
    head, *rows = shown.cells()
    assert head == ["model", "issues", "copying", "exchanging"]
    assert [[row[0], *row[2:]] for row in rows] == expected
    assert {row[1] for row in rows} == {"in order", "out of order"}
    assert [line.partition(":")[0] for line in shown.unmodelled] == [
        "x86_64, copying",
        "i386, copying",
    ]

    page = Page(html([Matrix(document(), name="out")], None, found))
    assert page.faults == []
    (table,) = (one for one in page.tables if one.heading == TITLE)
    assert [[row[0], *row[2:]] for row in table.rows[1:]] == expected
    assert LIMITS in page.text and f"llvm-mca {data['llvm_mca']}" in " ".join(page.text.split())
    for line in shown.unmodelled:
        assert line in page.text

    text = markdown([Matrix(document(), name="out")], found)
    _, _, rest = text.partition(f"<summary>{TITLE}</summary>")
    lines = [line.strip("|").split("|") for line in rest.splitlines() if line.startswith("| ")]
    assert [[cell.strip() for cell in (row[0], *row[2:])] for row in lines[1:]] == expected


def test_only_where_there_are_some() -> None:
    runs = [Matrix(document(), name="out")]
    assert TITLE not in html(runs, None) and TITLE not in markdown(runs)
    assert markdown_tables(markdown(runs)) == markdown_tables(markdown(runs, readme.loops()))


def copying(found: Throughput) -> dict[str, str]:
    return {row[0]: row[2] for row in throughput_table(found).cells()}


def test_the_loop_that_moves_the_most(tmp_path: Path) -> None:
    """Of the two of riscv64's zs_copy the other one, if that has moved more."""

    def change(data: Any) -> None:  # noqa: ANN401
        (listing,) = (
            one for one in data["listings"] if (one["arch"], one["strategy"]) == ("riscv64", "copy")
        )
        blocks, words = listing["loops"]
        words["iterations"], words["bytes_loaded"] = 10**9, 16 * 10**9
        words["bytes_stored"] = 0
        listing["loops"] = [words, blocks]

    file = changed(tmp_path, change)
    rows = copying(load_all([file]))
    usual = copying(readme.loops())
    assert rows.pop("riscv64 sifive-u54") != usual.pop("riscv64 sifive-u54")
    assert rows.pop("riscv64 sifive-u74") != usual.pop("riscv64 sifive-u74")
    assert rows == usual


def mine(data: Any) -> None:  # noqa: ANN401
    """Let a user's strategy have a loop of its own, on models of the user's choice."""
    (listing,) = (
        one for one in data["listings"] if (one["arch"], one["strategy"]) == ("arm", "swap")
    )
    listing["strategy"] = "mine<>.c"
    listing["loops"][0] |= {
        "function": "zs_map_object",
        "cycles": {"cortex-a9": None, "cortex-m7": 64_000},
        "unmodelled": {"cortex-a9": "stm: <unable> to resolve"},
    }


def test_a_users_own_loop(tmp_path: Path) -> None:
    found = load_all([changed(tmp_path, mine)])
    head, *rows = throughput_table(found).cells()
    assert head[2:] == ["copying", "exchanging", "mine<>.c: zs_map_object"]
    arm = [row[1:] for row in rows if row[0].startswith("arm ")]
    assert arm == [
        ["out of order", "7.99", "-", "-"],
        ["", "-", "-", "-"],
        ["", "-", "-", "2.00"],
    ]
    page = Page(html([Matrix(document(), name="out")], None, found))
    assert page.faults == []
    assert "arm, mine<>.c: zs_map_object: stm: <unable> to resolve." in page.text
    said = " ".join(page.text.replace("\\\n", "").split())
    for command in (
        "zsemu annotate copy --mca --arch x86_64,i386,aarch64,arm,riscv64,riscv32 --format json"
        " > loops-1.json",
        "zsemu annotate './mine<>.c' --mca --arch arm --format json --mca-cpu cortex-a9,cortex-m7"
        " > loops-3.json",
        "zsemu report out.json --mca loops-1.json --mca loops-2.json --mca loops-3.json",
    ):
        assert command in said
    text = markdown([Matrix(document(), name="out")], found)
    assert r"mine\<\>.c: zs_map_object" in text and "<unable>" not in text


def test_several_files(tmp_path: Path) -> None:
    data = json.loads(KEPT.read_text())
    files = []
    for number, half in enumerate((data["listings"][:5], data["listings"][5:])):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(data | {"listings": half}))
    assert load_all(files) == readme.loops() == Throughput(**vars(readme.loops()))
    other = changed(tmp_path, lambda data: data.update(llvm_mca="19.1.7"))
    with pytest.raises(ZsemuError, match=r"changed.json: of llvm-mca 19.1.7, and .*0.json of 14"):
        load_all([files[0], other])


def without_bytes(data: Any) -> None:  # noqa: ANN401
    data["listings"][0]["loops"][0] |= {"bytes_loaded": 0, "bytes_stored": 0}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data.pop("llvm_mca"), "holds no loops: write it with: zsemu annotate"),
        (lambda data: data["listings"][0].pop("loops"), "'loops' is missing"),
        (lambda data: data["listings"][0]["loops"][0].update(cycles={"x": "y"}), "not an integer"),
        (without_bytes, r"zs_copy\+0xa: no loop that loads or stores"),
    ],
)
def test_what_is_none(tmp_path: Path, change: Callable[[Any], None], says: str) -> None:
    file = changed(tmp_path, change)
    with pytest.raises(ZsemuError, match=says) as caught:
        load_all([file])
    assert str(caught.value).startswith(str(file)) and "\n" not in str(caught.value)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(document(), tmp_path / "out.json")
    page = tmp_path / "page.md"
    arguments = ["report", str(tmp_path / "out.json"), "-o", str(page), "--mca"]
    for more, says in (
        ([str(tmp_path / "none.json")], "none.json: cannot be read"),
        ([str(KEPT), "--format", "svg"], "--mca: only text has loops"),
    ):
        assert main([*arguments, *more]) == 2
        assert says in capsys.readouterr().err
        assert not page.exists()
    assert main([*arguments, str(KEPT), "--format", "markdown"]) == 0
    assert TITLE in page.read_text()
