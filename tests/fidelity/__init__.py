# SPDX-License-Identifier: GPL-2.0-only
"""How near copy-modes is to the kernels that it stands for: both on the same objects, measured.

``python -m fidelity linux-6.1 linux-6.12`` in ``tests/`` measures it with folders that ``zsemu
kernel build`` has made, and writes what it finds into ``kernels.csv`` beside this file. ``python -m
readme`` brings that into the READMEs.

Both map every slot of every size class of that kernel once, in its full length and in one mode.
Each figure is a mean for one map and its unmap.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from samples import image

from zsemu import counts
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.kernel import counts as kernel_counts
from zsemu.kernel.exercise import slots
from zsemu.kernel.facts import KernelFacts
from zsemu.kernel.replay import KernelReplay
from zsemu.kernel.steps import as_trace
from zsemu.kernel.strategy import KernelStrategy, strategy
from zsemu.replay.placed_trace import place_in_memory
from zsemu.replay.replay import Replay
from zsemu.traces.operation import Operation

FILE: Final = Path(__file__).parent / "kernels.csv"
OURS: Final = "copy-modes"
MODES: Final = {
    "read": counts.SPANNING_READ,
    "write": counts.SPANNING_WRITE,
    "update": counts.SPANNING_UPDATE,
}
"""operation to the scope of its spanning maps"""
_PHASES: Final = ("map", "unmap")


@dataclass(frozen=True)
class Row:
    """Spanning or other objects of one kernel on one architecture, in one mode."""

    kernel: str
    """name of the folder with its objects"""
    arch: str
    mode: str
    spanning: bool
    ours: float
    """instructions of copy-modes"""
    own: float
    """instructions of the kernel's own text"""
    both: float
    """of the kernel's own text and of what copies for it"""
    ours_pool: float
    """bytes that copy-modes loads from and stores into the pool"""
    pool: float
    """bytes that the kernel does"""
    ours_buffer: float
    """bytes that copy-modes loads from and stores into the per-CPU buffer"""
    buffer: float
    """bytes that the kernel does"""


def _sum(sums: NDArray[np.int64], phases: tuple[str, ...], scope: int) -> NDArray[np.int64]:
    """Return what map and unmap cost: columns, and before them the kinds of code if there are."""
    total: NDArray[np.int64] = sums[scope, [phases.index(name) for name in _PHASES]].sum(axis=0)
    return total


def _moved(row: NDArray[np.int64], columns: tuple[str, ...], region: str) -> int:
    names = (f"{region}.bytes_loaded", f"{region}.bytes_stored")
    return int(sum(row[columns.index(name)] for name in names))


def rows(facts: KernelFacts, kernel: str, mode: str) -> Iterator[Row]:
    """Replay both, and return the row of spanning objects and that of others."""
    arch = facts.linked.image.target.name
    steps = slots(facts.geometry, ((mode, 0),))
    placed = place_in_memory(as_trace(steps, facts.geometry), facts.geometry)
    ours = Replay(image(target(arch), OURS), placed).run()
    theirs = KernelReplay(facts, placed).run()
    assert ours.violation_count == theirs.violation_count == 0, theirs.violations
    spans = placed.placed.spans[placed.trace.operation >= Operation.READ]
    for spanning in (True, False):
        number = int(np.count_nonzero(spans == spanning))
        scope = MODES[mode] if spanning else counts.OTHER
        mine = _sum(ours.sums, counts.PHASES, scope)
        kinds = _sum(theirs.sums, kernel_counts.PHASES, scope)
        own = kinds[kernel_counts.KINDS.index("own")]
        both = own + kinds[kernel_counts.KINDS.index("copy")]
        figures = (
            int(mine[counts.INSTRUCTIONS]),
            int(own[kernel_counts.INSTRUCTIONS]),
            int(both[kernel_counts.INSTRUCTIONS]),
            *(
                _moved(row, columns, region)
                for region in ("pool", "buffer")
                for row, columns in ((mine, counts.COLUMNS), (both, kernel_counts.COLUMNS))
            ),
        )
        yield Row(kernel, arch, mode, spanning, *(round(one / number, 2) for one in figures))


def measure(folders: list[str]) -> list[Row]:
    """Measure objects in folders as ``zsemu kernel build`` makes them."""
    found: list[Row] = []
    for folder in folders:
        one = strategy(folder)
        assert isinstance(one, KernelStrategy), folder
        for arch in one.archs:
            for mode in MODES:
                found += rows(one.facts(arch), one.name, mode)
    return found


def written(some: list[Row]) -> str:
    """Return rows as CSV."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [one.name for one in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in some)
    return stream.getvalue()


@cache
def kept() -> tuple[Row, ...]:
    """Return the rows in FILE."""
    kinds: dict[str, Any] = {one.name: float for one in fields(Row)}
    kinds |= dict.fromkeys(("kernel", "arch", "mode"), str) | {"spanning": "True".__eq__}
    with FILE.open(newline="") as stream:
        return tuple(
            Row(**{name: kinds[name](value) for name, value in line.items()})
            for line in csv.DictReader(stream)
        )


# Tables.


def _kernels() -> list[str]:
    return list(dict.fromkeys(row.kernel for row in kept()))


def _line(first: str, cells: list[str]) -> str:
    return (f"{first:8}" + "".join(cells)).rstrip() + "\n"


def instructions(kernel: str, *, modes: tuple[str, ...] = tuple(MODES)) -> str:
    """Return the table of one kernel: instructions of copy-modes, of its own text, of both."""
    columns = [(mode, True) for mode in modes] + [(modes[0], False)]
    heads = [f"{mode}, {'spanning' if spans else 'other'}" for mode, spans in columns]
    text = f"{kernel}: instructions of map + unmap\n\n"
    text += _line("", [f"  {head:-^23}" for head in (f" {head} " for head in heads)])
    text += _line("", [f"  {'ours':>5}{'own':>6}{'+copy':>6}{'ratio':>6}" for _ in heads])
    table = {(r.arch, r.mode, r.spanning): r for r in kept() if r.kernel == kernel}
    for arch in target_names():
        cells = []
        for mode, spans in columns:
            row = table[arch, mode, spans]
            ratio = f"{row.both / row.ours:.2f}x"
            cells.append(f"  {row.ours:5.0f}{row.own:6.0f}{row.both:6.0f}{ratio:>6}")
        text += _line(arch, cells)
    return text


def moved() -> str:
    """Return the table of bytes in the pool and the buffer, of spanning objects."""
    text = "Bytes of map + unmap, spanning objects: those of copy-modes, and the kernel's\n\n"
    text += _line("", [f"  {f' {mode} ':-^28}" for mode in MODES])
    text += _line("", [f"  {'pool':^14}{'buffer':^14}" for _ in MODES])
    for kernel in _kernels():
        text += f"{kernel}\n"
        for arch in target_names():
            cells = []
            for mode in MODES:
                (row,) = (
                    r
                    for r in kept()
                    if (r.kernel, r.arch, r.mode, r.spanning) == (kernel, arch, mode, True)
                )
                pairs = ((row.ours_pool, row.pool), (row.ours_buffer, row.buffer))
                cells.append("  " + "".join(f"{a:6.0f} {b:6.0f} " for a, b in pairs))
            text += _line(arch, cells)
    return text


def everything() -> str:
    """Return all tables."""
    return "\n".join([*(instructions(kernel) for kernel in _kernels()), moved()])
