# SPDX-License-Identifier: GPL-2.0-only
"""Lay out in columns what instructions did, and colour them by their share of the whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from zsemu.annotate.listing import Counts, Function, Listing, Row

Line = tuple[str, str]
"""a line of text, and its style on a terminal in the words of rich; empty for no style"""

PLAIN, TITLE, SOURCE, HOT, WARM, COLD = "", "bold", "cyan", "bold red", "green", "dim"

NOTHING: Final = "No instruction was executed."

_HOT, _WARM = 5.0, 0.5
"""the least percentage of each colour, as in perf annotate"""


@dataclass(frozen=True)
class Item:
    """An instruction of a listing."""

    listing: Listing
    function: Function
    row: Row

    @property
    def counts(self) -> Counts:
        """What the instruction did."""
        return self.row.counts

    @property
    def heat(self) -> str:
        """The style for the share of all instructions or of all bytes, whichever is greater."""
        if not self.counts.executions:
            return COLD
        whole = self.listing.counts
        share = max(
            percent(self.counts.executions, whole.executions),
            percent(self.counts.bytes, whole.bytes),
        )
        return HOT if share >= _HOT else WARM if share >= _WARM else PLAIN

    @property
    def rounds(self) -> str:
        """The rounds of a rep-prefixed instruction, as a comment."""
        number = self.counts.string_iterations
        return f"  ; {number} rounds" if number else ""

    def at(self, *, full: bool) -> str:
        """Return the offset in the function; with ``full`` the function's name stands before it."""
        return f"{self.function.name if full else ''}+{self.row.offset:#x}"

    @property
    def source(self) -> str:
        """The line of C that the instruction was compiled from; empty for assembly."""
        place = self.row.place
        if place is None:
            return "(no line of C)"
        return "" if place.assembly else f"{place.name}: {self.row.source}"


def items(listing: Listing, functions: Sequence[Function]) -> list[Item]:
    """Return all instructions of some functions."""
    return [Item(listing, function, row) for function in functions for row in function.rows]


def percent(part: int, whole: int) -> float:
    """Return a share in percent; 0 if the whole is 0."""
    return 100 * part / whole if whole else 0.0


def cut(text: str, width: int) -> str:
    """Return a text, shortened if it is wider than ``width`` columns."""
    return text if len(text) <= width else f"{text[: width - 3]}..."


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows, the first of them the headers: the first column left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    ]


# What can stand in a column. A cell is empty where an instruction did nothing of the kind.


def _share(item: Item) -> str:
    part, whole = item.counts.executions, item.listing.counts.executions
    return f"{percent(part, whole):.1f}" if part else ""


def _mean(item: Item) -> str:
    part, maps = item.counts.executions, item.listing.maps
    return f"{part / maps:.2f}" if part and maps else ""


def _count(field: str) -> Callable[[Item], str]:
    def value(item: Item) -> str:
        return str(getattr(item.counts, field) or "")

    return value


_EXECUTIONS: Final = ("exec", lambda item: str(item.counts.executions))
_LOADED: Final = ("ld bytes", _count("bytes_loaded"))
_STORED: Final = ("st bytes", _count("bytes_stored"))
_TRAFFIC: Final = (("loads", _count("loads")), ("stores", _count("stores")), _LOADED, _STORED)

Columns = tuple[tuple[str, Callable[[Item], str]], ...]
ALONE: Final[tuple[Columns, ...]] = (
    (("%", _share), _EXECUTIONS, ("per map", _mean), *_TRAFFIC),
    (("%", _share), _EXECUTIONS, *_TRAFFIC),
)
"""the columns of one listing; of several choices the widest first"""
BESIDE: Final[tuple[Columns, ...]] = (
    (_EXECUTIONS, *_TRAFFIC),
    (_EXECUTIONS, _LOADED, _STORED),
    (_EXECUTIONS, ("bytes", _count("bytes"))),
)
"""the columns of each of two listings beside each other; the widest choice first"""


class Layout:
    """Puts the figures, the offset and the text of instructions into columns of fixed widths."""

    def __init__(self, columns: Columns, every: Sequence[Item], *, full: bool) -> None:
        """Make the columns wide enough for some items; ``full`` as for Item.at()."""
        self._columns, self._full = columns, full
        cells = [[value(item) for _, value in columns] for item in every]
        self._widths = [
            max([len(header), *(len(row[i]) for row in cells)])
            for i, (header, _) in enumerate(columns)
        ]
        self._at = max((len(item.at(full=full)) for item in every), default=2)
        words = max((len(item.row.text) for item in every), default=0)
        self.width = sum(width + 1 for width in self._widths) + self._at + 2 + words
        """columns of the widest line, without comments"""

    def header(self) -> str:
        """Return the line that stands above the columns."""
        names = (n.rjust(w) for (n, _), w in zip(self._columns, self._widths, strict=True))
        return " ".join([*names, "at"])

    def line(self, item: Item, width: int, *, cut_rounds: bool = False) -> str:
        """Return the line of an instruction, with its rounds and its source file as comments.

        The file is named only for assembly, and only if that fits into ``width``. With
        ``cut_rounds`` the rounds, too, are left out if they do not fit.
        """
        figures = (
            value(item).rjust(width)
            for (_, value), width in zip(self._columns, self._widths, strict=True)
        )
        text = " ".join([*figures, f"{item.at(full=self._full):{self._at}}  {item.row.text}"])
        if not cut_rounds or len(text) + len(item.rounds) <= width:
            text += item.rounds
        place = item.row.place
        behind = f"  ; {place.name}" if place and place.assembly else ""
        return text + behind if len(text) + len(behind) <= width else text
