# SPDX-License-Identifier: GPL-2.0-only
"""Compute the tables of every architecture: what each strategy costs, and how that is split.

The figures are means per map and unmap, so that traces of different length can be compared.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zsemu.counts import (
    CLASSES,
    PHASES,
    REGIONS,
    STRATEGY_PHASES,
)
from zsemu.errors import ZsemuError
from zsemu.results.document import Document, Record


@dataclass(frozen=True)
class Column:
    """A column of figures."""

    header: str
    cells: list[str]
    """one for each row, right-aligned; empty after a violation"""


@dataclass(frozen=True)
class Group:
    """Columns under one title."""

    title: str
    columns: list[Column]


@dataclass(frozen=True)
class Panel:
    """A table without the names of its rows, so that several can stand side by side."""

    title: str
    groups: list[Group]


def _means(
    records: Sequence[Record], counts: Iterable[str], scope: str, phases: Sequence[str]
) -> list[float | None]:
    names = tuple(counts)
    return [
        sum(record.mean(name, scope, phases) for name in names) if record.intact else None
        for record in records
    ]


def _figures(values: Sequence[float | None], decimals: int, *, zero: str = "") -> list[str]:
    return [
        "" if value is None else zero if zero and not value else f"{value:.{decimals}f}"
        for value in values
    ]


def times(ratio: float) -> str:
    """Return a ratio as text, in the form that all reports print."""
    return f"{ratio:.2f}x" if ratio < 9.995 else f"{ratio:.1f}x"


def _ratio(value: float | None, base: float | None) -> str:
    if value is None:
        return ""
    if not base:
        return "-"
    return times(value / base)


def _cost(records: Sequence[Record], base: int, scope: str) -> list[Group]:
    """Return instructions and bytes of the strategy alone and with the access, for one scope."""
    groups = []
    for title, phases in (("map + unmap", STRATEGY_PHASES), ("with access", PHASES)):
        columns = []
        for header, decimals, counts in (
            ("instr", 1, ("instructions",)),
            ("bytes", 0, ("bytes_loaded", "bytes_stored")),
        ):
            values = _means(records, counts, scope, phases)
            if phases == PHASES:
                # What a part of a kernel's object leaves out is most of an access.
                values = [
                    None if record.is_part else value
                    for record, value in zip(records, values, strict=True)
                ]
            if max((value for value in values if value is not None), default=0) >= 1000:
                decimals = 0
            columns.append(Column(header, _figures(values, decimals)))
            columns.append(Column("ratio", [_ratio(value, values[base]) for value in values]))
        if phases == STRATEGY_PHASES:
            for header, count in (("PTE", "pte_stores"), ("TLB", "tlb_invalidates")):
                values = _means(records, (count,), scope, phases)
                columns.append(Column(header, _figures(values, 2, zero="-")))
        groups.append(Group(title, columns))
    return groups


def _split(records: Sequence[Record], shown: Sequence[str], scope: str) -> list[Panel]:
    """Return what the strategy alone does in one scope, by class, cache line and region."""
    groups = []
    for title, counts in (
        ("instr by class", {kind: f"classes.{kind}" for kind in CLASSES}),
        ("lines", {"touched": "lines_touched", "dirtied": "lines_dirtied"}),
    ):
        columns = [
            Column(header, _figures(_means(records, (c,), scope, STRATEGY_PHASES), 1, zero="-"))
            for header, c in counts.items()
        ]
        groups.append(Group(title, columns))
    panels = [Panel(scope_title(records[0], scope), groups)]
    for title, count in (("loaded", "bytes_loaded"), ("stored", "bytes_stored")):
        columns = [
            Column(
                region,
                _figures(
                    _means(records, (f"regions.{region}.{count}",), scope, STRATEGY_PHASES),
                    0,
                    zero="-",
                ),
            )
            for region in shown
        ]
        group = Group(f"bytes {title} by region", columns)
        panels.append(Panel(scope_title(records[0], scope), [group]))
    return panels


def scope_title(record: Record, scope: str) -> str:
    """Return how many maps figures are of, in words."""
    if scope == "total":
        return f"all {record.maps} maps"
    share = 100 * record.spanning_maps / record.maps
    return f"{record.spanning_maps} spanning maps ({share:.1f} %)"


@dataclass(frozen=True)
class Tables:
    """What is shown of one architecture."""

    records: list[Record]
    """one for each row"""
    costs: list[Panel]
    """one of all maps, then one of spanning maps if there are any"""
    splits: list[Panel]
    """the last of ``costs`` split by class of instruction, by cache line and by region"""


def tables(document: Document, relative_to: str) -> dict[str, Tables]:
    """Return the tables of every architecture; ZsemuError if one lacks the base of the ratios."""
    found = {}
    shown = _regions(document)
    for arch, own in by_arch(document).items():
        records = _rows(own)
        base = _base(records, relative_to)
        scopes = ["total"] + ["spanning"] * (records[0].spanning_maps > 0)
        costs = [Panel(scope_title(records[0], s), _cost(records, base, s)) for s in scopes]
        found[arch] = Tables(records, costs, _split(records, shown, scopes[-1]))
    return found


def _rows(records: Sequence[Record]) -> list[Record]:
    """Return a record for each row: below a kernel's object, its own text without what copies."""
    rows = []
    for record in records:
        rows += [record, record.part("own")] if record.is_allocator else [record]
    return rows


def _regions(document: Document) -> list[str]:
    """Return the regions to show: those that some strategy touches."""
    measured = [record for record in document.records if record.intact]
    return [
        region
        for region in REGIONS
        if any(
            record.sum(f"regions.{region}.{count}", "total", STRATEGY_PHASES)
            for record in measured
            for count in ("bytes_loaded", "bytes_stored")
        )
    ]


def by_arch(document: Document) -> dict[str, list[Record]]:
    """Return the records of each architecture, in their order."""
    groups: dict[str, list[Record]] = {}
    for record in document.records:
        groups.setdefault(record.arch, []).append(record)
    return groups


def _base(records: Sequence[Record], relative_to: str) -> int:
    for index, record in enumerate(records):
        if record.strategy == relative_to:
            return index
    there = ", ".join(record.strategy for record in records)
    raise ZsemuError(f"no strategy {relative_to!r} in these results: there are {there}")


def trouble(record: Record) -> str:
    """Return what stands in place of the figures of a broken cell."""
    plural = "s" * (record.violation_count != 1)
    return f"{record.violation_count} violation{plural}"
