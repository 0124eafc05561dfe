# SPDX-License-Identifier: GPL-2.0-only
"""The table at a glance: every figure is computed again from the JSON, without zsemu's own sums."""

import json
import re
from dataclasses import replace

import pytest
import readme
from documents import MAPS, Cost, costing, document, kernel

from reports.test_html_page import ODD, mean, odd, written
from zsemu.reports.glance_text import markdown, text
from zsemu.reports.markdown import escaped
from zsemu.reports.matrix import Matrix
from zsemu.results.document import Document, dumps

USE = "map + access + unmap"
COPY = Cost(bytes=(4000, 4000), access=10)
LESS = Cost(bytes=(3000, 3000), access=10)

Rows = dict[str, dict[str, list[str]]]


def parsed(page: str) -> Rows:
    """Return the texts of each cell, by architecture and by the name of the row.

    A cell lies below the name of its architecture: between the ends of the scopes' columns.
    """
    found: Rows = {}
    lines = page.split("\n")
    for number, line in enumerate(lines):
        if not line.startswith("strategy "):
            continue
        archs = lines[number - 1].split()
        heads = list(re.finditer(r"\S+", line))[1:]
        each = len(heads) // len(archs)
        for row in lines[number + 1 : lines.index("", number)]:
            # Names may hold spaces: the row of what ratios are to does.
            name = re.split(r" {2,}| (?=[\d-])", row.replace("1.00 is", "1.00_is"))[0]
            cells = re.findall(
                r"BROKEN|-|[\d.]+\*?", row[len(name) :].replace("BROKEN", "BROKEN " * each)
            )
            assert len(cells) == len(heads), row
            for place, arch in enumerate(archs):
                found.setdefault(arch, {})[name] = cells[place * each : (place + 1) * each]
    return found


def shown(made: Document, base: str | None = None, count: str = "bytes", width: int = 80) -> str:
    return text(Matrix(made, base), count=count, width=width)


@pytest.mark.parametrize("base", ["copy", "pgtable"])
@pytest.mark.parametrize("count", ["bytes", "instructions"])
def test_figures(base: str, count: str) -> None:
    made = document()
    data = json.loads(dumps(made))
    page = shown(made, base, count)
    assert f"\n{count} of {USE}, ratio to {base}\n" in page
    found = parsed(page)
    assert list(found) == ["x86_64", "arm"]
    for arch, rows in found.items():
        assert list(rows) == ["pgtable", "copy", "mine.c", "1.00_is"]
        for place, scope in enumerate(("total", "spanning")):
            means = {name: mean(data, arch, name, scope, count, USE) for name in list(rows)[:3]}
            for name, figure in means.items():
                ratio = figure / means[base]
                mark = "*" if figure == min(means.values()) else ""
                digits = 2 if ratio < 9.995 else 1
                assert rows[name][place] == f"{ratio:.{digits}f}{mark}", (arch, name, scope)
            assert rows["1.00_is"][place] == written(means[base], count)


def test_it_is_a_screen() -> None:
    """All strategies on all architectures: 24 lines, the shell's own among them, of 80 columns."""
    made = readme.results("sqlite-lzo-rle")
    page = shown(made)
    assert page.count("\n") <= 23
    assert [len(parsed(page)), len(parsed(page)["arm"])] == [6, 9]
    for one in (page, shown(made, count="instructions")):
        assert max(map(len, one.split("\n"))) <= 80


def test_each_scope_is_right_below_its_header() -> None:
    lines = shown(document()).split("\n")
    head = next(i for i, line in enumerate(lines) if line.startswith("strategy"))
    ends = [one.end() for one in re.finditer(r"(?<= )(all|span)", lines[head])]
    for line in lines[head + 1 : head + 4]:
        assert [one.end() for one in re.finditer(r"\d\.\d\d", line)] == ends


@pytest.mark.parametrize("width", [80, 60, 30, 10])
def test_architectures_that_do_not_fit_stand_below(width: int) -> None:
    archs = ("x86_64", "i386", "aarch64", "arm", "riscv64", "riscv32")
    made = costing({arch: {"copy": COPY, "a-strategy-of-mine.c": LESS} for arch in archs})
    page = shown(made, width=width)
    found = parsed(page)
    assert tuple(found) == archs
    assert all(rows["a-strategy-of-mine.c"] == ["0.83*", "0.77*"] for rows in found.values())
    blocks = page.count("\nstrategy ")
    assert blocks == {80: 2, 60: 2, 30: 6, 10: 6}[width]
    table = page[page.index("\n\n") : page.rindex("\n\n")]
    assert width < 32 or max(map(len, table.split("\n"))) <= width


def test_a_broken_cell() -> None:
    page = shown(document(broken=True))
    assert parsed(page)["arm"]["mine.c"] == ["BROKEN", "BROKEN"]
    assert page.count("BROKEN") == 2
    assert "\nBROKEN: mine.c on arm: fault\narm mine.c: fault: operation 7 (write of " in page
    assert "intact" not in page
    assert "All 6 cells are intact." in shown(document())


def test_broken_everywhere() -> None:
    """One line for each strategy, however many architectures, and one violation in full."""
    archs = ("x86_64", "i386", "arm")
    made = costing({arch: {"copy": COPY, "one.c": None, "two.c": None} for arch in archs})
    page = shown(made)
    for name in ("one.c", "two.c"):
        assert f"\nBROKEN: {name} on x86_64, i386 and arm: fault\n" in page
    assert page.count("operation 7") == 1


def test_cells_that_are_not_there() -> None:
    made = document()
    page = shown(replace(made, records=made.records[:-1]))
    assert parsed(page)["arm"]["mine.c"] == ["-", "-"]
    note = "-: no such cell, no such maps, or copy has no figure."
    assert note in page and note not in shown(made)


def test_a_broken_base() -> None:
    """No ratio, and no fewest of nothing; where it is intact, all as ever."""
    cells = {"copy": COPY, "swap": LESS}
    found = parsed(shown(costing({"arm": {**cells, "copy": None}, "i386": cells})))
    assert found["arm"] == {
        "copy": ["BROKEN", "BROKEN"],
        "swap": ["-", "-"],
        "1.00_is": ["-", "-"],
    }
    assert found["i386"]["swap"] == ["0.83*", "0.77*"]
    # Nowhere intact: the figures themselves, since there is nothing that they could be relative to.
    page = shown(costing({"arm": {**cells, "copy": None}}))
    assert f"bytes of {USE}, mean per map\n" in page
    assert parsed(page)["arm"] == {"copy": ["BROKEN", "BROKEN"], "swap": ["25", "85"]}


def test_one_strategy_has_nothing_to_be_relative_to() -> None:
    page = shown(costing({"arm": {"copy": COPY}, "i386": {"copy": LESS}}))
    assert f"bytes of {USE}, mean per map\n" in page and "fewest" not in page
    assert parsed(page) == {"arm": {"copy": ["30", "110"]}, "i386": {"copy": ["25", "85"]}}
    assert "Both cells are intact." in page
    assert "The cell is intact." in shown(costing({"arm": {"copy": COPY}}))


@pytest.mark.parametrize(
    ("maps", "says"),
    [
        (dict.fromkeys(MAPS, 0) | {"total": 200}, "all: 200 maps."),
        (MAPS | {"total": 40}, "all: 40 maps, of slots that span two pages."),
    ],
)
def test_no_map_spans_or_all_do(maps: dict[str, int], says: str) -> None:
    page = shown(costing({"arm": {"copy": COPY, "sg": LESS}}, maps))
    assert all(len(cells) == 1 for cells in parsed(page)["arm"].values())
    assert f"\n{says}\n" in page and "span: " not in page


def test_definitions_stand_below() -> None:
    page = shown(document(), "pgtable")
    for line in (
        "All 6 cells are intact. *: fewest of its column. 1.00 is: pgtable's mean per map.",
        "bytes: loaded + stored in settle, map, unmap, and in the user's copy (access).",
        "all: 200 maps; span: 40 (20.0 %) whose slot spans two pages.",
        "Counts are not cycles: ",
    ):
        assert line in " ".join(page.split())
    assert "rep-prefixed" not in page
    page = shown(document(), count="instructions")
    assert "instructions: retired in settle, " in page and "rep-prefixed" in page
    assert "--details" in page and "--count instructions" in page


def test_what_made_it_fits_six_lines() -> None:
    """Whatever there is of a user's own; the details have it all."""
    made = document()
    page = shown(made)
    assert "zsemu 0.0, Unicorn 9.9, cc 1 -O2; trace sha256 abababababababab; mine.c sha256 cd" in (
        " ".join(page.split())
    )
    many = {f"a-strategy-of-mine-{number}.c": "ef" * 32 for number in range(40)}
    page = shown(replace(made, provenance=replace(made.provenance, strategies=many)))
    below = page[page.index("zsemu 0.0") :].rstrip("\n").split("\n")
    assert len(below) == 6 and "[...]" in below[3]


def test_a_kernel_with_other_size_classes() -> None:
    """Means over other maps: the table says so, and calls none of them the fewest."""
    page = shown(kernel(document(), "chain-4", 50))
    words = " ".join(page.split())
    assert "mine.c: its kernel's size classes (chain-4) are not those of the others" in words
    assert "mine.c a kernel's object (6.12.1)" in words
    assert "span: 40 to 50 (20.0 % to 25.0 %)" in words
    for rows in parsed(page).values():
        assert sum("*" in all_maps for all_maps, _ in rows.values()) == 1
        assert not any("*" in spanning for _, spanning in rows.values())
    page = shown(kernel(document(), "chain-8", 40))
    assert "size classes" not in page and "*" in parsed(page)["arm"]["pgtable"][1]


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("count", ["bytes", "instructions"])
def test_markdown_has_the_same_cells(count: str, broken: bool) -> None:
    made = document(broken=broken)
    page = markdown(Matrix(made), count=count)
    table = [line.strip("|").split("|") for line in page.split("\n") if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line] for line in table]
    found = parsed(shown(made, count=count))
    assert head == ["strategy", *found]
    for name, *cells in rows:
        for arch, cell in zip(head[1:], cells, strict=True):
            same = found[arch][name.replace("1.00 is", "1.00_is")]
            marked = [f"**{one[:-1]}**" if one.endswith("*") else one for one in same]
            assert cell == ("**BROKEN**" if "BROKEN" in same else " / ".join(marked))
    assert f"\n{count} of {USE}, ratio to copy: all / span\n" in page
    assert "- bold: fewest of its column." in page and "- Counts are not cycles: " in page
    assert ("- BROKEN: mine.c on arm: fault\n" in page) == broken


def test_names_are_escaped_in_markdown() -> None:
    page = markdown(Matrix(odd(document())), count="bytes")
    assert f"| {escaped(ODD)} |" in page and ODD not in page
