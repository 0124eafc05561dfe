# SPDX-License-Identifier: GPL-2.0-only
"""Draw curves of strategies, which differ in dashes and marks and are named where they end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from zsemu.reports.charts import PALETTE, SHAPES, Spec, layer, quantity, style

_DASHES: Final = ([1, 0], [8, 3], [4, 2], [1, 0], [6, 2, 1, 2], [2, 2], [8, 3], [1, 2])
HEIGHT: Final = 230
"""of the plot, in pixels"""
LINE: Final = 12.5
"""height of a line of text in pixels"""
_BESIDE: Final = 1.03
"""where the names of curves begin, as a multiple of the end of the axis"""


@dataclass(frozen=True)
class Axis:
    """One axis of the plot."""

    scale: Spec
    """with the first and the last value of the axis as its domain"""
    title: str | None
    axis: Spec | None = None
    """ticks and their format, if not the usual ones"""

    def of(self, field: str) -> Spec:
        """Return an encoding by a field of the data."""
        shown = quantity(field, self.scale, self.title)
        return {**shown, "axis": self.axis} if self.axis else shown


@dataclass(frozen=True)
class CurveLayers:
    """The layers, in the order in which they are drawn."""

    lines: Spec
    leaders: Spec
    marks: Spec
    labels: Spec


def curve_layers(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    heights: Mapping[str, float],
    names: Sequence[str],
    x: Axis,
    y: Axis,
) -> CurveLayers:
    """Return the layers of curves, given by strategy as places on both axes.

    ``heights`` are the places of their names on the second axis, at least LINE apart. ``names`` are
    all strategies of the document: each looks the same in every chart.
    """
    color = style("strategy", names, PALETTE)
    points = [
        {"strategy": name, "x": across, "y": up}
        for name, curve in curves.items()
        for across, up in zip(*curve, strict=True)
    ]
    ends = [
        {
            "strategy": name,
            "x": curves[name][0][-1],
            "y": curves[name][1][-1],
            "label": _BESIDE * x.scale["domain"][1],
            "at": height,
        }
        for name, height in heights.items()
    ]
    place = {"x": x.of("x"), "y": y.of("y"), "color": color}
    return CurveLayers(
        layer(
            points,
            {"type": "line", "strokeWidth": 1.6},
            **place,
            strokeDash=style("strategy", names, _DASHES),
        ),
        layer(
            ends,
            {"type": "rule", "strokeWidth": 0.7},
            x=quantity("x", x.scale, x.title),
            x2={"field": "label"},
            y=quantity("y", y.scale, y.title),
            y2={"field": "at"},
            color=color,
        ),
        layer(
            points,
            {"type": "point", "size": 26, "filled": True, "opacity": 1},
            **place,
            shape=style("strategy", names, SHAPES),
        ),
        layer(
            ends,
            {"type": "text", "align": "left", "dx": 2, "fontSize": 11},
            x=quantity("label", x.scale, x.title),
            y=quantity("at", y.scale, y.title),
            text={"field": "strategy"},
            color=color,
        ),
    )


def apart(at: Mapping[str, float], least: float, most: float) -> dict[str, float]:
    """Return places that are at least ``least`` apart, moved upwards where that is necessary.

    None lies beyond ``most``; where they would, those below are moved down instead.
    """
    names = sorted(at, key=lambda name: at[name])
    placed: dict[str, float] = {}
    last = float("-inf")
    for name in names:
        placed[name] = last = max(at[name], last + least)
    last = most + least
    for name in reversed(names):
        placed[name] = last = min(placed[name], last - least)
    return placed
