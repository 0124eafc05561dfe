# SPDX-License-Identifier: GPL-2.0-only
"""The parts that tables of figures are made of, and how figures are written in them."""

from collections.abc import Sequence
from dataclasses import dataclass

from zsemu.results.document import Record


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


def figures(values: Sequence[float | None], decimals: int, *, zero: str = "") -> list[str]:
    """Return the cells of a column; ``zero``, if given, stands for a figure that is 0."""
    return [
        "" if value is None else zero if zero and not value else f"{value:.{decimals}f}"
        for value in values
    ]


def times(ratio: float) -> str:
    """Return a ratio as text, in the form that all reports print."""
    return f"{ratio:.2f}x" if ratio < 9.995 else f"{ratio:.1f}x"


def ratio_text(value: float | None, base: float | None) -> str:
    """Return a figure over that of the base as text; empty if there is none."""
    if value is None:
        return ""
    if not base:
        return "-"
    return times(value / base)


def scope_title(record: Record, scope: str) -> str:
    """Return how many maps figures are of, in words."""
    if scope == "total":
        return f"all {record.maps} maps"
    share = 100 * record.spanning_maps / record.maps
    return f"{record.spanning_maps} spanning maps ({share:.1f} %)"
