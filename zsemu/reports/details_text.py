# SPDX-License-Identifier: GPL-2.0-only
"""Write every figure of a document of results, as text, Markdown and CSV.

The figures of text and Markdown are means per map and unmap. CSV holds sums.
"""

import csv
import io
from collections.abc import Sequence
from typing import Final

from zsemu.counts import LIMITS
from zsemu.reports.markdown import markdown_table
from zsemu.reports.notes import BROKEN, INTACT, definitions, heading, violations, wrapped
from zsemu.reports.panels import Group, Panel
from zsemu.reports.reproduce import provenance
from zsemu.reports.tables import tables, trouble
from zsemu.results.document import Document, Record

_GAP: Final = "  "


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
        for panels in (one.costs, one.caches, *((one.splits,) if split else ())):
            if panels:
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
            wrapped([heading(document)], width),
            "",
            *_text_tables(document, relative_to, width, split),
            *([*broken, ""] if broken else []),
            wrapped(definitions(document, relative_to, split=split), width),
            "",
            wrapped([*provenance(document), LIMITS], width),
            "",
        ]
    )


# As Markdown and CSV.


def markdown(document: Document, *, relative_to: str, split: bool = False) -> str:
    """Return what text() does as GitHub's Markdown."""
    lines = [heading(document), ""]
    for arch, one in tables(document, relative_to).items():
        for panel in [*one.costs, *one.caches, *(one.splits if split else [])]:
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
            lines += [f"### {arch}: {panel.title}", "", *markdown_table([header, *rows]), ""]
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
