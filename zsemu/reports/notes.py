# SPDX-License-Identifier: GPL-2.0-only
"""Say what stands beside the figures of a document: what was replayed, violations, definitions."""

import textwrap
from collections.abc import Iterable
from typing import Final

from zsemu.counts import LIMITS
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.reports.kernel_text import kernels
from zsemu.reports.reproduce import provenance
from zsemu.reports.tables import by_arch, trouble
from zsemu.results.document import Document

INTACT: Final = "intact"
BROKEN: Final = "BROKEN"


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


def wrapped(lines: Iterable[str], width: int) -> str:
    """Return paragraphs, each wrapped with its continuation indented."""
    return "\n".join(
        textwrap.fill(
            line, width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
        )
        for line in lines
    )


def notes(document: Document, *, width: int) -> str:
    """Return violations, provenance and limits as text, to accompany CSV and JSON."""
    prose = wrapped([*provenance(document), LIMITS], width)
    return "\n".join([*violations(document), prose, ""])
