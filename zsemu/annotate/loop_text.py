# SPDX-License-Identifier: GPL-2.0-only
"""Write what llvm-mca says of inner loops: a line above the loop, and a table of all loops."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from zsemu.annotate.listing import Function, Listing
from zsemu.annotate.text_columns import table
from zsemu.guest.targets import target
from zsemu.results.throughput import STEP, ModelledLoop

NOTHING: Final = "No inner loop that loads or stores was executed."
_NONE: Final = "-"


def _shown(loop: ModelledLoop, cpu: str) -> str:
    cycles = loop.cycles_per_step(cpu)
    return _NONE if cycles is None else f"{cycles:.2f}"


def _number(value: float) -> str:
    return f"{value:.4g}"


def above(listing: Listing, function: Function, width: int) -> dict[int, list[str]]:
    """Return the lines for each loop of a function, by the offset of its first instruction."""
    lines = {}
    for loop in listing.loops:
        if loop.function == function.name:
            figures = ", ".join(f"{cpu} {_shown(loop, cpu)}" for cpu in loop.cycles)
            said = figures if any(loop.cycles.values()) else "not modelled"
            said = f"loop {loop.range}, cycles per {STEP} bytes: {said}"
            lines[loop.first] = textwrap.wrap(said, width, subsequent_indent="  ")
    return lines


def _table(listing: Listing, loops: Sequence[ModelledLoop]) -> list[str]:
    cpus = list(loops[0].cycles)
    rows = [["loop", "iterations", "bytes", *cpus]]
    for loop in loops:
        figures = [_shown(loop, cpu) for cpu in cpus]
        rows.append([loop.where, str(loop.iterations), _number(loop.bytes), *figures])
    return [f"{listing.title}: cycles per {STEP} bytes", *table(rows)]


def _reasons(loops: Sequence[ModelledLoop]) -> Iterator[str]:
    """Say why there are no figures, once for all CPUs of a loop that have the same reason."""
    for loop in loops:
        by_reason: dict[str, list[str]] = {}
        for cpu, reason in loop.unmodelled.items():
            by_reason.setdefault(reason, []).append(cpu)
        for reason, cpus in by_reason.items():
            whose = f" on {', '.join(cpus)}" if cpus != list(loop.cycles) else ""
            yield f"{loop.where} is not modelled{whose}: {reason}."


def _issue(arch: str, loops: Sequence[ModelledLoop]) -> Iterator[str]:
    """Say how the CPUs issue instructions of which that is known."""
    for cpu, how in target(arch).models.cpus:
        if any(loop.cycles.get(cpu) for loop in loops):
            yield f"{cpu} issues {how}."


def tables(listings: Sequence[Listing], functions: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the lines of a table for each listing, and the sentences below them.

    Of all loops, or of those in the functions that are named.
    """
    lines: list[str] = []
    below: list[str] = []
    for listing in listings:
        loops = [one for one in listing.loops if not functions or one.function in functions]
        if loops:
            lines += ["", *_table(listing, loops)]
            below += [*_reasons(loops), *_issue(listing.arch, loops)]
        else:
            lines += ["", f"{listing.title}: {NOTHING}"]
    return lines, list(dict.fromkeys(below))
