# SPDX-License-Identifier: GPL-2.0-only
"""Inner loops, and the cycles that llvm-mca gives them on models of CPUs.

``zsemu annotate --mca --format json`` writes them beside the figures of the instructions, and
``zsemu report --mca`` reads them there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zsemu.errors import ZsemuError
from zsemu.results.document import parse
from zsemu.results.json_file import read

ITERATIONS: Final = 1000
"""how often llvm-mca runs through a loop: so often that filling the pipeline hardly counts"""
STEP: Final = 64
"""the number of bytes of which the cycles are shown"""
DEFINITION: Final = (
    f"Cycles are llvm-mca's total of {ITERATIONS} iterations, divided by {ITERATIONS}; bytes are"
    " those that were counted, loaded and stored. So copying 64 bytes takes the cycles of 128, and"
    " exchanging 64 with 64 those of 256."
)
"""what the figures are"""
LIMITS: Final = (
    "llvm-mca speaks for LLVM's model of the CPU that is named, not for zsemu and not for a"
    " machine: each access hits the first cache, each branch is foreseen, nothing waits for"
    " decoding, no load waits for a store before it, and only the body of the loop runs."
)
"""what llvm-mca leaves out, as its manual says"""
_WRITTEN_BY: Final = "zsemu annotate STRATEGY --arch ARCH --mca --format json"


@dataclass(frozen=True)
class ModelledLoop:
    """An inner loop, what was counted of it, and what llvm-mca says of its body."""

    function: str
    first: int
    """offset in the function of its first instruction"""
    last: int
    """offset of its last instruction, which branches back to the first"""
    iterations: int
    """all that were executed; of a rep-prefixed instruction its rounds"""
    bytes_loaded: int
    """in all iterations"""
    bytes_stored: int
    """in all iterations"""
    assembly: tuple[str, ...]
    """its body as llvm-mca was given it; empty if there is nothing that could be given"""
    cycles: dict[str, int | None]
    """by CPU what ITERATIONS iterations take; None where that is not modelled"""
    unmodelled: dict[str, str]
    """why it is not, by CPU"""

    @property
    def bytes(self) -> float:
        """Bytes loaded and stored in one iteration."""
        return (self.bytes_loaded + self.bytes_stored) / self.iterations

    @property
    def range(self) -> str:
        """The offsets of the first and the last instruction."""
        behind = f"..+{self.last:#x}" if self.last > self.first else ""
        return f"+{self.first:#x}{behind}"

    @property
    def where(self) -> str:
        """The function and the range in it."""
        return f"{self.function}{self.range}"

    def rate(self, cpu: str) -> float | None:
        """Return the bytes that are loaded and stored in a cycle; None where it is not modelled."""
        cycles = self.cycles.get(cpu)
        return self.bytes * ITERATIONS / cycles if cycles else None

    def cycles_per_step(self, cpu: str) -> float | None:
        """Return the cycles in which STEP bytes are loaded or stored; None as for rate()."""
        rate = self.rate(cpu)
        return STEP / rate if rate else None


@dataclass(frozen=True)
class Loops:
    """The inner loops that one strategy executed on one architecture."""

    arch: str
    strategy: str
    loops: tuple[ModelledLoop, ...]


@dataclass(frozen=True)
class Throughput:
    """What one version of llvm-mca says of inner loops."""

    llvm_mca: str
    """the version"""
    listings: tuple[Loops, ...]


def load_all(paths: Sequence[Path]) -> Throughput:
    """Read the loops that annotations hold; ZsemuError if one has none, or another version's."""
    found = [_load(path) for path in paths]
    for path, one in zip(paths, found, strict=True):
        if one.llvm_mca != found[0].llvm_mca:
            raise ZsemuError(
                f"{path}: of llvm-mca {one.llvm_mca}, and {paths[0]} of {found[0].llvm_mca}: write"
                " both with the same"
            )
    return Throughput(found[0].llvm_mca, tuple(each for one in found for each in one.listings))


def _load(path: Path) -> Throughput:
    data = read(path, "loops", _WRITTEN_BY, {"llvm_mca", "listings"})
    if not data["llvm_mca"]:
        raise ZsemuError(f"{path}: holds no loops: write it with: {_WRITTEN_BY}")
    found: Throughput = parse(Throughput, data, str(path))
    for listing in found.listings:
        for loop in listing.loops:
            if loop.iterations < 1 or loop.bytes_loaded + loop.bytes_stored < 1:
                raise ZsemuError(f"{path}: {loop.where}: no loop that loads or stores anything")
    return found
