# SPDX-License-Identifier: GPL-2.0-only
"""What was measured, as tables for reading and as JSON."""

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from bench.measure import COUNTED, PYTHON, UNHOOKED, Cell, Level, Part
from bench.programs import versions
from zsemu.paths import replacing
from zsemu.results.document import Provenance

SCHEMA: Final = 1
_NAME: Final = 38
_LEAST: Final = {
    PYTHON: (100, 100),
    "qemu-user, and memory by region": (2, 2),
    "callgrind --cache-sim=yes": (1, 2),
}
"""how many times as fast as a level all counts are to be, per instruction: to hold, and the goal"""
_MOST: Final = (1.5, 1.2)
"""the replay with all counts over the one with no hook: to hold, and the goal"""


def _figures(part: Part, seconds: float, base: float) -> str:
    rate, each = part.instructions / seconds / 1e6, seconds / max(part.maps, 1) * 1e6
    return f"{rate:9.2f} {each:9.2f} {seconds / base:8.2f}"


def _row(part: Part, level: Level) -> str:
    bare = part.levels[UNHOOKED]
    whole = _figures(part, level.whole, bare.whole) if level.replays else f"{'-':>9} {'':18}"
    return f"{level.name:{_NAME}}{whole} {_figures(part, level.emulation, bare.emulation)}"


def _table(part: Part) -> Iterator[str]:
    heads = (f"{f' {title} ':-^27}" for title in ("whole replay", "emulation alone"))
    yield f"{'':{_NAME}} {'  '.join(heads)}"
    yield f"{'':{_NAME}}" + " ".join([f"{'M instr/s':>9} {'us a map':>9} {'time':>8}"] * 2)
    for level in part.levels.values():
        yield _row(part, level)


@dataclass(frozen=True)
class Target:
    """A figure and what it is to be."""

    what: str
    where: str
    """which figure of ours it is about"""
    value: float
    holds: bool
    reached: bool
    """the goal, too"""

    @property
    def verdict(self) -> str:
        """Return it in a word."""
        return "goal reached" if self.reached else "holds" if self.holds else "missed"


def targets(cell: Cell) -> Iterator[Target]:
    """Yield all that there are figures for."""
    ratio, (most, goal) = cell.over_unhooked(), _MOST
    what = f"all counts over no hook: at most {most}, goal {goal}"
    yield Target(what, "whole trace, whole replay", ratio, ratio <= most, ratio <= goal)
    for name, (least, goal) in _LEAST.items():
        if name not in cell.batch.levels:
            continue
        theirs = cell.batch.levels[name].emulation / cell.batch.instructions
        goal_ = f", goal {goal}" if goal > least else ""
        what = f"times as fast as {name}: at least {least}{goal_}"
        for where, part in (("whole trace", cell.trace), ("first operations", cell.batch)):
            ours = part.levels[COUNTED]
            for how, seconds in (
                ("whole replay", ours.whole),
                ("emulation alone", ours.emulation),
            ):
                times = theirs * part.instructions / seconds
                yield Target(what, f"{where}, {how}", times, times >= least, times >= goal)


def _verdicts(cell: Cell) -> Iterator[str]:
    for what, every in groupby(targets(cell), lambda one: one.what):
        yield what
        for one in every:
            yield f"    {one.where:34}{one.value:8.2f}  {one.verdict}"


def text(cell: Cell, name: str, repeat: int) -> str:
    """Return the tables of one architecture; the time of a level is relative to no hook."""
    trace, batch = cell.trace, cell.batch
    lines = [
        f"{cell.arch}: {name}: medians of {repeat}",
        f"the whole trace, {trace.operations} operations, and the read-back: {trace.maps} maps,"
        f" {trace.instructions} guest instructions",
        *_table(trace),
        "",
        f"the first {batch.operations} operations: {batch.maps} maps,"
        f" {batch.instructions} guest instructions",
        *_table(batch),
        "",
        *_verdicts(cell),
        *(f"left out: {line}" for line in cell.missing),
    ]
    return "\n".join([*lines, ""])


def document(cells: list[Cell], provenance: Provenance, strategy: str) -> dict[str, Any]:
    """Return everything, with the seconds of every run."""
    return {
        "schema": SCHEMA,
        "provenance": asdict(provenance),
        "machine": platform.machine(),
        "programs": versions([cell.arch for cell in cells]),
        "strategy": strategy,
        "archs": {
            cell.arch: {
                "whole_trace": _part(cell.trace),
                "first_operations": _part(cell.batch),
                "targets": [asdict(one) | {"verdict": one.verdict} for one in targets(cell)],
                "left_out": list(cell.missing),
            }
            for cell in cells
        },
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "operations": part.operations,
        "maps": part.maps,
        "instructions": part.instructions,
        "levels": {
            name: {
                "rounds": level.rounds,
                "whole_seconds": [run.whole for run in level.runs],
                "emulation_seconds": [run.emulation for run in level.runs],
                "instructions_per_second": part.instructions / level.emulation,
            }
            for name, level in part.levels.items()
        },
    }


def save(content: dict[str, Any], path: Path) -> None:
    """Write it as JSON, whole or not at all."""
    with replacing(path) as stream:
        stream.write(json.dumps(content, indent=2).encode() + b"\n")
