# SPDX-License-Identifier: GPL-2.0-only
"""The page: every figure is computed again from the JSON, and found by a parser of its own."""

import json
import re
from dataclasses import replace
from functools import cache
from html import unescape
from typing import Any

import pytest
import readme
from documents import Cost, costing, document, record, shaped
from pages import Page

from reports.test_property_table import made as properties
from zsemu.check.findings import Properties
from zsemu.check.properties import Property
from zsemu.counts import LIMITS, NOT_CYCLES
from zsemu.guest import strategies
from zsemu.replay.spanning_costs import MODES
from zsemu.reports import break_even, break_even_text
from zsemu.reports.findings import findings
from zsemu.reports.html_page import html
from zsemu.reports.implied_costs import implied
from zsemu.reports.invalidate_costs import INVALIDATE_COSTS
from zsemu.reports.matrix import Matrix
from zsemu.reports.property_table import Measured
from zsemu.reports.published import CAVEAT, PUBLISHED
from zsemu.reports.tables import tables
from zsemu.results.document import Document, dumps, loads

USES = {
    "map + unmap": ("settle", "map", "unmap"),
    "map + access + unmap": ("settle", "map", "access", "unmap"),
}
SCOPES = {
    "All maps": "total",
    "Spanning maps": "spanning",
    "Spanning reads": "spanning_read",
    "Spanning writes": "spanning_write",
}
ODD = "<b>&.c"


def mean(data: Any, arch: str, strategy: str, scope: str, count: str, use: str) -> float:  # noqa: ANN401
    """Return a figure of the matrix, from the document as JSON."""
    (one,) = (r for r in data["records"] if (r["arch"], r["strategy"]) == (arch, strategy))
    names = ("bytes_loaded", "bytes_stored") if count == "bytes" else (count,)
    total: int = sum(one["counts"][phase][scope][name] for phase in USES[use] for name in names)
    number: int = one["scope_maps"][scope]
    return total / number


def written(figure: float, count: str) -> str:
    return f"{figure:.1f}" if count == "instructions" and figure < 1000 else f"{figure:.0f}"


def odd(made: Document) -> Document:
    """Return a document with a strategy file, a trace and a compiler of awkward names."""
    text = dumps(made).replace("mine.c", ODD).replace("made up", "</p><script>x</script>")
    return loads(text.replace("cc 1", 'cc <1> & \\"2\\"'), "odd.json")


def page(made: Document, base: str | None = None, *, measured: bool = False) -> tuple[Page, str]:
    given = Measured(properties(), "seed 0, <zsemu>") if measured else None
    raced = Measured(locks(), "seed 1, <race>") if measured else None
    text = html([Matrix(made, base, name="a <name>")], given, raced=raced)
    return Page(text), text


@cache
def usual(*, measured: bool = False) -> tuple[Page, str]:
    return page(document(), measured=measured)


@pytest.mark.parametrize("base", ["copy", "pgtable"])
def test_every_cell(base: str) -> None:
    made = document()
    data = json.loads(dumps(made))
    found, _ = page(made, base)
    cells = 0
    for heading, scope in SCOPES.items():
        for use in USES:
            for count in ("bytes", "instructions"):
                rows = found.table(heading, f"{count}, {use}")
                assert list(rows) == ["pgtable", "copy", "mine.c"]
                for strategy, row in rows.items():
                    assert list(row) == ["x86_64", "arm"]
                    for arch, cell in row.items():
                        figure = mean(data, arch, strategy, scope, count, use)
                        ratio = figure / mean(data, arch, base, scope, count, use)
                        times = f"{ratio:.2f}x" if ratio < 9.995 else f"{ratio:.1f}x"
                        assert cell == f"{written(figure, count)} {times}"
                        cells += 1
    assert cells == 4 * 2 * 2 * 6


def test_all_figures() -> None:
    """The tables of each architecture are those that zsemu compare prints, cell by cell."""
    found, _ = usual()
    for arch, shown in tables(document(), "copy").items():
        here = [t for t in found.tables if t.heading == arch]
        panels = [*shown.costs, *shown.splits]
        assert [table.caption for table in here] == [panel.title for panel in panels]
        for table, panel in zip(here, panels, strict=True):
            columns = [column for group in panel.groups for column in group.columns]
            assert table.rows[1] == ["strategy", *(c.header for c in columns), "objects"]
            for index, row in enumerate(table.rows[2:]):
                assert row[1:] == [*(c.cells[index] for c in columns), "intact"]


def test_least_is_marked_in_every_column() -> None:
    _, text = usual()
    first = text[text.index('<table class="heat">') :]
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th>(.*?)</tr>", first.split("</table>")[0])
    marks = {name: re.findall(r"<td[^>]*?( class=\"least\")?>", cells) for name, cells in rows}
    assert [bool(mark) for mark in marks["pgtable"]] == [True, True]
    assert not any(mark for name in ("copy", "mine.c") for mark in marks[name])
    shades = {name: list(map(int, re.findall(r"--shade:(\d+)%", cells))) for name, cells in rows}
    assert shades["copy"] == [50, 50]
    assert shades["pgtable"][0] < 50 < shades["mine.c"][0]


def test_a_broken_cell_has_its_violations_and_no_figure() -> None:
    found, text = page(document(broken=True))
    for heading in SCOPES:
        for use in USES:
            cell = found.table(heading, f"bytes, {use}")["mine.c"]["arm"]
            assert cell == "25 violations"
    assert found.text.count("arm mine.c: fault: operation 7 (write of object 3, class 1632") == 20
    assert "arm mine.c: and 5 more" in found.text
    assert "<h3>Violations</h3>" in text and "<h3>Violations</h3>" not in usual()[1]
    # Before all else but the finding.
    alert = text.index('<p class="alert">1 of 6 cells has violations')
    assert text.index('<p class="headline">') < alert < text.index("<figure>")
    assert 'href="#run-1-violations"' in text and "A cross marks a cell" in text
    assert "A cross marks a cell" not in usual()[1]


def test_cells_that_are_not_there() -> None:
    made = document()
    found, _ = page(replace(made, records=made.records[:-1]))
    assert found.table("All maps", "bytes, map + unmap")["mine.c"]["arm"] == "not run"
    assert found.table("All maps", "bytes, map + unmap")["mine.c"]["x86_64"] != "not run"


def test_names_are_escaped() -> None:
    found, text = page(odd(document(broken=True)), measured=True)
    assert not found.faults
    assert "<b>" not in text and "<script" not in text
    assert set(found.names).isdisjoint({"b", "script", "zsemu", "name"})
    assert list(found.table("All maps", "bytes, map + unmap"))[-1] == ODD
    assert "a <name>" in found.text and "cc <1> & " in found.text
    assert "</p><script>x</script>" in found.text
    # In charts, too: of properties and of what has violations there is none.
    assert text.count("&lt;b&gt;&amp;.c</text>") > 3


def test_it_needs_nothing_else() -> None:
    found, text = usual(measured=True)
    assert not found.faults
    assert [one for one in found.addresses if not one.startswith("#")] == ["data:,"]
    assert len(set(found.ids)) == len(found.ids)
    assert not re.search(r"@import|url\(|<script|<iframe|<object|<embed|<img", text)
    assert set(re.findall(r"https?://[^\"' ]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_same_input_same_bytes() -> None:
    assert page(document(), measured=True)[1] == usual(measured=True)[1]


def test_what_stands_beside_the_figures() -> None:
    found, _ = usual()
    words = " ".join(found.text.split())
    assert LIMITS.removeprefix("Limits: c") in words
    assert CAVEAT in words
    for text in ("Unicorn 9.9", "arm A15", "flags of arm: -target arm -marm", "abababababababab"):
        assert text in words
    assert "ratios are to copy" in words
    assert "Properties" not in words
    assert strategies.strategy("copy").summary in words and "A C file of the user's." in words


def test_several_runs() -> None:
    runs = [Matrix(document(), name=name) for name in ("one", "two")]
    text = html(runs, None)
    found = Page(text)
    assert not found.faults
    assert [one for one in found.ids if re.fullmatch(r"run-\d", one)] == ["run-1", "run-2"]
    assert found.addresses[1:3] == ["#run-1", "#run-2"]
    assert {one[1:] for one in found.addresses[1:]} == set(found.ids)
    assert [t.caption for t in found.tables].count("bytes, map + unmap") == 8
    assert "zsemu report one.json two.json" in found.text


def test_it_begins_with_the_finding_and_a_picture() -> None:
    """Then come the contents, and the matrix; all words but a few stand behind."""
    _, text = usual()
    matrix = Matrix(document())
    order = [
        '<p class="headline">',
        findings(matrix).headline,
        'aria-label="made: all maps: bytes of map + access + unmap, ratio to copy;',
        'aria-label="made: spanning maps: bytes of map + access + unmap, ratio to copy;',
        "All 6 cells are intact",
        NOT_CYCLES,
        "<nav",
        "<h3>The matrix</h3>",
        '<table class="heat">',
        findings(matrix).points[0],
    ]
    places = [text.index(one) for one in order]
    assert places == sorted(places)
    opening = Page(text[text.index("<main>") : text.index("<nav")]).text
    drawn = Page("".join(re.findall(r"<figure>.*?</figure>", text, re.DOTALL)[:2])).text
    assert len(opening.split()) - len(drawn.split()) < 160


def test_contents() -> None:
    """An entry leads to every chapter; into what is folded, so that a browser unfolds it."""
    found, text = page(document(broken=True), measured=True)
    entries = dict(re.findall(r'<li><a href="#([^"]+)">([^<]+)</a></li>', text))
    assert set(entries) == {one for one in found.ids if one != "run-1"}
    folded = re.findall(r'<details>\s*<summary><h3>(.*?)</h3></summary>\s*<div id="(.*?)">', text)
    assert len(folded) == text.count("<details>") == 7
    opened = re.findall(r'<section id="(.*?)">\s*<h[23]>(.*?)</h[23]>', text)
    for title, place in [*folded, *((title, place) for place, title in opened)]:
        assert entries.get(place, "a <name>") == unescape(title)
    assert list(entries.values())[:3] == ["Violations", "The matrix", "Other findings"]
    # What is not there is not in the contents.
    _, text = page(costing({"arm": {"copy": Cost(bytes=(200, 80))}}))
    entries = dict(re.findall(r'<li><a href="#([^"]+)">([^<]+)</a></li>', text))
    assert {"Violations", "Properties", "Fewest, by every measure"}.isdisjoint(entries.values())
    assert "<figure>" not in text[: text.index("<nav")]


def test_charts() -> None:
    """There is one for each architecture, mode and count, and one for each use by region.

    And of ratios one for all maps and one for spanning ones, of each count.
    """
    _, text = usual()
    labels = re.findall(r'<svg [^>]*aria-label="([^"]*)"', text)
    # Writes of the document have the page's end in one place only.
    for arch in ("x86_64", "arm"):
        for count in ("bytes", "instructions"):
            assert any(x.startswith(f"{arch}, made: reads: {count} of map + unmap") for x in labels)
        for use in ("map + access + unmap", "map + unmap"):
            label = f"{arch}, made: spanning maps: bytes of {use} by region"
            assert any(one.startswith(label) for one in labels)
    for count in ("bytes", "instructions"):
        for maps in ("all maps", "spanning maps"):
            label = f"made: {maps}: {count} of map + access + unmap, ratio to copy"
            assert any(one.startswith(label) for one in labels)
    prices = [one for one in labels if "what a TLB invalidate may" in one]
    assert len(prices) == 2 * 2  # copy and mine.c invalidate more than another
    assert len(labels) == 12 + len(prices)
    assert "#767676" not in text and "currentColor" in text


def test_crossovers() -> None:
    rows = {
        "copy": {"read": [(1000, 250, 1, 2000), (1000, 750, 1, 2000)]},
        "swap": {"read": [(1000, 250, 1, 1000), (1000, 750, 1, 3000)]},
    }
    found, _ = page(replace(document(), records=tuple(shaped(rows))))
    (table,) = [t for t in found.tables if (t.heading, t.caption) == ("Crossovers", "reads, bytes")]
    assert table.rows == [["below", "beyond", "arm"], ["swap", "copy", "50 %"]]


def test_break_even() -> None:
    """The cells are those of the text, which are computed again from the JSON in its own tests."""
    matrix = Matrix(document())
    found, _ = usual()
    for scope in break_even.scopes(matrix):
        for glance in break_even_text.tables(matrix, scope):
            title = "Break-even: what a TLB invalidate may cost"
            rows = found.table(title, glance.title)
            assert list(rows) == list(glance.rows)
            for name, cells in glance.rows.items():
                texts = [" / ".join(cell.figures) for cell in cells]
                assert list(rows[name].values()) == texts
    (table,) = [t for t in found.tables if t.heading == "What sources say that an invalidate costs"]
    assert [row[0] for row in table.rows[1:]] == [one.letter for one in INVALIDATE_COSTS]
    for row, one in zip(table.rows[1:], INVALIDATE_COSTS, strict=True):
        assert row[1:] == [
            f"{one.said} {one.kind}",
            f"{', '.join(one.archs)}: {one.what}",
            one.machine,
            f"{one.source} {one.date}",
        ]


def test_what_the_mails_imply() -> None:
    _, text = usual()
    heading = "What the cycles of July 2012 imply"
    assert heading not in text
    made = readme.results("zsmapbench")
    found, _ = page(made)
    (table,) = [t for t in found.tables if t.heading == heading]
    for row, one in zip(table.rows[1:], implied(Matrix(made)), strict=True):
        assert one.mail.said in row[1]
        assert row[2:] == [f"{one.rate:.1f}", f"{one.tie:.0f}", f"{one.cost:.0f}"]


def test_nothing_to_break_even() -> None:
    cells = {"copy": Cost(bytes=(40, 40)), "sg": Cost(bytes=(30, 30))}
    _, text = page(costing({"arm": cells}))
    assert "Break-even" not in text


def test_properties() -> None:
    found, _ = usual(measured=True)
    (table,) = [t for t in found.tables if t.heading == "Properties"]
    assert table.rows == [
        ["property", "copy", ODD],
        ["no-leak", "yes", "no"],
        ["while mapped, slot behind:"],
        ["map", "yes", "no"],
    ]
    assert "The same on all 2 architectures checked." in found.text
    assert f"{ODD}, no-leak: read of slot 2" in found.text
    assert "seed 0, <zsemu>" in found.text
    assert "-k properties" in found.text and "zsemu check copy './<b>&.c'" in found.text


def locks() -> Properties:
    """Return which locks two strategies need, made up."""
    behind, nested = "slot behind: map", "nested on one CPU"
    own: dict[str, tuple[Property, ...]] = {
        "copy": (Property(behind, "nothing", ""), Property(nested, "no", "A8,B,A: <b>")),
        ODD: (Property(behind, "neighbours", "A9,B,A: wrong bytes"), Property(nested, "yes", "")),
    }
    return {"x86_64": own, "arm": own}


def test_locks() -> None:
    found, _ = usual(measured=True)
    (table,) = [t for t in found.tables if t.heading == "Locks that two CPUs need"]
    assert table.rows == [
        ["on the other CPU", "copy", ODD],
        ["slot behind:"],
        ["map", "nothing", "neighbours"],
        ["nested on one CPU", "no", "yes"],
    ]
    assert f"{ODD}, slot behind: map: A9,B,A: wrong bytes" in found.text
    assert "seed 1, <race>" in found.text
    assert "zsemu race copy './<b>&.c'" in found.text
    assert "--race race.json" in found.text
    assert "Locks that two CPUs need" not in usual()[0].text


def test_published_figures() -> None:
    data = json.loads(dumps(document()))
    found, _ = usual()
    (table,) = [t for t in found.tables if t.heading == "Published figures beside the counts"]
    rows = table.rows[1:]
    assert len(rows) == len(PUBLISHED)
    for row, mail in zip(rows, PUBLISHED, strict=True):
        assert mail.who in row[0] and mail.date in row[0] and mail.message in row[0]
        assert row[3] == mail.said
        if mail.other == "copy":
            (arch,) = mail.archs
            ratios = [
                mean(data, arch, "pgtable", "spanning", count, "map + unmap")
                / mean(data, arch, "copy", "spanning", count, "map + unmap")
                for count in ("bytes", "instructions")
            ]
            counts = f"bytes {ratios[0]:.2f}x, instructions {ratios[1]:.2f}x"
            assert row[5] == f"{arch}, a <name>: {counts}"
        else:
            assert row[5] == "-"
    by_platform = {row[1]: row[4] for row in rows}
    assert by_platform["x86, KVM guest (cover letter)"] == "2.68x"
    assert by_platform["x86, bare metal"] == "1.36x"
    assert by_platform["Raspberry Pi, ARMv6"] == "0.46x"
    # 2.15 times as many cycles, and some 6.2 times as many mappings, as the mails have it.
    assert 1 / 2.16 < 947 / 2040 < 1 / 2.15
    assert by_platform["ARMv7, 4 cores, local flush"] == "0.16x"


@pytest.mark.parametrize("broken", [("arm",), ("arm", "x86_64")])
def test_without_any_counts(broken: tuple[str, ...]) -> None:
    made = document()
    records = tuple(
        record(one.arch, one.strategy, None) if one.arch in broken else one for one in made.records
    )
    found, _ = page(replace(made, records=records))
    assert not found.faults
    assert found.table("All maps", "bytes, map + unmap")["copy"]["arm"] == "25 violations"


def test_every_mode_is_shown() -> None:
    """Of updates there are none in the document; where there are some, they are shown."""
    made = document()
    assert {f"Spanning {mode}s" for mode in MODES} - {t.heading for t in usual()[0].tables} == {
        "Spanning updates"
    }
    records = tuple(
        replace(one, scope_maps=one.scope_maps | {"spanning_update": 5}) for one in made.records
    )
    found, _ = page(replace(made, records=records))
    assert found.table("Spanning updates", "bytes, map + unmap")
