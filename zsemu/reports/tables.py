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
from zsemu.reports.cache_tables import cache_panels
from zsemu.reports.panels import Column, Group, Panel, figures, ratio_text, scope_title
from zsemu.results.document import Document, Record


def _means(
    records: Sequence[Record], counts: Iterable[str], scope: str, phases: Sequence[str]
) -> list[float | None]:
    names = tuple(counts)
    return [
        sum(record.mean(name, scope, phases) for name in names) if record.intact else None
        for record in records
    ]


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
            columns.append(Column(header, figures(values, decimals)))
            columns.append(Column("ratio", [ratio_text(value, values[base]) for value in values]))
        if phases == STRATEGY_PHASES:
            for header, count in (("PTE", "pte_stores"), ("TLB", "tlb_invalidates")):
                values = _means(records, (count,), scope, phases)
                columns.append(Column(header, figures(values, 2, zero="-")))
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
            Column(header, figures(_means(records, (c,), scope, STRATEGY_PHASES), 1, zero="-"))
            for header, c in counts.items()
        ]
        groups.append(Group(title, columns))
    panels = [Panel(scope_title(records[0], scope), groups)]
    for title, count in (("loaded", "bytes_loaded"), ("stored", "bytes_stored")):
        columns = [
            Column(
                region,
                figures(
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


@dataclass(frozen=True)
class Tables:
    """What is shown of one architecture."""

    records: list[Record]
    """one for each row"""
    costs: list[Panel]
    """one of all maps, then one of spanning maps if there are any"""
    caches: list[Panel]
    """of the same maps what a model of caches counted, if there was one"""
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
        caches = [panel for s in scopes for panel in cache_panels(records, base, s)]
        found[arch] = Tables(records, costs, caches, _split(records, shown, scopes[-1]))
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
