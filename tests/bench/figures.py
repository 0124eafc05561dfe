# SPDX-License-Identifier: GPL-2.0-only
"""The figures that follow from the replays of an architecture, each with its target if it has one.

They are computed from the document that ``--json`` writes, because another checkout's benchmark
writes such a document, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from bench.targets import AGAINST, OVER_UNHOOKED, Target, as_fast

UNHOOKED: Final = "no hook"
COUNTED: Final = "block hits and shapes"
PYTHON: Final = "Python hooks"

_PARTS: Final = {"whole_trace": "whole trace", "first_operations": "first operations"}
_TIMES: Final = {"whole_seconds": "whole replay", "emulation_seconds": "emulation alone"}

Measured = dict[str, Any]
"""what was measured on an architecture: an item of ``archs`` in the document"""


@dataclass(frozen=True)
class Figure:
    """A ratio, and what it should be."""

    what: str
    where: str
    """which figure of ours it is about"""
    value: float
    target: Target | None = None

    @property
    def verdict(self) -> str:
        """Return what the figure should be and whether it is; nothing without a target."""
        return self.target.verdict(self.value) if self.target else ""


def _each(part: Measured, level: str, seconds: str) -> float:
    """Return the median of the seconds that a level takes for one round, by an instruction."""
    found = part["levels"][level]
    return float(median(found[seconds]) / found["rounds"] / part["instructions"])


def over_unhooked(measured: Measured) -> float:
    """Return the median of the ratios of neighbouring runs over the whole trace."""
    levels = measured["whole_trace"]["levels"]
    pairs = zip(*(levels[name]["whole_seconds"] for name in (COUNTED, UNHOOKED)), strict=True)
    return float(median(counted / unhooked for counted, unhooked in pairs))


def ratios(arch: str, measured: Measured) -> Iterator[Figure]:
    """Yield the ratios of the counted replay to other levels, of those that were measured.

    Other than no hook, a level has run the first operations only: what is compared with the whole
    trace are the times of an instruction.
    """
    yield Figure(
        "all counts over no hook",
        "whole trace, whole replay",
        over_unhooked(measured),
        OVER_UNHOOKED,
    )
    for level in AGAINST:
        if level not in measured["first_operations"]["levels"]:
            continue
        theirs = _each(measured["first_operations"], level, "emulation_seconds")
        for part, where in _PARTS.items():
            for (seconds, how), target in zip(_TIMES.items(), as_fast(arch, level), strict=True):
                yield Figure(
                    f"times as fast as {level}",
                    f"{where}, {how}",
                    theirs / _each(measured[part], COUNTED, seconds),
                    target if part == "whole_trace" else None,
                )


def seconds(measured: Measured) -> Iterator[tuple[str, str, float]]:
    """Yield the median seconds of the counted replay: part, figure of it, seconds."""
    for part, where in _PARTS.items():
        for key, how in _TIMES.items():
            yield where, how, median(measured[part]["levels"][COUNTED][key])
