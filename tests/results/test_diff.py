# SPDX-License-Identifier: GPL-2.0-only
"""Diffs of documents made up by hand: every difference is put in and must come out."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from documents import document

from zsemu.errors import ZsemuError
from zsemu.reports.diff_text import FORMATS
from zsemu.results.diff import diff, ensure_comparable
from zsemu.results.document import Document, dumps, loads
from zsemu.results.limits import parse


def changed(change: Callable[[Any], None], base: Document | None = None) -> Document:
    """Return a document of which the JSON has been changed."""
    data = json.loads(dumps(base or document()))
    change(data)
    return loads(json.dumps(data), "changed.json")


def plus(number: int, *path: str | int) -> Callable[[Any], None]:
    """Return what adds to a number."""

    def change(data: Any) -> None:  # noqa: ANN401
        for part in path[:-1]:
            data = data[part]
        data[path[-1]] += number

    return change


def put(value: Any, *path: str | int) -> Callable[[Any], None]:  # noqa: ANN401
    """Return what replaces a value."""

    def change(data: Any) -> None:  # noqa: ANN401
        for part in path[:-1]:
            data = data[part]
        data[path[-1]] = value

    return change


MAP = ("records", 1, "counts", "map", "total")


def test_nothing_moved() -> None:
    found = diff(document(), document())
    assert (found.moved, found.regressions, found.notes) == ((), 0, ())
    assert len(found.rows) == 6 * 4 * 10


@pytest.mark.parametrize("count", ["instructions", "bytes_loaded", "bytes_stored"])
@pytest.mark.parametrize("phase", ["settle", "map", "unmap"])
def test_any_rise_is_a_regression(phase: str, count: str) -> None:
    new = changed(plus(1, "records", 1, "counts", phase, "total", count))
    found = diff(document(), new)
    (row,) = found.moved
    assert (row.arch, row.strategy, row.phase, row.count) == ("x86_64", "copy", phase, count)
    assert row.old is not None
    assert row.new == row.old + 1
    assert row.percent == 100 / row.old
    assert found.regressions == 1
    assert diff(new, document()).regressions == 0


@pytest.mark.parametrize(
    ("phase", "count"), [("access", "instructions"), ("map", "loads"), ("map", "lines_touched")]
)
def test_other_rises_are_shown_only(phase: str, count: str) -> None:
    found = diff(document(), changed(plus(5, "records", 1, "counts", phase, "total", count)))
    assert len(found.moved) == 1
    assert found.regressions == 0


def test_scopes() -> None:
    new = changed(plus(1, "records", 1, "counts", "map", "spanning", "instructions"))
    assert diff(document(), new).moved == ()
    found = diff(document(), new, scopes=["total", "spanning"])
    assert [(row.scope, row.regression) for row in found.moved] == [("spanning", "rise")]


def test_limits_replace_the_rule() -> None:
    base = document()
    new = changed(plus(50, *MAP, "instructions"))
    old = base.records[1].sum("instructions", "total", ("map",))
    assert diff(base, new, limits=[parse("map.stores=+0")]).regressions == 0
    assert diff(base, new, limits=[parse("map.instructions=+50")]).regressions == 0
    found = diff(base, new, limits=[parse("map.instructions=+49")])
    (row,) = [row for row in found.rows if row.regression]
    assert row.regression == "map.instructions=+49"
    assert (row.new, row.old) == (old + 50, old)
    for most, regressions in ((old + 50, 0), (old + 49, 1)):
        ceiling = parse(f"x86_64/copy:map.instructions={most}")
        assert diff(base, new, limits=[ceiling]).regressions == regressions
    # Of the strategy as a whole: what falls in unmap makes up for what rises in map.
    both = changed(plus(-50, "records", 1, "counts", "unmap", "total", "instructions"), new)
    assert diff(base, both, limits=[parse("instructions=0%")]).regressions == 0
    found = diff(base, new, limits=[parse("instructions=0%")])
    assert [row.phase for row in found.rows if row.regression] == ["strategy"]
    assert diff(base, new, limits=[parse("arm/*:map.instructions=+0")]).regressions == 0


def test_a_limit_for_nothing() -> None:
    with pytest.raises(ZsemuError, match=r"'riscv\*/\*:stores=1' is for no cell"):
        diff(document(), document(), limits=[parse("riscv*/*:stores=1")])
    # But one for what is broken is for something, and hides no violation.
    for base in (document(), document(broken=True)):
        found = diff(base, document(broken=True), limits=[parse("arm/mine.c:stores=1")])
        assert [row for row in found.rows if row.regression] == []
        assert found.regressions == len(found.breakages) == base.intact


def test_violations() -> None:
    base, broken = document(), document(broken=True)
    found = diff(base, broken)
    (breakage,) = found.breakages
    assert (breakage.arch, breakage.strategy, breakage.count) == ("arm", "mine.c", 25)
    assert found.regressions == 1
    assert diff(broken, broken).regressions == 0
    assert diff(broken, base).regressions == 0
    # Limits do not excuse one, and a cell that the base lacks may not have one either.
    assert diff(base, broken, limits=[parse("stores=+9")]).regressions == 1
    without = replace(base, records=base.records[:-1])
    assert diff(without, broken).regressions == 1
    assert diff(without, base).only_new == ("arm mine.c made",)
    assert diff(base, without).only_base == ("arm mine.c made",)
    other = changed(put("stray store", "records", 5, "violations", 0, "kind"), broken)
    assert diff(broken, other).regressions == 1
    more = changed(put(26, "records", 5, "violation_count"), broken)
    assert [one.count for one in diff(broken, more).breakages] == [1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put("9.8", "provenance", "unicorn"), "Unicorn: 9.9 and 9.8"),
        (
            put("cc 2", "provenance", "compilers", "arm", "version"),
            "compiler of arm: cc 1 and cc 2",
        ),
        (
            put(["-target", "arm", "-O3", "-marm"], "provenance", "compilers", "arm", "flags"),
            "flags of arm: -O2 and -O3",
        ),
        (put("A9", "provenance", "cpu_models", "arm"), "CPU model of arm: A15 and A9"),
        (put("00", "provenance", "traces", "made", "sha256"), "sha256 of trace made: abab"),
        (put("2012", "records", 1, "geometry"), "geometry of x86_64 copy made: chain-8 and 2012"),
        (put(16384, "records", 1, "page_size"), "page size of x86_64 copy made: 4096 and 16384"),
        (put(499, "records", 1, "operations"), "operations of x86_64 copy made: 500 and 499"),
    ],
)
def test_what_must_not_be_compared(change: Callable[[Any], None], says: str) -> None:
    new = changed(change)
    with pytest.raises(ZsemuError, match=re.escape(says)) as caught:
        diff(document(), new)
    assert "--force" in str(caught.value) and "\n" not in str(caught.value)
    assert any(note.startswith(says) for note in diff(document(), new, force=True).notes)


def test_provenance_is_enough() -> None:
    """To see beforehand that a run is not to be compared; not what only records tell."""
    for change, says in (
        (put("cc 2", "provenance", "compilers", "arm", "version"), "compiler of arm"),
        (put("00", "provenance", "traces", "made", "sha256"), "sha256 of trace made"),
    ):
        new = replace(changed(change), records=())
        with pytest.raises(ZsemuError, match=says):
            ensure_comparable(document(), new)
    ensure_comparable(document(), replace(document(), records=()))
    # Of an architecture that is in only one of them there is nothing to say.
    made_by = document().provenance
    arm = {"arm": made_by.compilers["arm"]}
    only_arm = replace(document(), provenance=replace(made_by, compilers=arm), records=())
    ensure_comparable(document(), only_arm)


def test_what_may_be_compared() -> None:
    """Another zsemu, which is named; another content of a user's file; another set of cells."""
    assert diff(document(), changed(put("0.1", "provenance", "zsemu"))).notes == (
        "zsemu: 0.0 and 0.1; shipped strategies may differ",
    )
    other = changed(put("ef" * 32, "provenance", "strategies", "mine.c"))
    assert diff(document(), other).notes == ()
    arm = replace(document(), records=document().records[3:])
    assert len({row.strategy for row in diff(document(), arm).rows}) == 3
    with pytest.raises(ZsemuError, match="in common"):
        diff(replace(document(), records=document().records[:3]), arm)


def test_forms() -> None:
    """Every form has the regression: cell, phase, count, both numbers, and why."""
    base = document()
    new = changed(plus(1, *MAP, "instructions"), document(broken=True))
    (row,) = [row for row in diff(base, new).moved if row.regression]
    found = diff(base, new)
    pages = {name: form(found, everything=False) for name, form in FORMATS.items()}
    numbers = f"{row.new}|{row.old}"
    assert row.old is not None
    change = f"(+{100 / row.old:.2f}%) [{row.new / row.old:.3f}x]"
    assert re.search(
        rf"^  map +instructions +{re.escape(numbers)} {re.escape(change)} +REGRESSION \(rise\)$",
        pages["text"],
        re.MULTILINE,
    )
    assert "x86_64 copy made\n" in pages["text"]
    assert "arm mine.c made: 25 violations" in pages["text"]
    assert (
        f"| ❌ | x86_64 copy made | map | instructions | {row.new} | {row.old} |"
        in pages["markdown"]
    )
    data = json.loads(pages["json"])
    assert data["regressions"] == 2
    assert [(r["phase"], r["new"], r["old"]) for r in data["rows"]] == [("map", row.new, row.old)]
    assert data["violations"][0]["strategy"] == "mine.c"
    root = ElementTree.fromstring(pages["junit"])
    suite = root[0]
    assert (suite.get("tests"), suite.get("failures")) == ("6", "2")
    failed = {case.get("name"): case[0].text or "" for case in suite if len(case)}
    assert set(failed) == {"copy made", "mine.c made"}
    assert numbers in failed["copy made"]
    errors = [line for line in pages["github"].split("\n") if line.startswith("::error ")]
    assert len(errors) == 2
    assert f"title=x86_64 copy made::map instructions {numbers} " in errors[1].replace("%25", "%")
    assert "%25)" in errors[1]

    everything = FORMATS["text"](found, everything=True)
    assert everything.count("(no change)") > 100


def test_github_escapes() -> None:
    new = changed(put("a%b\nc", "records", 5, "violations", 0, "detail"), document(broken=True))
    base = document()
    page = FORMATS["github"](diff(base, new), everything=False)
    assert "a%25b%0Ac" in page
    assert all(line.startswith("::") for line in page.strip().split("\n"))
