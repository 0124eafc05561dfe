# SPDX-License-Identifier: GPL-2.0-only
"""Lay out a document of results as tables, in text, Markdown and CSV.

The figures of text and Markdown are means per map and unmap, so that traces of different length can
be compared. CSV holds sums.
"""

import csv
import io
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from zsemu.counts import (
    CLASSES,
    LIMITS,
    PHASES,
    REGIONS,
    STRATEGY_PHASES,
)
from zsemu.errors import ZsemuError
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.reports.kernel_text import kernels
from zsemu.reports.reproduce import provenance
from zsemu.results.document import Document, Record

INTACT: Final = "intact"
BROKEN: Final = "BROKEN"

_GAP: Final = "  "


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


# As text.


def _group_lines(group: Group) -> list[str]:
    """Return the title, the headers and the rows of a group as lines of equal width."""
    columns = []
    for column in group.columns:
        width = max(len(column.header), *(len(cell) for cell in column.cells))
        columns.append([text.rjust(width) for text in [column.header, *column.cells]])
    lines = [" ".join(row) for row in zip(*columns, strict=True)]
    title = f" {group.title} ".center(len(lines[0]), "-")
    return [title, *(line.ljust(len(title)) for line in lines)]


def _panel_lines(panel: Panel) -> list[str]:
    groups = [_group_lines(group) for group in panel.groups]
    lines = [_GAP.join(row) for row in zip(*groups, strict=True)]
    return [panel.title.ljust(len(lines[0])), *lines]


def _text_block(arch: str, records: Sequence[Record], panels: list[Panel], width: int) -> list[str]:
    """Lay panels out side by side, or below each other if ``width`` is too little."""
    names = [record.strategy for record in records]
    left = max(len(text) for text in [*names, arch, "strategy"])
    labels = [text.ljust(left) for text in [arch, "", "strategy", *names]]
    verdict = ["", "", "", *(INTACT if record.intact else BROKEN for record in records)]
    blocks = [_panel_lines(panel) for panel in panels]
    full = left + sum(len(_GAP) + len(block[0]) for block in blocks) + len(_GAP) + len(INTACT)
    rows = [blocks] if full <= width else [[block] for block in blocks]
    lines = []
    for row in rows:
        for index, cells in enumerate(zip(*row, strict=True)):
            parts = list(cells)
            if index >= 3 and not records[index - 3].intact:
                parts[0] = trouble(records[index - 3]).ljust(len(parts[0]))
            lines.append(_GAP.join([labels[index], *parts, verdict[index]]).rstrip())
        lines.append("")
    return lines


def _text_tables(document: Document, relative_to: str, width: int, split: bool) -> list[str]:
    lines: list[str] = []
    for arch, one in tables(document, relative_to).items():
        for panels in (one.costs, one.splits)[: 2 if split else 1]:
            lines += _text_block(arch, one.records, panels, width)
    return lines


def text(document: Document, *, relative_to: str, width: int, split: bool = False) -> str:
    """Return all of it as text: tables, violations, definitions, provenance, limits.

    With ``split`` there are also tables by class of instruction, cache line and region of memory.
    Prose is wrapped at ``width`` columns; a table that is wider is not cut.
    """
    broken = violations(document)
    return "\n".join(
        [
            _wrapped([heading(document)], width),
            "",
            *_text_tables(document, relative_to, width, split),
            *([*broken, ""] if broken else []),
            _wrapped(definitions(document, relative_to, split=split), width),
            "",
            _wrapped([*provenance(document), LIMITS], width),
            "",
        ]
    )


def notes(document: Document, *, width: int) -> str:
    """Return violations, provenance and limits as text, to accompany CSV and JSON."""
    prose = _wrapped([*provenance(document), LIMITS], width)
    return "\n".join([*violations(document), prose, ""])


# As Markdown.


def markdown_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as Markdown, its header first; all but the first column right-aligned."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return f"| {' | '.join([row[0].ljust(widths[0]), *rest])} |"

    rule = "|".join([":" + "-" * (widths[0] + 1), *("-" * (w + 1) + ":" for w in widths[1:])])
    return [line(rows[0]), f"|{rule}|", *(line(row) for row in rows[1:])]


def markdown(document: Document, *, relative_to: str, split: bool = False) -> str:
    """Return what text() does as GitHub's Markdown."""
    lines = [heading(document), ""]
    for arch, one in tables(document, relative_to).items():
        for panel in [*one.costs, *(one.splits if split else [])]:
            header = ["strategy"]
            rows = [[record.strategy] for record in one.records]
            for group in panel.groups:
                for position, column in enumerate(group.columns):
                    header.append(column.header if position else f"{group.title}: {column.header}")
                    for row, cell in zip(rows, column.cells, strict=True):
                        row.append(cell)
            header.append("objects")
            for row, record in zip(rows, one.records, strict=True):
                row.append(INTACT if record.intact else trouble(record))
            lines += [f"### {arch}: {panel.title}", "", *markdown_rows([header, *rows]), ""]
    if broken := violations(document):
        lines += ["```", *broken, "```", ""]
    lines += [f"- {line}" for line in definitions(document, relative_to, split=split)]
    lines += ["", "```", *provenance(document), "```", "", LIMITS, ""]
    return "\n".join(lines)


def comma_separated(document: Document) -> str:
    """Return the counts as CSV: a row for each record, phase and scope; sums, not means."""
    stream = io.StringIO()
    rows = document.to_records()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


# What stands around tables.


def heading(document: Document) -> str:
    """Say what was replayed, in one line."""
    one = document.typical
    kernel = document.provenance.traces[one.trace].recorded_on
    return (
        f"{one.trace} ({kernel}): {one.operations} operations; geometry {one.geometry},"
        f" {one.page_size >> 10} KiB pages"
    )


def violations(document: Document) -> list[str]:
    """Return every violation that was kept, a line each."""
    lines = []
    for record in document.records:
        if record.intact:
            continue
        name = f"{record.arch} {record.strategy}"
        lines.append(f"{name}: {trouble(record)}")
        lines += [f"{name}: {violation}" for violation in record.violations]
        rest = record.violation_count - len(record.violations)
        if rest:
            lines.append(f"{name}: and {rest} more")
    return lines


def definitions(document: Document, relative_to: str, *, split: bool = False) -> list[str]:
    """Say what the columns are, a line each."""
    lines = [
        f"All figures are means per map and unmap; ratios are to {relative_to}.",
        "map + unmap: all that the strategy does (settle, map, unmap); with access: and the use of"
        " the object.",
        "spanning: the object's slot crosses the end of a page.",
        "instr: instructions; bytes: loaded + stored; PTE: page-table entries stored; TLB:"
        " invalidates.",
    ]
    if split:
        lines.append(
            "by class, by region, lines: of map + unmap; lines: distinct 64-byte ones in a phase."
        )
    lines += [
        f"{record.arch} {record.strategy}: what it costs is no function of what it is given and of"
        " the page words; so every operation was observed, none multiplied."
        for record in document.records
        if record.intact and not record.shapes
    ]
    return [*lines, *kernels(document.provenance, by_arch(document)), *repeats(document)]


def repeats(document: Document) -> list[str]:
    """Say on which architectures instructions do not compare, in one line or none."""
    repeat = [
        arch
        for arch in by_arch(document)
        if arch in target_names() and target(arch).instructions.string
    ]
    if not repeat:
        return []
    return [
        f"{', '.join(repeat)}: a rep-prefixed instruction is one, however much it moves:"
        " compare bytes, not instructions, where strategies copy or swap."
    ]


def _wrapped(lines: Iterable[str], width: int) -> str:
    """Return paragraphs, each wrapped with its continuation indented."""
    return "\n".join(
        textwrap.fill(
            line, width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
        )
        for line in lines
    )
