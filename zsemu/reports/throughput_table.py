# SPDX-License-Identifier: GPL-2.0-only
"""Set copying beside exchanging as llvm-mca sees them: bytes per cycle, by architecture and CPU."""

from dataclasses import dataclass
from typing import Final

from zsemu.guest.targets import known, target
from zsemu.results.throughput import ModelledLoop, Throughput

_PRIMITIVES: Final = {"zs_copy": "copying", "zs_swap": "exchanging"}
"""what the functions do that arch/ has for all strategies"""
_NONE: Final = "-"


@dataclass(frozen=True)
class ThroughputTable:
    """Bytes loaded and stored in a cycle, by CPU models and by what a loop does."""

    loops: tuple[str, ...]
    """the columns: copying, exchanging, and other loops by strategy and function"""
    rows: tuple[tuple[str, str, str, tuple[str, ...]], ...]
    """architecture, CPU, how that issues instructions (may be empty), and the cells as text"""
    unmodelled: tuple[str, ...]
    """why there is no figure, a sentence each"""

    def cells(self) -> list[list[str]]:
        """Return the table as rows of text, its header first."""
        head = ["model", "issues", *self.loops]
        return [head, *([f"{arch} {cpu}", how, *cells] for arch, cpu, how, cells in self.rows)]


def _name(strategy: str, loop: ModelledLoop) -> str:
    """Return the column of a loop."""
    return _PRIMITIVES.get(loop.function, f"{strategy}: {loop.function}")


def _dominant(found: Throughput) -> dict[tuple[str, str], ModelledLoop]:
    """Return of each architecture and column the loop that moved the most bytes."""
    loops: dict[tuple[str, str], ModelledLoop] = {}
    for listing in found.listings:
        for loop in listing.loops:
            key = listing.arch, _name(listing.strategy, loop)
            if key not in loops or _moved(loop) > _moved(loops[key]):
                loops[key] = loop
    return loops


def _moved(loop: ModelledLoop) -> int:
    return loop.bytes_loaded + loop.bytes_stored


def _cell(loop: ModelledLoop | None, cpu: str) -> str:
    rate = loop.rate(cpu) if loop else None
    return _NONE if rate is None else f"{rate:.2f}"


def throughput_table(found: Throughput) -> ThroughputTable:
    """Return the table of all loops; of several loops of a function, of the one that moved most."""
    loops = _dominant(found)
    others = [name for _, name in loops if name not in _PRIMITIVES.values()]
    columns = [name for name in _PRIMITIVES.values() if any(name == column for _, column in loops)]
    columns += dict.fromkeys(others)
    rows, unmodelled = [], []
    for arch in (name for name in known() if any(name == one for one, _ in loops)):
        how = dict(target(arch).models.cpus)
        own = [loops.get((arch, name)) for name in columns]
        for cpu in dict.fromkeys(cpu for loop in own if loop for cpu in loop.cycles):
            cells = tuple(_cell(loop, cpu) for loop in own)
            rows.append((arch, cpu, how.get(cpu, ""), cells))
        for name, loop in zip(columns, own, strict=True):
            for reason in dict.fromkeys(loop.unmodelled.values() if loop else ()):
                unmodelled.append(f"{arch}, {name}: {reason}.")
    return ThroughputTable(tuple(columns), tuple(rows), tuple(unmodelled))
