# SPDX-License-Identifier: GPL-2.0-only
"""Limits: how much a count may rise, as the command line and tests give them.

A limit is written ``[ARCH/STRATEGY:][PHASE.]COUNT=BOUND``:

``ARCH/STRATEGY``
    which cells it is for: shell patterns, ``*/*`` if left out
``PHASE``
    settle, map, access or unmap; if left out, what the strategy does: the sum of settle, map, unmap
``COUNT``
    a count of results (zsemu.results.document): ``instructions``, ``tlb_invalidates.page_local``,
    ``regions.pool.bytes_loaded``, ``classes.branch``; or ``bytes``, those loaded and stored
``BOUND``
    ``5%`` may rise by that share of the old count, ``+100`` by that much; ``10000`` is the most it
    may be, whatever it was
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

from zsemu.counts import PHASES, STRATEGY_PHASES
from zsemu.errors import ZsemuError
from zsemu.results.document import PATHS, SCALARS, Record

BYTES: Final = "bytes"
COUNTS: Final = (*PATHS, BYTES, "tlb_invalidates")
"""what a limit can name"""

_BOUND: Final = re.compile(r"(?P<share>\d+(\.\d+)?)%|\+(?P<rise>\d+)|(?P<most>\d+)")
_EXAMPLE: Final = "such as map.instructions=5%, stores=+100 or arm/copy*:bytes=10000"


def value(record: Record, count: str, phases: tuple[str, ...], scope: str = "total") -> int:
    """Return a count of COUNTS summed over phases; KeyError after a violation."""
    names = ("bytes_loaded", "bytes_stored") if count == BYTES else (count,)
    return sum(record.sum(name, scope, phases) for name in names)


@dataclass(frozen=True)
class Limit:
    """One limit."""

    text: str
    """as it was given"""
    arch: str
    strategy: str
    """patterns"""
    phases: tuple[str, ...]
    count: str
    kind: Literal["share", "rise", "most"]
    bound: float

    def applies(self, record: Record) -> bool:
        """Return whether it is for this cell."""
        return fnmatchcase(record.arch, self.arch) and fnmatchcase(record.strategy, self.strategy)

    @property
    def needs_base(self) -> bool:
        """Whether it says something only of a rise."""
        return self.kind != "most"

    def most(self, old: int | None) -> float:
        """Return the highest count it allows; ``old`` is the base's, None if there is none."""
        if self.kind == "most":
            return self.bound
        if old is None:
            raise ZsemuError(f"limit {self.text}: there is nothing that it could have risen from")
        return old * (1 + self.bound / 100) if self.kind == "share" else old + self.bound

    def exceeded(self, old: int | None, new: int) -> bool:
        """Return whether ``new`` is more than it allows."""
        if self.kind == "share":
            assert old is not None or self.most(old)
            # Not by way of a rounded product: 5 % of 100 is 5.
            return 100 * (new - (old or 0)) > self.bound * (old or 0)
        return new > self.most(old)


def parse(text: str) -> Limit:
    """Return the limit that a text stands for; ZsemuError says what is wrong with it."""
    left, equals, bound = text.rpartition("=")
    cells, colon, path = left.rpartition(":")
    arch, slash, strategy = cells.partition("/") if colon else ("*", "/", "*")
    found = _BOUND.fullmatch(bound.strip())
    if not equals or not found or not slash or not arch or not strategy:
        raise ZsemuError(f"limit {text!r}: not [ARCH/STRATEGY:][PHASE.]COUNT=BOUND, {_EXAMPLE}")
    phase, dot, count = path.strip().partition(".")
    phases: tuple[str, ...] = (phase,)
    if not dot or phase not in PHASES:
        phases, count = STRATEGY_PHASES, path.strip()
    if count not in COUNTS:
        raise ZsemuError(
            f"limit {text!r}: no count {count!r}; there are {', '.join(SCALARS)}, {BYTES},"
            " tlb_invalidates, classes.CLASS and regions.REGION.COUNT"
        )
    for kind in ("share", "rise", "most"):
        if found[kind] is not None:
            break
    return Limit(text, arch, strategy, phases, count, kind, float(found[kind]))
