# SPDX-License-Identifier: GPL-2.0-only
"""Lay out the properties that a check measured of every strategy as a table."""

import textwrap
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from zsemu.check.findings import Properties
from zsemu.check.properties import Property
from zsemu.errors import ZsemuError
from zsemu.results.document import parse
from zsemu.results.json_file import read


@dataclass(frozen=True)
class Measured:
    """The properties that a check measured, as its JSON holds them."""

    properties: Properties
    provenance: str
    """what the check depends on, in words"""


_NAME: Final = 36
"""width of the column with the names of properties"""


@dataclass(frozen=True)
class Source:
    """Where properties come from."""

    key: str
    """under which they stand in the JSON"""
    command: str
    """which writes it"""


CHECKED: Final = Source("properties", "zsemu check -k properties --format json")
"""what a check measured"""
RACED: Final = Source("locks", "zsemu race --format json")
"""which locks strategies need"""


@dataclass(frozen=True)
class Row:
    """One property of every strategy."""

    group: str
    """the heading above the property, such as ``while mapped, slot behind``; may be empty"""
    name: str
    cells: tuple[str, ...]
    """the value of each strategy, with a ``*`` if architectures differ; empty if not measured"""


@dataclass(frozen=True)
class Table:
    """Properties by strategies."""

    archs: tuple[str, ...]
    strategies: tuple[str, ...]
    rows: tuple[Row, ...]
    differ: tuple[str, ...]
    """what the values with a ``*`` are on each architecture, a line each"""
    shown: tuple[str, ...]
    """the operation or instruction that shows each ``no``, a line each"""

    @property
    def where(self) -> str:
        """Say in one line on which architectures the values hold."""
        if len(self.archs) == 1:
            return f"Measured on {self.archs[0]}."
        if self.differ:
            return f"Measured on {', '.join(self.archs)}; * where they differ."
        return f"The same on all {len(self.archs)} architectures checked."


def table(properties: Properties) -> Table:
    """Return the table of properties, of which there must be some."""
    strategies = tuple(dict.fromkeys(name for own in properties.values() for name in own))
    values: dict[str, dict[str, dict[str, Property]]] = {}
    for arch, by_strategy in properties.items():
        for strategy, measured in by_strategy.items():
            for one in measured:
                values.setdefault(one.name, {}).setdefault(strategy, {})[arch] = one
    rows: list[Row] = []
    differ: list[str] = []
    shown: list[str] = []
    for name, of_strategies in values.items():
        cells = []
        for strategy in strategies:
            of_arch = of_strategies.get(strategy, {})
            first = next(iter(of_arch.values()), None)
            different = len({one.value for one in of_arch.values()}) > 1
            cells.append("" if first is None else first.value + "*" * different)
            if different:
                each = ", ".join(f"{arch} {one.value}" for arch, one in of_arch.items())
                differ.append(f"* {strategy}, {name}: {each}")
            no = next((one for one in of_arch.values() if one.shown_by), None)
            if no is not None:
                shown.append(f"{strategy}, {name}: {no.shown_by}")
        group, _, rest = name.rpartition(": ")
        rows.append(Row(group, rest, tuple(cells)))
    return Table(tuple(properties), strategies, tuple(rows), tuple(differ), tuple(shown))


def lines(properties: Properties, width: int, title: str = "properties") -> list[str]:
    """Return the table as text, then where architectures differ, then what shows each ``no``."""
    made = table(properties)
    column = 2 + max(len(cell) for row in made.rows for cell in row.cells)
    text = []
    for number, strategy in enumerate(made.strategies):
        bars = "".join(f"{'|':<{column}}" for _ in made.strategies[:number])
        text.append(f"{title if not number else '':{_NAME}}{bars}{strategy}")
    for group, rows in groupby(made.rows, key=lambda row: row.group):
        text += [f"{group}:"] if group else []
        for row in rows:
            label = f"  {row.name}" if group else row.name
            cells = "".join(f"{cell:{column}}" for cell in row.cells)
            text.append(f"{label:{_NAME}}{cells}".rstrip())
    text += ["", *(made.differ or [made.where])]
    if made.shown:
        text += ["", "What shows it:"]
        for line in made.shown:
            text += textwrap.wrap(line, width, initial_indent="  ", subsequent_indent="    ")
    return text


def load(path: Path, source: Source = CHECKED) -> Measured:
    """Read the properties that a command wrote as JSON; ZsemuError if there are none."""
    key, command = source.key, source.command
    data = read(path, key, command, {key, "provenance"})
    values = {"properties": data[key], "provenance": data["provenance"]}
    measured: Measured = parse(Measured, values, str(path))
    if not any(measured.properties.values()):
        raise ZsemuError(f"{path}: no {key} were measured: write it with: {command}")
    return measured
