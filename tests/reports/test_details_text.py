# SPDX-License-Identifier: GPL-2.0-only
"""The details: every figure is computed again from the JSON, without zsemu's own sums."""

import csv
import io
import json
import re
from typing import Any

import pytest
from documents import document

from zsemu.counts import CLASSES, LIMITS, REGIONS
from zsemu.errors import ZsemuError
from zsemu.reports.details_text import comma_separated, markdown, text
from zsemu.reports.notes import in_full
from zsemu.results.document import Document, dumps

STRATEGY = ("settle", "map", "unmap")
ALL = ("settle", "map", "access", "unmap")
HEADERS = ["instr", "ratio", "bytes", "ratio", "PTE", "TLB", "instr", "ratio", "bytes", "ratio"]


def expected(data: Any, arch: str, strategy: str, scope: str, base: str) -> list[float]:  # noqa: ANN401
    """Return the ten figures of a row, from the document as JSON."""

    def means(name: str, phases: tuple[str, ...], which: str) -> float:
        (one,) = (r for r in data["records"] if (r["arch"], r["strategy"]) == (arch, which))
        total: int = 0
        for phase in phases:
            entry = one["counts"][phase][scope]
            total += {
                "instr": entry["instructions"],
                "bytes": entry["bytes_loaded"] + entry["bytes_stored"],
                "PTE": entry["pte_stores"],
                "TLB": sum(entry["tlb_invalidates"].values()),
            }[name]
        maps: int = one["scope_maps"][scope]
        return total / maps

    figures = []
    for phases in (STRATEGY, ALL):
        for name in ("instr", "bytes"):
            figures.append(means(name, phases, strategy))
            figures.append(figures[-1] / means(name, phases, base))
        if phases == STRATEGY:
            figures += [means(name, STRATEGY, strategy) for name in ("PTE", "TLB")]
    return figures


def close(printed: str, figure: float) -> bool:
    """Say whether a printed figure is the right one, rounded to the digits that it shows."""
    number = printed.removesuffix("x")
    digits = len(number.partition(".")[2])
    return abs(float(number) - figure) <= 0.5000001 * 0.1**digits


def rows_of(page: str, arch: str, title: str) -> dict[str, list[str]]:
    """Return the cells of each strategy in the narrow table of an architecture and scope."""
    lines = page.split("\n")
    start = next(i for i, line in enumerate(lines) if re.match(rf"{arch} +.*{title}", line))
    assert lines[start + 2].split() == ["strategy", *HEADERS]
    rows = {}
    for line in lines[start + 3 : lines.index("", start)]:
        name, *cells = line.split()
        rows[name] = cells
    return rows


@pytest.mark.parametrize("base", ["copy", "pgtable"])
def test_figures(base: str) -> None:
    made = document()
    data = json.loads(dumps(made))
    page = text(made, relative_to=base, width=80)
    for arch in ("x86_64", "arm"):
        for scope, title in (("total", "all 200 maps"), ("spanning", "40 spanning maps")):
            rows = rows_of(page, arch, title)
            assert list(rows) == ["pgtable", "copy", "mine.c"]
            for strategy, cells in rows.items():
                assert cells.pop() == "intact"
                figures = expected(data, arch, strategy, scope, base)
                assert len(cells) == len(figures)
                assert all(map(close, cells, figures)), (arch, scope, strategy, cells, figures)
    assert "40 spanning maps (20.0 %)" in page


def test_close_finds_a_wrong_figure() -> None:
    assert close("0.53x", 0.5349) and close("12.3", 12.26) and close("4", 4.4)
    assert not close("0.53x", 0.5351) and not close("12.3", 12.36) and not close("4", 4.6)


def test_wide_and_narrow_show_the_same() -> None:
    made = document()
    narrow = text(made, relative_to="copy", width=80)
    wide = text(made, relative_to="copy", width=160)
    lines = wide.split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("arm "))
    both = lines[start]
    assert "all 200 maps" in both and "40 spanning maps" in both
    for strategy in ("pgtable", "copy", "mine.c"):
        line = next(line for line in lines[start:] if line.startswith(f"{strategy} "))
        name, *cells = line.split()
        one = rows_of(narrow, "arm", "all 200 maps")[name]
        two = rows_of(narrow, "arm", "40 spanning maps")[name]
        assert cells == one[:-1] + two


@pytest.mark.parametrize("width", [80, 100, 160])
def test_columns_are_aligned(width: int) -> None:
    page = text(document(broken=True), relative_to="copy", width=width, split=True)
    blocks = [block.split("\n") for block in page.split("\n\n") if "\nstrategy  " in block]
    # Costs of all and of spanning maps; their instructions by class; bytes loaded, bytes stored.
    assert len(blocks) == 2 * {80: 5, 100: 5, 160: 4}[width]
    unsplit = text(document(), relative_to="copy", width=width)
    assert unsplit.count("\nstrategy  ") == 2 * {80: 2, 100: 2, 160: 1}[width]
    for block in blocks:
        header = block[2]
        ends = [match.end() for match in re.finditer(r"\S+", header)][1:]
        for line in block[3:]:
            if "violation" in line:
                continue
            cells = [match.end() for match in re.finditer(r"\S+", line)]
            assert cells[1:-1] == ends
        # The titles of the groups cover their columns, and nothing else is as wide.
        assert len(block[1].rstrip()) == len(header.rstrip())


def test_prose_is_wrapped_and_rows_are_not() -> None:
    page = text(document(), relative_to="copy", width=80)
    assert max(map(len, page.split("\n"))) <= 84
    prose = page[page.index("All figures are") :]
    assert all(len(line) <= 80 for line in prose.split("\n"))
    # Much too narrow: still whole rows.
    assert rows_of(text(document(), relative_to="copy", width=20), "arm", "all 200")["copy"]


def test_large_ratios_do_not_widen_the_table() -> None:
    page = text(document(), relative_to="pgtable", width=80)
    rows = [
        row for title in ("all 200", "40 span") for row in rows_of(page, "x86_64", title).values()
    ]
    ratios = [cell for cells in rows for cell in cells if cell.endswith("x")]
    assert any(float(ratio[:-1]) >= 10 for ratio in ratios)
    assert max(len(ratio) for ratio in ratios if float(ratio[:-1]) < 100) == 5


def test_violations() -> None:
    page = text(document(broken=True), relative_to="copy", width=80)
    rows = [line.split() for line in page.split("\n") if line.startswith("mine.c")]
    assert ["mine.c", "25", "violations", "BROKEN"] in rows
    listed = [line for line in page.split("\n") if line.startswith("arm mine.c: fault: ")]
    assert len(listed) == 20
    assert "operation 7 (write of object 3, class 1632, slot 2 at offset 3264)" in listed[0]
    assert "at zs_copy+0x20: ldr r3, [r0]" in listed[0]
    assert "arm mine.c: and 5 more" in page
    assert "BROKEN" not in text(document(), relative_to="copy", width=80)


def test_ratios_to_a_broken_strategy_are_left_out() -> None:
    page = text(document(broken=True), relative_to="mine.c", width=80)
    assert rows_of(page, "arm", "all 200")["copy"].count("-") == 4
    assert "-" not in rows_of(page, "x86_64", "all 200")["copy"]


def test_unknown_base() -> None:
    with pytest.raises(ZsemuError, match=r"'swap'.*pgtable, copy, mine\.c"):
        text(document(), relative_to="swap", width=80)


def test_what_stands_beside_the_figures() -> None:
    made = document()
    for page in (text(made, relative_to="copy", width=80), markdown(made, relative_to="copy")):
        words = " ".join(page.split())
        assert LIMITS in words
        assert "Unicorn 9.9" in words and "cc 1" in words and "arm A15" in words
        assert "-O2" in words and "flags of arm: -target arm -marm" in words
        assert "ratios are to copy" in words
        assert "rep-prefixed" in words
        assert "abababababababab" in words and "strategy mine.c: sha256 cdcdcdcdcdcdcdcd" in words
    assert LIMITS in " ".join(in_full(made, width=80).split())
    only_arm = Document(made.provenance, made.records[3:])
    assert "rep-prefixed" not in text(only_arm, relative_to="copy", width=80)


def test_markdown_has_the_same_cells() -> None:
    made = document(broken=True)
    page, plain = markdown(made, relative_to="copy"), text(made, relative_to="copy", width=80)
    for arch in ("x86_64", "arm"):
        for title in ("all 200 maps", "40 spanning maps"):
            section = page.split(f"### {arch}: {title}")[1].split("\n\n")[1].split("\n")
            table = [[cell.strip() for cell in line.strip("|").split("|")] for line in section]
            assert [cell.split(": ")[-1] for cell in table[0]] == ["strategy", *HEADERS, "objects"]
            assert len({len(row) for row in table}) == 1
            rows = rows_of(plain, arch, title)
            for row in table[2:]:
                if rows[row[0]][-1] == "intact":
                    assert row[1:] == rows[row[0]]
                else:
                    assert row[1:] == [""] * 10 + ["25 violations"]


def test_split() -> None:
    """Instructions by class, lines, and bytes by region, of the spanning maps."""
    made = document()
    one = json.loads(dumps(made))["records"][1]
    lines = text(made, relative_to="copy", width=80, split=True).split("\n")
    classes = [("classes", kind) for kind in CLASSES]
    for title, kinds in (
        ("instr by class", [*classes, ("lines_touched",), ("lines_dirtied",)]),
        ("bytes loaded by region", [("regions", region, "bytes_loaded") for region in REGIONS]),
        ("bytes stored by region", [("regions", region, "bytes_stored") for region in REGIONS]),
    ):
        starts = [i for i, line in enumerate(lines) if title in line]
        assert len(starts) == 2
        header, row = lines[starts[0] + 1].split(), lines[starts[0] + 3].split()
        names = [path[1] if len(path) > 1 else path[0].removeprefix("lines_") for path in kinds]
        assert header == ["strategy", *names]
        assert (row[0], row[-1]) == ("copy", "intact")
        for path, cell in zip(kinds, row[1:-1], strict=True):
            total = 0
            for phase in STRATEGY:
                value = one["counts"][phase]["spanning"]
                for part in path:
                    value = value[part]
                total += value
            assert close(cell, total / 40)


def test_csv() -> None:
    made = document()
    rows = list(csv.DictReader(io.StringIO(comma_separated(made))))
    data = json.loads(dumps(made))
    assert len(rows) == 6 * 4 * 5
    for row in rows:
        (one,) = (
            r
            for r in data["records"]
            if (r["arch"], r["strategy"]) == (row["arch"], row["strategy"])
        )
        entry = one["counts"][row["phase"]][row["scope"]]
        assert int(row["bytes_stored"]) == entry["bytes_stored"]
        assert int(row["maps"]) == one["scope_maps"][row["scope"]]
