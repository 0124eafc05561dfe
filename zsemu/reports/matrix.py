# SPDX-License-Identifier: GPL-2.0-only
"""Give the figures of a document by architecture and strategy, for one measure at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from zsemu.counts import PHASES, SCOPES, STRATEGY_PHASES
from zsemu.errors import ZsemuError
from zsemu.results.document import Document, Record
from zsemu.results.limits import BYTES, value

INSTRUCTIONS: Final = "instructions"
OWN: Final = "map + unmap"
"""what the strategy itself does"""
WHOLE: Final = "map + access + unmap"
"""the figure to compare, because strategies differ in what they leave to the access"""
USES: Final = {WHOLE: PHASES, OWN: STRATEGY_PHASES}
"""the phases that a figure sums, by the name that reports give the sum"""
ALL_MAPS: Final = "all maps"
SCOPE_NAMES: Final = {
    "total": ALL_MAPS,
    "spanning": "spanning maps",
    "spanning_read": "spanning reads",
    "spanning_write": "spanning writes",
    "spanning_update": "spanning updates",
}

_DEFAULT_BASE: Final = "copy"


@dataclass(frozen=True)
class Measure:
    """What is compared: instructions or bytes, of which maps, with or without the access."""

    count: str
    """``instructions``, or ``bytes``: those loaded and stored"""
    scope: str
    """one of counts.SCOPES"""
    use: str
    """one of USES"""

    @property
    def title(self) -> str:
        """The measure in words, such as ``bytes of map + unmap, spanning maps``."""
        return f"{self.count} of {self.use}, {SCOPE_NAMES[self.scope]}"

    def show(self, figure: float) -> str:
        """Return a mean as text: bytes whole, and fewer than 1000 instructions with a decimal."""
        return f"{figure:.{0 if self.count == BYTES or figure >= 1000 else 1}f}"


class Matrix:
    """The records of a document, and what each costs per map and unmap."""

    def __init__(
        self, document: Document, relative_to: str | None = None, *, name: str = "results"
    ) -> None:
        """Take a document; ratios are to ``relative_to``, or to copy, or to the first strategy.

        ``name`` is what the document is called: its file, without suffix. ZsemuError if there is no
        such strategy, or nothing that could be shown.
        """
        self.name: Final = name
        self.document: Final = document
        self.records: Final = {(one.arch, one.strategy): one for one in document.records}
        self.archs: Final = tuple(dict.fromkeys(one.arch for one in document.records))
        self.strategies: Final = tuple(dict.fromkeys(one.strategy for one in document.records))
        if not any(one.maps for one in document.records):
            raise ZsemuError(f"{name}: these results hold no maps: there is nothing to report")
        # A kernel's object has the geometry of its kernel, whatever the others have.
        kernels = document.provenance.kernels
        geometries = {one.geometry for one in document.records if one.strategy not in kernels}
        settings = {(one.trace, one.page_size) for one in document.records}
        if len(geometries) > 1 or len(settings) > 1:
            raise ZsemuError(
                f"{name}: results of several traces, geometries or page sizes: a report takes them"
                " from a file each"
            )
        default = _DEFAULT_BASE if _DEFAULT_BASE in self.strategies else self.strategies[0]
        self.base: Final = relative_to or default
        if self.base not in self.strategies:
            raise ZsemuError(
                f"{name}: no strategy {self.base!r} in these results: there are"
                f" {', '.join(self.strategies)}"
            )

    @property
    def scopes(self) -> list[str]:
        """The scopes of SCOPES that have maps in some record."""
        return [s for s in SCOPES if any(one.scope_maps[s] for one in self.document.records)]

    @property
    def distinct_scopes(self) -> list[str]:
        """The scopes without those that have the same maps as an earlier one."""
        found: dict[tuple[int, ...], str] = {}
        for scope in self.scopes:
            maps = tuple(one.scope_maps[scope] for one in self.document.records)
            found.setdefault(maps, scope)
        return list(found.values())

    def same_maps(self, scope: str) -> bool:
        """Return whether on each architecture all strategies have the same number of such maps.

        They have not where a kernel's object has other size classes than zsemu: then means are of
        different maps.
        """
        numbers = {(one.arch, one.scope_maps[scope]) for one in self.document.records}
        return len(numbers) == len(self.archs)

    @property
    def intact(self) -> list[Record]:
        """The records that have counts."""
        return [record for record in self.document.records if record.intact]

    @property
    def broken(self) -> list[Record]:
        """The records that have violations instead."""
        return [record for record in self.document.records if not record.intact]

    def sum(self, measure: Measure, arch: str, strategy: str) -> int | None:
        """Return a sum; None if the cell does not exist, has violations, or has no such maps."""
        record = self.records.get((arch, strategy))
        if record is None or not record.intact or not record.scope_maps[measure.scope]:
            return None
        return value(record, measure.count, USES[measure.use], measure.scope)

    def figure(self, measure: Measure, arch: str, strategy: str) -> float | None:
        """Return a mean per map and unmap; None as for :meth:`sum`."""
        total = self.sum(measure, arch, strategy)
        if total is None:
            return None
        return total / self.records[arch, strategy].scope_maps[measure.scope]

    def ratio(
        self, measure: Measure, arch: str, strategy: str, base: str | None = None
    ) -> float | None:
        """Return a mean divided by that of ``base``; None if one of the two does not exist."""
        figure = self.figure(measure, arch, strategy)
        other = self.figure(measure, arch, base or self.base)
        return None if figure is None or not other else figure / other

    def least(self, measure: Measure, arch: str, among: Sequence[str]) -> list[str]:
        """Return the strategy among some that has the lowest count; several if they tie.

        None has it where they have not the same maps.
        """
        if not self.same_maps(measure.scope):
            return []
        sums = {one: total for one in among if (total := self.sum(measure, arch, one)) is not None}
        return [one for one, total in sums.items() if total == min(sums.values())]
