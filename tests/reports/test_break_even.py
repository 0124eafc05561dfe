# SPDX-License-Identifier: GPL-2.0-only
"""Break-even prices: computed again from the JSON and the definition, without zsemu's own sums."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
import readme
from documents import Cost, costing, document, kernel, shaped

from zsemu.guest.targets import names as target_names
from zsemu.reports.break_even import STEP, price, price_curve, scopes, windows
from zsemu.reports.break_even_text import NOTHING, markdown, text
from zsemu.reports.implied_costs import implied
from zsemu.reports.invalidate_costs import INVALIDATE_COSTS
from zsemu.reports.matrix import Matrix
from zsemu.results.document import Document, dumps, loads

TITLES = {
    "spanning": "spanning maps",
    "spanning_read": "spanning reads",
    "spanning_write": "spanning writes",
    "spanning_update": "spanning updates",
}
PHASES = ("settle", "map", "access", "unmap")
OWN = ("settle", "map", "unmap")
Data = dict[str, Any]
Prices = dict[tuple[str, str], tuple[str, str]]


@cache
def recorded(trace: str) -> str:
    return dumps(readme.results(trace))


def summed(data: Data, arch: str, name: str, scope: str, count: str, phases: Any = PHASES) -> int:  # noqa: ANN401
    """Return a count of a cell, added up over phases."""
    (one,) = (r for r in data["records"] if (r["arch"], r["strategy"]) == (arch, name))
    rows = [one["counts"][phase][scope] for phase in phases]
    if count == "bytes":
        return sum(row["bytes_loaded"] + row["bytes_stored"] for row in rows)
    if count == "tlb":
        return sum(sum(row["tlb_invalidates"].values()) for row in rows)
    return sum(row[count] for row in rows)


def tie(data: Data, arch: str, more: str, fewer: str, scope: str, count: str) -> Fraction:
    """Solve count + price * invalidates = the same of the other, for the price."""
    a, b = (summed(data, arch, name, scope, count) for name in (more, fewer))
    m, n = (summed(data, arch, name, scope, "tlb") for name in (more, fewer))
    assert m > n
    found = Fraction(b - a, m - n)
    assert a + found * m == b + found * n
    return found


def written(figure: Fraction) -> str:
    return "<0" if figure < 0 else f"{float(figure):.0f}"


def parsed(page: str, more: str, scope: str) -> Prices:
    """Return the two texts of each cell of one table, by architecture and strategy."""
    lines = page.split("\n")
    start = lines.index(f"break-even of {more}, {TITLES[scope]}: price of one TLB invalidate") + 1
    found: Prices = {}
    while lines[start].startswith(" "):
        archs, heads = lines[start].split(), lines[start + 1].split()
        assert heads == ["strategy", *["inst", "byte"] * len(archs)]
        start += 2
        while lines[start]:
            name, *cells = lines[start].split()
            assert len(cells) == 2 * len(archs)
            for place, arch in enumerate(archs):
                found[arch, name] = (cells[2 * place], cells[2 * place + 1])
            start += 1
        start += 1
    return found


@pytest.mark.parametrize("trace", ["sqlite-lzo-rle", "zsmapbench"])
def test_every_price_by_hand(trace: str) -> None:
    data = json.loads(recorded(trace))
    page = text(Matrix(readme.results(trace)), width=80, details=True)
    shown = ("spanning", "spanning_read", "spanning_write")
    for scope in shown if trace == "sqlite-lzo-rle" else ("spanning_update",):
        found = parsed(page, "pgtable", scope)
        assert len(found) == len(target_names()) * 7
        for (arch, fewer), cells in found.items():
            for count, cell in zip(("instructions", "bytes"), cells, strict=True):
                figure = tie(data, arch, "pgtable", fewer, scope, count)
                assert cell == written(figure), (arch, fewer, scope, count)


def test_both_signs_occur() -> None:
    """So that the test above is one of both."""
    found = parsed(shown("sqlite-lzo-rle"), "pgtable", "spanning")
    assert found["aarch64", "sg"] == ("<0", "<0") and found["x86_64", "sg"][1] == "<0"
    assert int(found["aarch64", "copy"][0]) > 100


def shown(trace: str, change: Callable[[Data], None] | None = None) -> str:
    data = json.loads(recorded(trace))
    if change:
        change(data)
    return text(Matrix(loads(json.dumps(data), "out.json")), width=80, details=False)


def cell(data: Data, name: str) -> Any:  # noqa: ANN401
    (one,) = (r for r in data["records"] if (r["arch"], r["strategy"]) == ("aarch64", name))
    return one


@pytest.mark.parametrize("phase", PHASES)
def test_a_count_that_changes_moves_the_price(phase: str) -> None:
    """A planted fault: 100 instructions more in each map, access included, with 2 invalidates."""

    def change(data: Data) -> None:
        one = cell(data, "copy")
        one["counts"][phase]["spanning"]["instructions"] += 100 * one["scope_maps"]["spanning"]

    before, after = (
        parsed(shown("sqlite-lzo-rle", each), "pgtable", "spanning") for each in (None, change)
    )
    moved = int(after["aarch64", "copy"][0]) - int(before["aarch64", "copy"][0])
    assert moved == 50
    del before["aarch64", "copy"], after["aarch64", "copy"]
    assert before == after


def test_an_invalidate_that_changes_moves_the_price() -> None:
    """Four invalidates in place of two: each may cost half as much. Of whatever kind."""

    def change(data: Data) -> None:
        one = cell(data, "pgtable")
        kinds = one["counts"]["unmap"]["spanning"]["tlb_invalidates"]
        kinds["all_broadcast"] += 2 * one["scope_maps"]["spanning"]

    before = tie(json.loads(recorded("sqlite-lzo-rle")), *TIE)
    found = parsed(shown("sqlite-lzo-rle", change), "pgtable", "spanning")
    assert found["aarch64", "copy"][1] == written(before / 2)
    assert "pgtable is ahead while one of its TLB invalidates (2 to 4 a map)" in " ".join(
        shown("sqlite-lzo-rle", change).split()
    )


TIE = ("aarch64", "pgtable", "copy", "spanning", "bytes")


def test_by_the_counts_and_not_by_the_name() -> None:
    """Under other names the figures are the same: what invalidates is in the counts."""
    data = recorded("sqlite-lzo-rle").replace('"pgtable"', '"mine"').replace('"copy"', '"pgtable"')
    matrix = Matrix(loads(data, "out.json"))
    assert windows(matrix) == ["mine"]
    found = parsed(text(matrix, width=80, details=False), "mine", "spanning")
    usual = parsed(shown("sqlite-lzo-rle"), "pgtable", "spanning")
    assert found["arm", "pgtable"] == usual["arm", "copy"]


def test_two_that_invalidate() -> None:
    """Each has its table; between the two of them only the one with more has a price."""
    made = document()
    matrix = Matrix(made)
    assert windows(matrix) == ["pgtable", "copy", "mine.c"]
    page = text(matrix, width=80, details=False)
    data = json.loads(dumps(made))
    found = parsed(page, "mine.c", "spanning")
    figure = tie(data, "arm", "mine.c", "copy", "spanning", "bytes")
    assert found["arm", "copy"][1] == written(figure)
    assert parsed(page, "copy", "spanning")["arm", "mine.c"] == ("-", "-")
    assert "break-even of pgtable" not in page  # it has the fewest
    assert "-: no such cell, not the same maps, or no more invalidates" in page


def test_nothing_invalidates() -> None:
    """Nor is there a division by zero."""
    made = costing({"arm": {"copy": Cost(bytes=(40, 40)), "sg": Cost(bytes=(30, 30))}})
    for page in (
        text(Matrix(made), width=200, details=False),
        markdown(Matrix(made), details=True),
    ):
        assert NOTHING in page and "break-even of" not in page and "--details" not in page
    cells = {"copy": Cost(bytes=(40, 40)), "sg": None}
    page = text(Matrix(costing({"arm": cells})), width=200, details=False)
    assert NOTHING in page and "\nBROKEN: sg on arm: fault\n" in page


def test_a_broken_cell() -> None:
    page = text(Matrix(document(broken=True)), width=80, details=False)
    assert "\nBROKEN: mine.c on arm: fault\n" in page
    rows = [line for line in page.split("\n") if line.startswith("mine.c   ")]
    assert rows and all("BROKEN" in row for row in rows)


def test_other_maps_have_no_price() -> None:
    """A kernel's object may have size classes of its own."""
    one, other, mine = kernel(document(), "chain-4", 50).records[:3]
    assert price(other, one, "bytes", "spanning") is not None
    assert price(mine, one, "bytes", "spanning") is None


def test_scopes() -> None:
    assert scopes(Matrix(readme.results("zsmapbench"))) == ["spanning_update"]
    assert scopes(Matrix(document())) == ["spanning", "spanning_read", "spanning_write"]


def test_it_is_a_screen() -> None:
    page = shown("sqlite-lzo-rle")
    assert page.count("\n") <= 23 and max(map(len, page.split("\n"))) <= 80


def test_details_name_every_source() -> None:
    said = " ".join(text(Matrix(document()), width=80, details=True).split())
    for one in INVALIDATE_COSTS:
        for part in (one.said, one.kind, one.machine, one.source, one.date):
            assert part and part in said
    assert all(one.least <= one.most for one in INVALIDATE_COSTS)
    by_time = [one for one in INVALIDATE_COSTS if one.unit == "ns"]
    assert by_time and all(one.cycles == (one.least, 3 * one.most) for one in by_time)


@pytest.mark.parametrize("details", [False, True])
def test_markdown_has_the_same_cells(details: bool) -> None:
    matrix = Matrix(readme.results("sqlite-lzo-rle"))
    page = markdown(matrix, details=details)
    rows = [line.strip("|").split("|") for line in page.split("\n") if line.startswith("| copy ")]
    assert len(rows) == (3 if details else 1)
    found = parsed(text(matrix, width=80, details=False), "pgtable", "spanning")
    for arch, cells in zip(target_names(), rows[0][1:], strict=True):
        assert cells.strip() == " / ".join(found[arch, "copy"])


# Over the size of the slot.


def curved(rows: dict[str, list[tuple[int, int, int, int]]]) -> Document:
    """Return rows of reads as a document whose pgtable has 2 invalidates a read, and copy none."""
    records = shaped({name: {"read": each} for name, each in rows.items()})
    data = json.loads(dumps(replace(document(), records=tuple(records))))
    for one in data["records"]:
        for phase in PHASES:
            kinds = one["counts"][phase]["spanning_read"]["tlb_invalidates"]
            kinds.update(dict.fromkeys(kinds, 0))
            if phase == "unmap" and one["strategy"] == "pgtable":
                kinds["page_local"] = 2 * one["scope_maps"]["spanning_read"]
    return loads(json.dumps(data), "out.json")


def test_a_curve() -> None:
    """Classes of one step are one point: at their mean size, with what both of them gain."""
    made = curved(
        {
            "pgtable": [(1000, 250, 3, 300), (1024, 500, 1, 100), (2000, 10, 2, 200)],
            "copy": [(1000, 250, 3, 6300), (1024, 500, 1, 2100), (2000, 10, 2, 100)],
        }
    )
    assert 1000 // STEP == 1023 // STEP
    more, fewer = made.records
    found = price_curve(more, fewer, "bytes", "read")
    assert found
    assert found.size == pytest.approx((1006, 2000))
    assert found.price == pytest.approx(((6000 + 2000) / (4 * 2), -100 / (2 * 2)))
    assert price_curve(fewer, more, "bytes", "read") is None
    assert price_curve(more, fewer, "bytes", "write") is None


def test_curves_of_other_slots_have_no_price() -> None:
    made = curved({"pgtable": [(1000, 250, 3, 300)], "copy": [(1000, 251, 3, 300)]})
    more, fewer = made.records
    assert price_curve(more, fewer, "bytes", "read") is None


def test_the_curve_adds_up_to_the_price() -> None:
    """Of the recording, on the architecture whose shapes are kept: its mean is the price."""
    cells = readme.records("sqlite-lzo-rle")
    more = cells["aarch64", "pgtable"]
    for name in ("copy", "copy-modes", "sg"):
        fewer = cells["aarch64", name]
        for count in ("bytes", "instructions"):
            assert more.by_shape and fewer.by_shape
            rows = more.by_shape["read"], fewer.by_shape["read"]
            names = ("bytes_loaded", "bytes_stored") if count == "bytes" else (count,)
            own, other = (
                sum(sum(row[f"{part}{each}"]) for part in ("", "access_") for each in names)
                for row in rows
            )
            maps = sum(rows[0]["maps"])
            found = price(more, fewer, count, "spanning_read")
            assert found == pytest.approx((other - own) / (2 * maps))
            assert found is not None
            curve = price_curve(more, fewer, count, "read")
            assert curve and min(curve.price) <= found <= max(curve.price)


# What the mails imply.


def test_what_the_mails_imply_by_hand() -> None:
    """Solve cycles = bytes / rate + cost * invalidates for both strategies of a mail."""
    data = json.loads(recorded("zsmapbench"))
    found = {one.mail.platform: one for one in implied(Matrix(readme.results("zsmapbench")))}
    mails = {
        "x86, KVM guest (cover letter)": ("x86_64", 1500, 560),
        "x86, bare metal": ("x86_64", 760, 560),
        "Raspberry Pi, ARMv6": ("arm", 947, 2040),
    }
    assert set(found) == set(mails)
    for platform, (arch, pgtable, copy) in mails.items():
        moved, less = (
            summed(data, arch, name, "spanning_update", "bytes", OWN) / 1000
            for name in ("copy", "pgtable")
        )
        one = found[platform]
        assert moved / one.rate == pytest.approx(copy)
        assert less / one.rate + 2 * one.cost == pytest.approx(pgtable)
        assert less / one.rate + 2 * one.tie == pytest.approx(copy)
        assert (one.cost < one.tie) == (pgtable < copy)


def test_no_read_write_map_implies_nothing() -> None:
    assert implied(Matrix(readme.results("sqlite-lzo-rle"))) == []
    page = text(Matrix(readme.results("sqlite-lzo-rle")), width=80, details=True)
    assert not re.search("imply", page)
