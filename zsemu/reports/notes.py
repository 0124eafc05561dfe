# SPDX-License-Identifier: GPL-2.0-only
"""Say what stands beside the figures of a document: what was replayed, violations, definitions."""

from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import TextWrapper
from typing import Final

from zsemu.counts import LIMITS, NOT_CYCLES
from zsemu.guest.targets import known, target
from zsemu.replay.violations import check_of
from zsemu.reports.cache_tables import DEFINITIONS as CACHE_DEFINITIONS
from zsemu.reports.cache_tables import MODEL as CACHE_MODEL
from zsemu.reports.kernel_text import kernels
from zsemu.reports.reproduce import provenance, provenance_in_short
from zsemu.reports.tables import by_arch, trouble
from zsemu.reports.words import listed, span
from zsemu.results.document import Document, Record

INTACT: Final = "intact"
BROKEN: Final = "BROKEN"
MOST: Final = 4
"""lines of text for a provenance in short"""


def heading(document: Document) -> str:
    """Say what was replayed, in one line."""
    one = document.typical
    kernel = document.provenance.traces[one.trace].recorded_on
    return (
        f"{one.trace} ({kernel}): {one.operations} operations; geometry {one.geometry},"
        f" {one.page_size >> 10} KiB pages"
    )


@dataclass(frozen=True)
class MapsInWords:
    """How many maps the records of a document have: a number, or the least and the greatest."""

    total: str
    spanning: str
    """those of spanning objects; empty if there are none"""
    share: str
    """of all maps"""
    differ: bool
    """whether not all records have the same maps"""


def maps_in_words(document: Document) -> MapsInWords:
    """Say how many maps there are of all objects, and of spanning ones."""
    shares = sorted({(one.spanning_maps, one.maps) for one in document.records if one.maps})
    least, most = shares[0], shares[-1]
    return MapsInWords(
        span([str(maps) for maps in sorted(maps for _, maps in shares)]),
        span([str(spanning) for spanning, _ in shares]) if most[0] else "",
        span([f"{100 * spanning / maps:.1f} %" for spanning, maps in (least, most)]),
        least != most,
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
    if caches := document.provenance.cache:
        lines += [f"{caches}: {CACHE_MODEL}", *CACHE_DEFINITIONS]
    lines += [
        f"{record.arch} {record.strategy}: what it costs is no function of what it is given and of"
        " the page words; so every operation was observed, none multiplied."
        for record in document.records
        if record.intact and not record.shapes
    ]
    return [*lines, *kernels(document.provenance, by_arch(document)), *repeats(document)]


def repeats(document: Document) -> list[str]:
    """Say on which architectures instructions do not compare, in one line or none."""
    repeat = [arch for arch in by_arch(document) if arch in known() and target(arch).string_copy]
    if not repeat:
        return []
    return [
        f"{', '.join(repeat)}: a rep-prefixed instruction is one, however much it moves:"
        " compare bytes, not instructions, where strategies copy or swap."
    ]


def every_cell(document: Document) -> str:
    """Return the subject of a sentence about all cells, and its verb."""
    cells = len(document.records)
    return {1: "The cell is", 2: "Both cells are"}.get(cells, f"All {cells} cells are")


def broken_in_short(document: Document) -> list[str]:
    """Say which cells are not intact, a line for each strategy, and the first violation of all."""
    found: dict[str, list[Record]] = {}
    for record in document.records:
        if not record.intact:
            found.setdefault(record.strategy, []).append(record)
    lines = []
    for name, records in found.items():
        archs = listed(record.arch for record in records)
        checks = listed(dict.fromkeys(check_of(one) for each in records for one in each.violations))
        lines.append(f"{BROKEN}: {name} on {archs}: {checks}")
    firsts = [record for records in found.values() for record in records][:1]
    return [*lines, *(f"{one.arch} {one.strategy}: {one.violations[0]}" for one in firsts)]


def in_full(document: Document, *, width: int) -> str:
    """Return violations, provenance and limits as text, to accompany CSV and JSON."""
    prose = wrapped([*provenance(document), LIMITS], width)
    return "\n".join([*violations(document), prose, ""])


def in_short(document: Document, *, width: int) -> str:
    """Return what in_full() does without what the JSON holds anyway."""
    prose = wrapped([provenance_in_short(document), NOT_CYCLES], width, most=MOST)
    return "\n".join([*broken_in_short(document), prose, ""])


def wrapped(lines: Iterable[str], width: int, most: int | None = None) -> str:
    """Return paragraphs, each wrapped with its continuation indented.

    What is more than ``most`` lines of a paragraph is left out, and says so.
    """
    fill = TextWrapper(
        width,
        subsequent_indent="  ",
        break_on_hyphens=False,
        break_long_words=False,
        max_lines=most,
        placeholder=" [...]",
    ).fill
    return "\n".join(map(fill, lines))
