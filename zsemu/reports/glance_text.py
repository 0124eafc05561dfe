# SPDX-License-Identifier: GPL-2.0-only
"""Write results at a glance: one table of ratios, strategies by architectures.

Below the table stands what its figures are, what is not intact, what made them, and where there is
more. While all cells are intact, all of it fits a terminal of 24 lines and 80 columns.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from zsemu.counts import NOT_CYCLES
from zsemu.reports.heat_table import heat_table
from zsemu.reports.kernel_text import other_maps
from zsemu.reports.markdown import escaped, markdown_table
from zsemu.reports.matrix import INSTRUCTIONS, WHOLE, Matrix, Measure
from zsemu.reports.notes import (
    BROKEN,
    MOST,
    broken_in_short,
    every_cell,
    heading,
    maps_in_words,
    repeats,
    wrapped,
)
from zsemu.reports.reproduce import provenance_in_short
from zsemu.results.limits import BYTES

_SCOPES: Final = {"total": "all", "spanning": "span"}
"""the scopes that are shown, and what stands above their figures"""
_COUNTED: Final = {BYTES: "loaded + stored", INSTRUCTIONS: "retired"}
_ONE: Final = "1.00 is"
"""the row of the base's own figures"""
_NONE: Final = "-"
_MORE: Final = "More: --details (all figures, flags, limits), --count instructions, --json FILE."


@dataclass(frozen=True)
class Cell:
    """What is shown of one cell of the matrix: a text for each scope."""

    figures: tuple[str, ...]
    least: tuple[bool, ...] = (False, False)
    """whether no strategy has less on this architecture"""
    broken: bool = False


@dataclass(frozen=True)
class Glance:
    """The table: rows by the name of the strategy, of a cell for each architecture."""

    title: str
    scopes: tuple[str, ...]
    archs: tuple[str, ...]
    rows: dict[str, list[Cell]]
    compares: bool
    """whether the figures are ratios, and the last row what they are to"""


def glance(matrix: Matrix, count: str) -> Glance:
    """Return the table of ``bytes`` or ``instructions``.

    Where there is nothing to compare with, it has the means themselves.
    """
    scopes = [scope for scope in _SCOPES if scope in matrix.distinct_scopes]
    heats = [dict(heat_table(matrix, Measure(count, scope, WHOLE)).rows) for scope in scopes]
    compares = len(matrix.strategies) > 1 and any(
        cell.ratio not in ("", _NONE) for heat in heats for row in heat.values() for cell in row
    )
    rows = {}
    for name in matrix.strategies:
        rows[name] = [
            Cell(
                tuple(
                    (cell.ratio.removesuffix("x") if compares else cell.figure) or _NONE
                    for cell in cells
                ),
                tuple(cell.least and compares and cell.ratio != _NONE for cell in cells),
                any(one.arch == arch and one.strategy == name for one in matrix.broken),
            )
            for arch, *cells in zip(matrix.archs, *(heat[name] for heat in heats), strict=True)
        ]
    if compares:
        bases = zip(*(heat[matrix.base] for heat in heats), strict=True)
        rows[_ONE] = [Cell(tuple(one.figure or _NONE for one in cells)) for cells in bases]
    what = f"ratio to {matrix.base}" if compares else "mean per map"
    labels = tuple(_SCOPES[scope] for scope in scopes)
    return Glance(f"{count} of {WHOLE}, {what}", labels, matrix.archs, rows, compares)


# What stands below the table.


def integrity_lines(matrix: Matrix) -> list[str]:
    """Say whether all cells are intact, or which are not."""
    if matrix.broken:
        return broken_in_short(matrix.document)
    return [f"{every_cell(matrix.document)} intact."]


def _definitions(matrix: Matrix, shown: Glance, count: str, mark: str) -> list[str]:
    """Say what the figures are; ``mark`` is how the fewest look."""
    document, maps = matrix.document, maps_in_words(matrix.document)
    lines = []
    if shown.compares:
        lines.append(f"{mark}: fewest of its column. {_ONE}: {matrix.base}'s mean per map.")
    cells = (cell for row in shown.rows.values() for cell in row)
    if any(_NONE in cell.figures and not cell.broken for cell in cells):
        lines.append(f"{_NONE}: no such cell, no such maps, or {matrix.base} has no figure.")
    counted = f"{count}: {_COUNTED[count]}"
    lines.append(f"{counted} in settle, map, unmap, and in the user's copy (access).")
    all_maps = f"all: {maps.total} maps"
    if len(shown.scopes) > 1:
        all_maps += f"; span: {maps.spanning} ({maps.share}) whose slot spans two pages"
    elif maps.spanning:
        all_maps += ", of slots that span two pages"
    lines += [f"{all_maps}.", *other_maps(document)]
    return [*lines, *(repeats(document) if count == INSTRUCTIONS else [])]


def _made_by(matrix: Matrix) -> list[str]:
    """Say what made the figures, what they cannot tell, and where there is more."""
    return [provenance_in_short(matrix.document), NOT_CYCLES, _MORE]


# As text.


def text(matrix: Matrix, *, count: str, width: int) -> str:
    """Return the table and what stands around it; architectures that do not fit stand below."""
    shown = glance(matrix, count)
    integrity, definitions = integrity_lines(matrix), _definitions(matrix, shown, count, "*")
    if shown.compares and not matrix.broken:
        definitions[0] = f"{integrity.pop()} {definitions[0]}"
    return "\n".join(
        [
            wrapped([heading(matrix.document)], width),
            "",
            shown.title,
            *blocks(shown, width),
            *integrity,
            wrapped(definitions, width),
            wrapped(_made_by(matrix), width, most=MOST),
            "",
        ]
    )


def tables_text(
    matrix: Matrix,
    shown: Iterable[Glance],
    below: Sequence[str],
    made_by: Sequence[str],
    width: int,
) -> str:
    """Return tables and what stands around them: sentences below, and what made the figures."""
    lines = [wrapped([heading(matrix.document)], width), ""]
    for one in shown:
        lines += [one.title, *blocks(one, width)]
    return "\n".join([*lines, wrapped(below, width), wrapped(made_by, width, most=MOST), ""])


def blocks(shown: Glance, width: int) -> Iterator[str]:
    """Yield the lines of the table, with as many architectures side by side as fit."""
    labels = ["", "strategy", *shown.rows]
    left = max(map(len, labels))
    panels = [_panel(shown, place) for place in range(len(shown.archs))]
    while panels:
        fits = next(
            n
            for n in range(len(panels), 0, -1)
            if n == 1 or left + sum(1 + len(panel[0]) for panel in panels[:n]) <= width
        )
        for label, *cells in zip(labels, *panels[:fits], strict=True):
            yield " ".join([label.ljust(left), *cells]).rstrip()
        yield ""
        panels = panels[fits:]


def _panel(shown: Glance, place: int) -> list[str]:
    """Return the lines of one architecture, all of the same width: its headers and its cells."""
    cells = [row[place] for row in shown.rows.values()]
    ratios = cells[:-1] if shown.compares else cells
    widths = [
        max(len(scope), *(len(cell.figures[i]) for cell in ratios))
        for i, scope in enumerate(shown.scopes)
    ]
    lines = [" ".join(map(str.rjust, shown.scopes, widths)) + " "]
    for cell in cells:
        if cell.broken:
            lines.append(BROKEN.rjust(sum(widths) + len(widths) - 1) + " ")
            continue
        # A mark stands in the gap behind a figure, where the last row may reach, too.
        parts = map(str.rjust, cell.figures, widths)
        marks = ("*" if least else " " for least in cell.least)
        line = "".join(part + mark for part, mark in zip(parts, marks, strict=False))
        lines.append(line if len(line) <= len(lines[0]) else line.rstrip())
    wide = max(map(len, [shown.archs[place], *lines]))
    return [line.rjust(wide) for line in (shown.archs[place].center(len(lines[0])), *lines)]


# As Markdown.


def markdown(matrix: Matrix, *, count: str) -> str:
    """Return what text() does as GitHub's Markdown."""
    lines = [escaped(heading(matrix.document)), "", *markdown_glance(matrix, count)]
    return "\n".join([*lines, *(f"- {escaped(line)}" for line in _made_by(matrix)), ""])


def markdown_glance(matrix: Matrix, count: str) -> list[str]:
    """Return the table, what is not intact, and the definitions as GitHub's Markdown."""
    shown = glance(matrix, count)
    below = [*integrity_lines(matrix), *_definitions(matrix, shown, count, "bold")]
    return [*markdown_blocks(shown), "", *(f"- {escaped(line)}" for line in below)]


def tables_markdown(
    matrix: Matrix, shown: Iterable[Glance], below: Sequence[str], made_by: Sequence[str]
) -> str:
    """Return what tables_text() does as GitHub's Markdown."""
    lines = [escaped(heading(matrix.document)), ""]
    for one in shown:
        lines += [*markdown_blocks(one), ""]
    return "\n".join([*lines, *(f"- {escaped(line)}" for line in (*below, *made_by)), ""])


def markdown_blocks(shown: Glance) -> list[str]:
    """Return the table as Markdown, its title first."""
    rows = [["strategy", *shown.archs]]
    for name, cells in shown.rows.items():
        rows.append([escaped(name), *map(_markdown_cell, cells)])
    title = escaped(f"{shown.title}: {' / '.join(shown.scopes)}")
    return [title, "", *markdown_table(rows)]


def _markdown_cell(cell: Cell) -> str:
    if cell.broken:
        return f"**{BROKEN}**"
    parts = zip(cell.figures, cell.least, strict=False)
    return " / ".join(f"**{figure}**" if least else figure for figure, least in parts)
