# SPDX-License-Identifier: GPL-2.0-only
"""Golden counts: what settle, map and unmap of fixed shapes cost, as the file beside this has it.

``python -m golden`` in ``tests/`` measures them again, writes the file and names what moved.

A shape is an operation on an object in a slot, in a zspage of its own; the class is named by a
length that falls into it on every architecture. Geometry chain-8, pages of 4096 bytes:

======  ===============  ===========================================================================
length  class            slots
======  ===============  ===========================================================================
360     368              11 spans, 48 bytes in its first page, and 77, 32 in its second
700     720 or 704       0 does not span; 5 does, 224 or 128 bytes in its second page
1632    1680             2 spans, 736 bytes in its first page, and 4, 208 in its second; 3 does not
3600    3632             1 to 7 span, each the neighbour of the next: 464 bytes of 1 in its first
                         page, 384 of 7 in its second
4096    4096 (huge)      0, no header
======  ===============  ===========================================================================
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from samples import image, observed

from zsemu.annotate import one_operation
from zsemu.counts import COLUMNS, PHASES
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.paths import replacing
from zsemu.replay.placed_trace import PlacedTrace
from zsemu.replay.script import ScriptBuilder
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import geometry

FILE: Final = Path(__file__).parent / "counts.csv"
REMEDY: Final = "if that is meant, accept it: cd tests && python -m golden"

COUNTS: Final = (
    "instructions",
    "loads",
    "stores",
    "bytes_loaded",
    "bytes_stored",
    "pte_stores",
    "tlb_invalidates",
)

Key = tuple[str, str, str, str]
"""architecture, strategy, shape, phase"""
Counts = dict[Key, tuple[int, ...]]
"""as COUNTS"""

READ, WRITE, UPDATE = Operation.READ, Operation.WRITE, Operation.UPDATE
_MAPS: Final = (READ, WRITE, UPDATE)


@dataclass(frozen=True)
class Shape:
    """One operation, and what happens in its zspage directly before it."""

    kind: int
    """a length of the class"""
    slot: int
    operation: Operation
    length: str = "full"
    """of the map: all of the slot, "odd" or "short" (of a slot that spans, in its first page)"""
    after: tuple[Operation, int] | None = None
    """operation and slot"""

    @property
    def name(self) -> str:
        """Return what it is called in the file."""
        name = f"{self.kind}/{self.slot} {self.operation.name.lower()}"
        if self.length != "full":
            name += f" {self.length}"
        if self.after:
            name += f" after {self.after[1]} {self.after[0].name.lower()}"
        return name

    @property
    def phases(self) -> tuple[str, ...]:
        """Return what there is to count."""
        return ("map", "unmap") if self.operation in _MAPS else ("settle",)

    def build(self, builder: ScriptBuilder) -> int:
        """Append the operations and return the index of the one that is measured."""
        classes = builder.geometry
        class_index = int(classes.class_index(self.kind))
        full = int(classes.sizes[class_index] - classes.headers[class_index])
        mapped = {"full": full, "odd": full - 13, "short": full // 5}[self.length]
        one = one_operation.Shape(self.operation, full, self.slot, mapped, self.after)
        return one.append(builder)


_SPANNING: Final = ((360, 11), (360, 77), (700, 5), (1632, 2), (1632, 4), (3600, 1), (3600, 7))

SHAPES: Final = (
    *(Shape(kind, slot, how) for kind, slot in _SPANNING for how in _MAPS),
    *(Shape(kind, slot, how, "odd") for kind, slot in _SPANNING[3:] for how in (READ, WRITE)),
    *(Shape(1632, 2, how, "short") for how in (READ, WRITE)),
    # None of these spans.
    *(Shape(700, 0, how) for how in _MAPS),
    Shape(700, 0, READ, "odd"),
    Shape(4096, 0, READ),
    Shape(4096, 0, WRITE, "odd"),
    # A chain, where a strategy may have left something displaced.
    *(Shape(3600, 4, READ, after=(READ, slot)) for slot in (3, 4, 5)),
    Shape(3600, 4, WRITE, after=(READ, 3)),
    Shape(1632, 3, READ, after=(READ, 2)),
    Shape(1632, 4, UPDATE, after=(WRITE, 3)),
    # The allocator's own stores into the slot.
    Shape(3600, 4, Operation.ALLOCATE),
    Shape(3600, 4, Operation.ALLOCATE, after=(READ, 3)),
    Shape(3600, 4, Operation.FREE),
    Shape(3600, 4, Operation.FREE, after=(READ, 3)),
    Shape(3600, 4, Operation.FREE, after=(WRITE, 4)),
    Shape(1632, 3, Operation.FREE, after=(READ, 2)),
)


@cache
def placed(arch: str) -> tuple[PlacedTrace, list[int]]:
    """Return all shapes, and which operation each is."""
    machine = target(arch)
    builder = ScriptBuilder(
        geometry("chain-8", word_bits=machine.word_bits, physical_bits=machine.physical_bits)
    )
    at = [shape.build(builder) for shape in SHAPES]
    return builder.placed(), at


def measure(arch: str, strategy: str, path: str | Path | None = None) -> Counts:
    """Return the counts of one cell, with every operation observed; ``path`` replaces the file."""
    work, at = placed(arch)
    rows = observed(image(target(arch), path or strategy), work)[0][at]
    counts: Counts = {}
    for shape, row in zip(SHAPES, rows, strict=True):
        for phase in shape.phases:
            found = dict(zip(COLUMNS, row[PHASES.index(phase)].tolist(), strict=True))
            found["tlb_invalidates"] = sum(
                value for name, value in found.items() if name.startswith("tlb_")
            )
            counts[arch, strategy, shape.name, phase] = tuple(found[name] for name in COUNTS)
    return counts


def measure_all() -> Counts:
    """Return the counts of all cells."""
    return {
        key: value
        for arch in target_names()
        for strategy in strategy_names()
        for key, value in measure(arch, strategy).items()
    }


def text(counts: Counts) -> str:
    """Return the file's content: a line for each key, sorted."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("arch", "strategy", "shape", "phase", *COUNTS))
    writer.writerows((*key, *values) for key, values in sorted(counts.items()))
    return stream.getvalue()


def parse(content: str) -> Counts:
    """Return the counts in a file's content."""
    header, *lines = csv.reader(io.StringIO(content))
    assert header[4:] == list(COUNTS)
    return {
        (arch, name, shape, phase): tuple(map(int, values))
        for arch, name, shape, phase, *values in lines
    }


def load() -> Counts:
    """Return the counts in the file; none if there is no file yet."""
    return parse(FILE.read_text()) if FILE.exists() else {}


def save(counts: Counts) -> None:
    """Write the file."""
    with replacing(FILE) as stream:
        stream.write(text(counts).encode())


def moved(old: Counts, new: Counts) -> Iterator[str]:
    """Name every figure that differs, a line each, and every row that only one side has."""
    for key in sorted(old.keys() | new.keys()):
        where = " ".join(key[:2]) + f": {key[2]}: {key[3]}"
        if key not in new:
            yield f"{where}: no longer measured"
        elif key not in old:
            yield f"{where}: not in {FILE.name}"
        else:
            for name, before, now in zip(COUNTS, old[key], new[key], strict=True):
                if before != now:
                    yield f"{where} {name}: {before} -> {now}"


def cell(counts: Counts, arch: str, strategy: str) -> Counts:
    """Return the counts of one strategy on one architecture."""
    return {key: value for key, value in counts.items() if key[:2] == (arch, strategy)}
