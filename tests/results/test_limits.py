# SPDX-License-Identifier: GPL-2.0-only
"""Limits at, just below and just above their bound."""

import pytest
from documents import document

from zsemu.errors import ZsemuError
from zsemu.results.limits import parse, value


@pytest.mark.parametrize(
    ("text", "old", "allowed", "exceeded"),
    [
        ("instructions=5%", 100, 105, 106),
        ("instructions=5%", 7, 7, 8),
        ("instructions=2.5%", 1000, 1025, 1026),
        ("instructions=0%", 100, 100, 101),
        ("instructions=10%", 0, 0, 1),
        ("map.stores=+100", 17, 117, 118),
        ("map.stores=+0", 17, 17, 18),
        ("bytes=10000", 3, 10000, 10001),
        ("bytes=0", None, 0, 1),
    ],
)
def test_bounds(text: str, old: int | None, allowed: int, exceeded: int) -> None:
    limit = parse(text)
    assert not limit.exceeded(old, allowed)
    assert limit.exceeded(old, exceeded)
    assert not limit.exceeded(old, 0)


@pytest.mark.parametrize(
    ("text", "arch", "strategy", "phases", "count"),
    [
        ("instructions=1", "*", "*", ("settle", "map", "unmap"), "instructions"),
        ("access.bytes=1%", "*", "*", ("access",), "bytes"),
        ("arm/copy*:map.loads=+1", "arm", "copy*", ("map",), "loads"),
        ("*/mine.c:unmap.regions.pool.stores=1", "*", "mine.c", ("unmap",), "regions.pool.stores"),
        ("tlb_invalidates.page_local=1", "*", "*", ("settle", "map", "unmap"), None),
        ("map.classes.branch=1", "*", "*", ("map",), "classes.branch"),
    ],
)
def test_parts(
    text: str, arch: str, strategy: str, phases: tuple[str, ...], count: str | None
) -> None:
    limit = parse(text)
    assert (limit.text, limit.arch, limit.strategy, limit.phases) == (text, arch, strategy, phases)
    assert limit.count == (count or "tlb_invalidates.page_local")


def test_patterns() -> None:
    records = document().records
    chosen = [r for r in records if parse("a*/c?py:stores=1").applies(r)]
    assert [(r.arch, r.strategy) for r in chosen] == [("arm", "copy")]
    assert all(parse("stores=1").applies(record) for record in records)
    assert not any(parse("ARM/*:stores=1").applies(record) for record in records)


def test_values() -> None:
    record = document().records[1]
    assert record.counts is not None
    total = record.counts["map"]["total"]
    loaded, stored = total["bytes_loaded"], total["bytes_stored"]
    assert isinstance(loaded, int) and isinstance(stored, int)
    assert value(record, "bytes", ("map",)) == loaded + stored
    assert value(record, "instructions", ("map", "unmap")) == record.sum(
        "instructions", "total", ("map", "unmap")
    )


@pytest.mark.parametrize(
    "text",
    [
        "instructions",
        "instructions=",
        "=5%",
        "instructions=-5",
        "instructions=5 %%",
        "instructions=+5%",
        "cycles=5%",
        "mapp.instructions=5%",
        "map.=5%",
        "arm:instructions=5%",
        "/copy:instructions=5%",
        "regions.heap.loads=1",
        "",
    ],
)
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(ZsemuError, match="limit") as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_a_rise_needs_something_to_rise_from() -> None:
    with pytest.raises(ZsemuError, match="nothing that it could have risen from"):
        parse("stores=+5").most(None)
