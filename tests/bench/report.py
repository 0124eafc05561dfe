# SPDX-License-Identifier: GPL-2.0-only
"""What was measured of replays, as tables for reading and as JSON."""

import json
import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from bench.figures import UNHOOKED, Figure, Measured, ratios
from bench.measure import Cell, Level, Part
from bench.programs import versions
from zsemu.paths import replacing
from zsemu.results.document import Provenance

SCHEMA: Final = 2
_NAME: Final = 38


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


def _verdicts(figures: Iterable[Figure]) -> Iterator[str]:
    for what, every in groupby(figures, lambda one: one.what):
        yield what
        for one in every:
            yield f"    {one.where:34}{one.value:8.2f}  {one.verdict}".rstrip()


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
        *_verdicts(ratios(cell.arch, _measured(cell))),
        *(f"left out: {line}" for line in cell.missing),
    ]
    return "\n".join([*lines, ""])


def document(cells: list[Cell], provenance: Provenance, strategy: str) -> dict[str, Any]:
    """Return everything, with the CPU seconds of every run."""
    return {
        "schema": SCHEMA,
        "provenance": asdict(provenance),
        "machine": platform.machine(),
        "programs": versions([cell.arch for cell in cells]),
        "strategy": strategy,
        "archs": {cell.arch: _judged(cell) for cell in cells},
    }


def _judged(cell: Cell) -> dict[str, Any]:
    measured = _measured(cell)
    figures = [asdict(one) | {"verdict": one.verdict} for one in ratios(cell.arch, measured)]
    return measured | {"figures": figures, "left_out": list(cell.missing)}


def _measured(cell: Cell) -> Measured:
    return {"whole_trace": _part(cell.trace), "first_operations": _part(cell.batch)}


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
