# SPDX-License-Identifier: GPL-2.0-only
"""Measure the replays of this checkout and of another side by side: the first figures of each.

Each checkout's own benchmark measures it, in a process of its own, one repetition at a time, and
the checkouts take turns. What it measures and the document that it writes have been the same since
it exists; clock.py gives it the clock.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.checkouts import Checkout
from bench.figures import Measured, ratios, seconds
from bench.resources import measured
from bench.targets import FIRST_OVER_OTHER, Target
from zsemu.errors import ZsemuError

_CLOCK: Final = Path(__file__).parent / "clock.py"
_SAME: Final = ("operations", "maps")
"""what the parts of two documents must have alike to be compared"""


def able(checkout: Checkout) -> bool:
    """Say whether a checkout has a benchmark of replays."""
    return (checkout.tests / "bench" / "measure.py").is_file()


@dataclass(frozen=True)
class Row:
    """A figure of each checkout."""

    what: str
    where: str
    """which of the counted replays it is about"""
    values: tuple[float, float | None]
    """this checkout's and the other's, None if that one has not measured it"""
    target: Target | None
    """of this checkout's figure, or of ``ratio``"""
    of_ratio: bool = False

    @property
    def ratio(self) -> float | None:
        """Return the other's figure over this one's."""
        this, other = self.values
        return None if other is None else other / this

    @property
    def verdict(self) -> str:
        """Return what the figure should be and whether it is; nothing without a target."""
        value = self.ratio if self.of_ratio else self.values[0]
        return self.target.verdict(value) if self.target and value is not None else ""


def _once(checkout: Checkout, arguments: Sequence[str], folder: Path) -> dict[str, Any]:
    output = folder / f"{checkout.name}.json"
    output.unlink(missing_ok=True)
    more = ("--repeat", "1", "--json", str(output))
    try:
        line = (sys.executable, "-P", str(_CLOCK), "bench", *arguments, *more)
        measured(line, 0, folder, checkout.environment(checkout.tests))
    except ZsemuError:
        # That a program is missing makes it exit with 2, and the document names the program.
        if not output.exists():
            raise
    return dict(json.loads(output.read_text()))


def _append(found: Measured, more: Measured) -> None:
    """Append the runs of one document to those of another."""
    for part in ("whole_trace", "first_operations"):
        for name, level in more[part]["levels"].items():
            for key in ("whole_seconds", "emulation_seconds"):
                found[part]["levels"][name][key] += level[key]


def measure(
    found: Sequence[Checkout], arch: str, arguments: Sequence[str], repeat: int, folder: Path
) -> dict[str, Measured]:
    """Return what was measured on an architecture, by the name of the checkout.

    ``arguments`` are for both benchmarks. ZsemuError with all output if one of them fails, and if
    they have not replayed the same.
    """
    taken: dict[str, Measured] = {}
    for number in range(repeat):
        sys.stderr.write(f"{arch}, both checkouts: {number + 1} of {repeat}\n")
        for checkout in found:
            once = _once(checkout, ("--arch", arch, *arguments), folder)["archs"][arch]
            if checkout.name in taken:
                _append(taken[checkout.name], once)
            else:
                taken[checkout.name] = once
    this, other = (taken[checkout.name] for checkout in found)
    for part in ("whole_trace", "first_operations"):
        if any(this[part][key] != other[part][key] for key in _SAME):
            raise ZsemuError(
                f"{found[1].path}: its benchmark does not replay the same there: {part} has"
                f" {other[part]['operations']} operations and {other[part]['maps']} maps, and not"
                f" {this[part]['operations']} and {this[part]['maps']}: compare commands alone"
            )
    return taken


def rows(arch: str, taken: dict[str, Measured]) -> Iterator[Row]:
    """Yield the seconds of the counted replay in CPU time, then its ratios to other levels."""
    this, other = taken.values()
    for one, before in zip(seconds(this), seconds(other), strict=True):
        where, how, value = one
        first = (where, how) == ("first operations", "whole replay")
        yield Row(
            "CPU seconds with all counts",
            f"{where}, {how}",
            (value, before[2]),
            FIRST_OVER_OTHER if first else None,
            of_ratio=first,
        )
    theirs = {(figure.what, figure.where): figure.value for figure in ratios(arch, other)}
    for figure in ratios(arch, this):
        key = figure.what, figure.where
        values = figure.value, theirs.get(key)
        yield Row(figure.what, figure.where, values, figure.target)
