# SPDX-License-Identifier: GPL-2.0-only
"""Name the suites of a check: the geometries and page sizes that are exhausted or searched.

A suite either maps every slot of every class of one geometry, or searches by random sequences.
Every strategy must pass the checks of MUST_HOLD on every operation. A promise is checked of the
strategies that make it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from zsemu.guest.strategies import PROMISES
from zsemu.guest.targets import Target
from zsemu.replay import violations
from zsemu.replay.placed_trace import PAGE_ORDERS
from zsemu.zsmalloc import geometry as geometries
from zsemu.zsmalloc.geometry import Geometry

MUST_HOLD: Final = (
    violations.WRONG_BYTES,
    violations.HEADER,
    violations.LINK,
    violations.STRAY,
    violations.STRAY_LOAD,
    violations.FAULT,
    violations.ENDLESS,
    violations.HALTS,
    violations.SPANS,
    violations.MISALIGNED,
    violations.STALE,
)
"""what no strategy may do: kinds of violation"""
CHECKS: Final = (*MUST_HOLD, *PROMISES)
SEQUENCE_GEOMETRY: Final = "chain-8"
PROPERTIES: Final = "properties"


@dataclass(frozen=True)
class Suite:
    """One test of a strategy on an architecture."""

    name: str
    geometry: str
    page_size: int
    page_order: str = PAGE_ORDERS[0]
    search: bool = False
    """by sequences, instead of exhausting the geometry"""

    @property
    def brief(self) -> bool:
        """Whether it would take too long to observe an operation of every shape."""
        return self.page_size > 4096 or self.geometry == "chain-16"

    @property
    def measures(self) -> bool:
        """Whether its replay is the one that properties are measured from."""
        small = self.page_size == 4096 and not self.search
        return small and self.geometry == SEQUENCE_GEOMETRY


def suites(geometry: Sequence[str] = (), page_size: Sequence[int] = ()) -> list[Suite]:
    """Return the suites for some geometries and page sizes; all, if none are named.

    Pages of 4 KiB under every geometry; larger ones under chain-8, or what is named. The pages of
    zspages lie in ascending, descending and scattered physical order. ZsemuError for an unknown
    geometry or page size.
    """
    for name in geometry or geometries.NAMES:
        for size in page_size or geometries.PAGE_SIZES:
            geometries.geometry(name, page_size=size, word_bits=64)
    found = []
    for size in page_size or geometries.PAGE_SIZES:
        names = geometry or (geometries.NAMES if size == 4096 else (SEQUENCE_GEOMETRY,))
        for number, name in enumerate(names):
            order = PAGE_ORDERS[number % len(PAGE_ORDERS)]
            found.append(Suite(f"{name}, {size >> 10} KiB pages", name, size, order))
    for name in geometry or (SEQUENCE_GEOMETRY,):
        if not page_size or 4096 in page_size:
            found.append(Suite(f"sequences, {name}", name, 4096, search=True))
    return found


def geometry_of(target_: Target, suite: Suite) -> Geometry:
    """Return the geometry that a suite has on a target."""
    return geometries.geometry(
        suite.geometry,
        page_size=suite.page_size,
        word_bits=target_.word_bits,
        physical_bits=target_.physical_bits,
    )
