# SPDX-License-Identifier: GPL-2.0-only
"""Parse the limits that the command line and tests set on counts, and apply them to records.

A limit is written ``[ARCH/STRATEGY:][PHASE.]COUNT=BOUND``:

``ARCH/STRATEGY``
    which cells the limit is for: two shell patterns, ``*/*`` if left out
``PHASE``
    settle, map, access or unmap; if left out, the sum of settle, map and unmap, which is what the
    strategy itself does; of a kernel's object also malloc or free
``COUNT``
    a count of results (zsemu.results.document): ``instructions``, ``tlb_invalidates.page_local``,
    ``regions.pool.bytes_loaded``, ``classes.branch``; or ``bytes``, those loaded and stored; of a
    kernel's object also each of these with ``own.``, ``copy.`` or ``stand_in.`` before it; where
    caches were modelled, also ``cache.l1_misses`` and so on
``BOUND``
    ``5%``: the count may rise by that share of the old count; ``+100``: it may rise by that much;
    ``10000``: it may be no more than that, whatever the old count is
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

from zsemu.counts import ALLOCATOR_PHASES, PARTS, PHASES, STRATEGY_PHASES
from zsemu.errors import ZsemuError
from zsemu.results.document import CACHE_PATHS, PATHS, SCALARS, Record

BYTES: Final = "bytes"
COUNTS: Final = (*PATHS, *CACHE_PATHS, BYTES, "tlb_invalidates")
"""every count that a limit can name"""

_BOUND: Final = re.compile(r"(?P<share>\d+(\.\d+)?)%|\+(?P<rise>\d+)|(?P<most>\d+)")
_EXAMPLE: Final = "such as map.instructions=5%, stores=+100 or arm/copy*:bytes=10000"


def value(record: Record, count: str, phases: tuple[str, ...], scope: str = "total") -> int:
    """Return one of COUNTS, summed over phases; KeyError if the record has a violation."""
    before, _, last = count.rpartition(".")
    names: tuple[str, ...] = (count,)
    if last == BYTES:
        names = tuple(f"{before}.{n}".lstrip(".") for n in ("bytes_loaded", "bytes_stored"))
    return sum(record.sum(name, scope, phases) for name in names)


@dataclass(frozen=True)
class Limit:
    """An upper bound of one count of the cells that match two patterns."""

    text: str
    """the limit as the user wrote it"""
    arch: str
    strategy: str
    """shell patterns"""
    phases: tuple[str, ...]
    """whose sum is bounded"""
    count: str
    """one of COUNTS"""
    kind: Literal["share", "rise", "most"]
    bound: float
    """by ``kind``: percent of the old count, a number above it, or the highest count"""

    def applies(self, record: Record) -> bool:
        """Return whether the limit is for this cell."""
        parted = self.count.partition(".")[0] in PARTS
        if (parted or self.phases[0] in ALLOCATOR_PHASES) and not record.is_allocator:
            return False
        if self.count in CACHE_PATHS and record.intact and not record.has_cache:
            return False
        return fnmatchcase(record.arch, self.arch) and fnmatchcase(record.strategy, self.strategy)

    @property
    def needs_base(self) -> bool:
        """Whether the limit bounds a rise, so that it says nothing without an old count."""
        return self.kind != "most"

    def most(self, old: int | None) -> float:
        """Return the highest count allowed; ``old`` is that of the base, None if it has none."""
        if self.kind == "most":
            return self.bound
        if old is None:
            raise ZsemuError(f"limit {self.text}: there is nothing that it could have risen from")
        return old * (1 + self.bound / 100) if self.kind == "share" else old + self.bound

    def exceeded(self, old: int | None, new: int) -> bool:
        """Return whether ``new`` is above the limit."""
        if self.kind == "share":
            assert old is not None or self.most(old)
            # Not as a product with 1.05, which is rounded: 5 % above 100 is exactly 105.
            return 100 * (new - (old or 0)) > self.bound * (old or 0)
        return new > self.most(old)


def parse(text: str) -> Limit:
    """Return the limit that a text describes; ZsemuError says what is wrong with the text."""
    left, equals, bound = text.rpartition("=")
    cells, colon, path = left.rpartition(":")
    arch, slash, strategy = cells.partition("/") if colon else ("*", "/", "*")
    found = _BOUND.fullmatch(bound.strip())
    if not equals or not found or not slash or not arch or not strategy:
        raise ZsemuError(f"limit {text!r}: not [ARCH/STRATEGY:][PHASE.]COUNT=BOUND, {_EXAMPLE}")
    phase, dot, count = path.strip().partition(".")
    phases: tuple[str, ...] = (phase,)
    if not dot or phase not in (*PHASES, *ALLOCATOR_PHASES):
        phases, count = STRATEGY_PHASES, path.strip()
    part, _, rest = count.partition(".")
    if (rest if part in PARTS else count) not in COUNTS:
        raise ZsemuError(
            f"limit {text!r}: no count {count!r}; there are {', '.join(SCALARS)}, {BYTES},"
            " tlb_invalidates, classes.CLASS, regions.REGION.COUNT and cache.COUNT"
        )
    for kind in ("share", "rise", "most"):
        if found[kind] is not None:
            break
    return Limit(text, arch, strategy, phases, count, kind, float(found[kind]))
