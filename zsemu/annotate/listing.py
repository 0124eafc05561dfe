# SPDX-License-Identifier: GPL-2.0-only
"""List the instructions of the functions that ran, each with its source line and its counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zsemu.annotate.profile import Profile
from zsemu.annotate.references import named
from zsemu.counts import PROFILE
from zsemu.errors import ZsemuError
from zsemu.guest.debug_lines import SourceLine, SourceLines
from zsemu.guest.image import Image, Symbol
from zsemu.replay.violations import Violation
from zsemu.results.throughput import ModelledLoop


@dataclass(frozen=True)
class Counts:
    """What some instructions did: the counts of zsemu.counts.PROFILE, in its order."""

    executions: int
    """a rep-prefixed instruction counts once, however many rounds it has"""
    string_iterations: int
    loads: int
    stores: int
    bytes_loaded: int
    bytes_stored: int

    @property
    def bytes(self) -> int:
        """Bytes loaded and stored."""
        return self.bytes_loaded + self.bytes_stored


def _counts(values: NDArray[np.int64]) -> Counts:
    return Counts(*values.tolist())


@dataclass(frozen=True)
class Row:
    """One instruction, and what it did in the phases that were asked for."""

    offset: int
    """from the start of its function, in bytes"""
    text: str
    """the disassembly, in which addresses are named (references.Named.text)"""
    key: str
    """equal for instructions that mean the same (references.Named.key)"""
    target: int | None
    """offset in the function that the instruction names, such as where it branches to"""
    place: SourceLine | None
    source: str
    """the text of that line; empty if it is not known"""
    counts: Counts


@dataclass(frozen=True)
class Function:
    """A function that ran in the phases that were asked for, all of its instructions in order."""

    name: str
    address: int
    rows: tuple[Row, ...]
    counts: Counts
    phases: dict[str, int]
    """instructions executed by phase, for the phases in which there were any"""

    @property
    def assembly(self) -> bool:
        """Whether it was written in assembly."""
        place = self.rows[0].place
        return place is not None and place.assembly


@dataclass(frozen=True)
class Listing:
    """What the instructions of one strategy did on one architecture."""

    arch: str
    strategy: str
    counted: str
    """the operations that were counted, in words"""
    maps: int
    """how many of these operations are maps"""
    violation_count: int
    violations: tuple[Violation, ...]
    """the first of them; if there is one, there are no functions, and the counts mean nothing"""
    phases: dict[str, Counts]
    """the counts of all functions, by each phase that was asked for"""
    functions: tuple[Function, ...]
    """in the order of their addresses, those written in assembly last"""
    loops: tuple[ModelledLoop, ...] = ()
    """the inner loops of the functions; empty also if llvm-mca was not asked"""

    @property
    def title(self) -> str:
        """Strategy and architecture."""
        return f"{self.strategy} on {self.arch}"

    @property
    def intact(self) -> bool:
        """Whether there was no violation."""
        return self.violation_count == 0

    @cached_property
    def counts(self) -> Counts:
        """The counts of all phases that were asked for, together."""
        each = [list(vars(counts).values()) for counts in self.phases.values()]
        return _counts(np.array(each, np.int64).sum(axis=0))

    def only(self, names: Sequence[str]) -> tuple[Function, ...]:
        """Return the functions of these names, or all for no names; ZsemuError for another name."""
        require(names, (function.name for function in self.functions), f"{self.title} executes")
        return tuple(f for f in self.functions if not names or f.name in names)


def require(names: Sequence[str], there: Iterable[str], who: str) -> None:
    """Raise ZsemuError for a name that is not in ``there``; ``who`` begins its sentence."""
    known = list(there)
    for name in names:
        if name not in known:
            raise ZsemuError(
                f"{who} no function {name!r} in these phases: there are {', '.join(known)};"
                " what is inlined is part of its callers"
            )


def listing(
    image: Image,
    sources: Sequence[Path],
    profile: Profile,
    *,
    strategy: str,
    counted: str,
    phases: Sequence[str],
) -> Listing:
    """Join a profile with the disassembly, the names of functions and the source lines.

    ZsemuError if what the instructions did does not add up to what was counted.
    """
    lines = SourceLines(image, sources)
    chosen = [profile.phases.index(phase) for phase in phases]
    start = image.text[0]
    ran = (np.flatnonzero(profile.counts[:, :, 0].any(axis=0)) + start).tolist()
    symbols = list(dict.fromkeys(filter(None, map(image.function, ran))))
    found, sums = [], np.zeros_like(profile.totals)
    for symbol in symbols:
        code = _code(image, symbol, ran)
        at = np.array([address - start for address in code])
        values = profile.counts[:, at]
        sums += values.sum(axis=1)
        if values[chosen].any():
            found.append(_function(image, symbol, code, values, phases, chosen, lines))
    _check(image, sums, profile)
    found.sort(key=lambda function: function.assembly)
    return Listing(
        arch=image.target.name,
        strategy=strategy,
        counted=counted,
        maps=profile.maps,
        violation_count=profile.violation_count,
        violations=tuple(profile.violations),
        phases={profile.phases[phase]: _counts(profile.totals[phase]) for phase in chosen},
        functions=tuple(found),
    )


def _code(image: Image, symbol: Symbol, ran: Sequence[int]) -> list[int]:
    """Return the addresses of a function's instructions; those behind its end only if they ran."""
    end = symbol.address + symbol.size
    inside = {address for address in image.instructions if symbol.address <= address < end}
    inside |= {a for a in ran if a in image.instructions and image.function(a) == symbol}
    return sorted(inside)


def _function(
    image: Image,
    symbol: Symbol,
    code: Sequence[int],
    values: NDArray[np.int64],
    phases: Sequence[str],
    chosen: Sequence[int],
    lines: SourceLines,
) -> Function:
    """Describe a function whose instructions did ``values``, shape (phases, len(code), PROFILE).

    ``chosen`` are the indices of those ``phases`` that are shown.
    """
    instructions = [image.instructions[address] for address in code]
    together = values[list(chosen)].sum(axis=0)
    rows = []
    for found, words, each in zip(
        instructions, named(image, symbol, instructions), together, strict=True
    ):
        place = lines.at(found.address)
        rows.append(
            Row(
                offset=found.address - symbol.address,
                text=words.text,
                key=words.key,
                target=None if words.target is None else words.target - symbol.address,
                place=place,
                source=lines.text(place) if place else "",
                counts=_counts(each),
            )
        )
    by_phase = {
        name: int(values[phase, :, 0].sum()) for name, phase in zip(phases, chosen, strict=True)
    }
    return Function(
        name=symbol.name,
        address=symbol.address,
        rows=tuple(rows),
        counts=_counts(together.sum(axis=0)),
        phases={phase: number for phase, number in by_phase.items() if number},
    )


def _check(image: Image, sums: NDArray[np.int64], profile: Profile) -> None:
    """Hold the sums over the instructions, shape (phases, PROFILE), against the counts."""
    for phase, column in np.argwhere(sums != profile.totals).tolist():
        raise ZsemuError(
            f"{image.path.name}: the instructions of {profile.phases[phase]} add up to"
            f" {sums[phase, column]} {PROFILE[column]}, and {profile.totals[phase, column]} were"
            " counted: a bug in zsemu"
        )
