# SPDX-License-Identifier: GPL-2.0-only
"""Draw what strategies cost by where the page ends, as curves.

Curves differ in their dashes and marks, and are named where they end.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from zsemu.reports.charts import INK, PALETTE, SHAPES, Spec, chart, layer, quantity, style
from zsemu.reports.cost_curves import Crossing, Curve

_DASHES: Final = ([1, 0], [8, 3], [4, 2], [1, 0], [6, 2, 1, 2], [2, 2], [8, 3], [1, 2])
_SHARE: Final = "share of the slot in the first page"
_HEIGHT: Final = 230
_LINE: Final = 12.5
"""height of a line of text in pixels"""
_BESIDE: Final = 1.03
"""where the names of curves begin, on the axis of shares, which ends at 1"""


def cost_chart(
    curves: Mapping[str, Curve],
    crossings: Sequence[Crossing],
    names: Sequence[str],
    *,
    title: str,
    subtitle: str,
) -> Spec:
    """Draw what strategies cost against the share of the slot in the first page.

    ``curves`` are by strategy; a circle marks each of their ``crossings``. ``names`` are all
    strategies of the document: each looks the same in every chart.
    """
    top = 1.06 * max(cost for curve in curves.values() for cost in curve.cost) or 1.0
    share_scale = {"domain": [0, 1], "nice": False}
    cost_scale = {"domain": [0, top], "nice": False}
    x = {**quantity("share", share_scale, _SHARE), "axis": {"format": "%", "tickCount": 5}}
    y = quantity("cost", cost_scale)
    color = style("strategy", names, PALETTE)
    points = [
        {"strategy": name, "share": share, "cost": cost}
        for name, curve in curves.items()
        for share, cost in zip(curve.share, curve.cost, strict=True)
    ]
    lines = layer(
        points,
        {"type": "line", "strokeWidth": 1.6},
        x=x,
        y=y,
        color=color,
        strokeDash=style("strategy", names, _DASHES),
    )
    marks = layer(
        points,
        {"type": "point", "size": 26, "filled": True, "opacity": 1},
        x=x,
        y=y,
        color=color,
        shape=style("strategy", names, SHAPES),
    )
    circles = layer(
        [{"share": one.share, "cost": one.cost} for one in crossings],
        {"type": "point", "shape": "circle", "size": 120, "filled": False, "color": INK},
        x=x,
        y=y,
    )
    leaders, labels = _names_beside(curves, share_scale, cost_scale, color)
    return chart([lines, leaders, marks, circles, labels], title, subtitle, height=_HEIGHT)


def _names_beside(
    curves: Mapping[str, Curve], share_scale: Spec, cost_scale: Spec, color: Spec
) -> tuple[Spec, Spec]:
    """Return two layers: the names of curves beside their ends, and lines that lead there."""
    top = cost_scale["domain"][1]
    heights = _apart(
        {name: curve.cost[-1] for name, curve in curves.items()}, top * _LINE / _HEIGHT, top
    )
    ends = [
        {
            "strategy": name,
            "share": curves[name].share[-1],
            "cost": curves[name].cost[-1],
            "label": _BESIDE,
            "at": height,
        }
        for name, height in heights.items()
    ]
    leaders = layer(
        ends,
        {"type": "rule", "strokeWidth": 0.7},
        x=quantity("share", share_scale, _SHARE),
        x2={"field": "label"},
        y=quantity("cost", cost_scale),
        y2={"field": "at"},
        color=color,
    )
    labels = layer(
        ends,
        {"type": "text", "align": "left", "dx": 2, "fontSize": 11},
        x=quantity("label", share_scale, _SHARE),
        y=quantity("at", cost_scale),
        text={"field": "strategy"},
        color=color,
    )
    return leaders, labels


def _apart(at: Mapping[str, float], least: float, most: float) -> dict[str, float]:
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
