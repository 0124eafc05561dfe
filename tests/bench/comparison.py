# SPDX-License-Identifier: GPL-2.0-only
"""Whole commands, and the replays of two checkouts, as tables for reading and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from statistics import median
from typing import Any, Final

from bench.against import Row
from bench.commands import Timed
from bench.resources import Took
from bench.targets import MEMORY, SECONDS, Target

_COLUMNS: Final = ("seconds", "processor", "memory")
_HEADS: Final = ("seconds", "CPU seconds", "MiB")
_NAME: Final = 38


def _medians(runs: list[Took]) -> list[float]:
    return [median(getattr(took, column) for took in runs) for column in _COLUMNS]


def _judged(timed: Timed) -> Iterator[tuple[str, Target, float]]:
    """Yield what this checkout is held to: a column, its target, the median."""
    values = dict(zip(_COLUMNS, _medians(timed.runs["this"]), strict=True))
    for column, targets in (("seconds", SECONDS), ("memory", MEMORY)):
        if timed.line in targets:
            yield column, Target(targets[timed.line]), values[column]


def timed_lines(timed: Timed) -> Iterator[str]:
    """Yield the lines about a command: medians by checkout, their ratio, what they should be."""
    yield timed.title
    yield f"    {'':12}" + "".join(f"{head:>14}" for head in _HEADS)
    medians = {name: _medians(runs) for name, runs in timed.runs.items()}
    for name, values in medians.items():
        # A command may end before its memory is sampled.
        cells = (f"{value:14.2f}" if value else f"{'-':>14}" for value in values)
        yield f"    {name:12}" + "".join(cells)
    if "other" in medians:
        pairs = zip(medians["other"], medians["this"], strict=True)
        cells = (f"{other / this:14.2f}" if this else f"{'-':>14}" for other, this in pairs)
        yield f"    {'other / this':12}" + "".join(cells)
    for column, target, value in _judged(timed):
        head = _HEADS[_COLUMNS.index(column)]
        yield f"    {head}, {target.verdict(value)}"


def row_lines(title: str, rows: list[Row]) -> Iterator[str]:
    """Yield a table of the figures of two checkouts."""
    yield f"{title:{_NAME}}{'this':>9}{'other':>9}{'other / this':>14}"
    for what, every in groupby(rows, lambda one: one.what):
        yield what
        for row in every:
            this, other = row.values
            there = f"{'-':>9}{'-':>14}" if other is None else f"{other:9.3f}{row.ratio:14.2f}"
            yield f"    {row.where:{_NAME - 4}}{this:9.3f}{there}  {row.verdict}".rstrip()


def timed_document(timed: Timed) -> dict[str, Any]:
    """Return all runs of a command, and what this checkout is held to."""
    return {
        "command": timed.line,
        "cached": timed.cached,
        "runs": {name: [asdict(took) for took in runs] for name, runs in timed.runs.items()},
        "targets": [
            {"figure": column, "value": value, "verdict": target.verdict(value)} | asdict(target)
            for column, target, value in _judged(timed)
        ],
    }


def rows_document(rows: list[Row]) -> list[dict[str, Any]]:
    """Return the figures of two checkouts."""
    return [asdict(row) | {"ratio": row.ratio, "verdict": row.verdict} for row in rows]
