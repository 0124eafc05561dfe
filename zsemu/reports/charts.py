# SPDX-License-Identifier: GPL-2.0-only
"""Draw the charts of the report: describe them in Vega-Lite, and render that as SVG or PNG.

The SVG has no scripts. The same colours serve white and dark paper: every colour stands out from
both. Nothing depends on colour alone. Curves differ in their dashes and marks and are named where
they end. The parts of every bar have the same order, and a part shows its name if it has room.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Final

import vl_convert

from zsemu.reports.cost_curves import Crossing, Curve

Spec = dict[str, Any]
"""a chart in Vega-Lite"""

_VEGA_LITE: Final = "6.4"
"""the version of the language, of those that vl-convert knows"""
INK: Final = "#767676"
"""colour of text and axes; the HTML page replaces it with its own colour of text"""
PALETTE: Final = (
    "#7d7a00",
    "#0072b2",
    "#3f8fc4",
    "#d55e00",
    "#b07a1e",
    "#b8569a",
    "#009068",
    "#8a6ad0",
)
"""of strategies: the colours of Okabe and Ito, which are told apart without colour vision, made
dark enough for white paper and light enough for dark paper"""
FILLS: Final = (
    "#0072b2",
    "#00795a",
    "#b04d00",
    "#7a6a00",
    "#96508a",
    "#6f6f6f",
    "#6257b5",
    "#a8433f",
    "#4f7a2a",
)
"""of regions: white letters can be read on each"""
PAPERS: Final = ("#ffffff", "#0d1117")
_DASHES: Final = ([1, 0], [8, 3], [4, 2], [1, 0], [6, 2, 1, 2], [2, 2], [8, 3], [1, 2])
_SHAPES: Final = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-right",
    "stroke",
)
_SHARE: Final = "share of the slot in the first page"
_WIDTH: Final = 330
_HEIGHT: Final = 230
_LINE: Final = 12.5
"""height of a line of text in pixels"""
_BESIDE: Final = 1.03
"""where the names of curves begin, on the axis of shares, which ends at 1"""
_CHARACTER: Final = 6.5
"""width of a digit or letter in pixels, about"""
_FONT: Final = "Liberation Sans, Arial, Helvetica, sans-serif"
"""vl-convert measures text in the first of these; some of the others are wider"""
_PADDING: Final = {"left": 14, "top": 5, "right": 20, "bottom": 5}


@dataclass(frozen=True)
class TrafficBar:
    """The bytes that one strategy loads and stores, as one bar of a chart."""

    strategy: str
    parts: dict[str, float]
    """bytes by region"""


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
    x = {**_quantity("share", share_scale, _SHARE), "axis": {"format": "%", "tickCount": 5}}
    y = _quantity("cost", cost_scale)
    color = _style("strategy", names, PALETTE)
    points = [
        {"strategy": name, "share": share, "cost": cost}
        for name, curve in curves.items()
        for share, cost in zip(curve.share, curve.cost, strict=True)
    ]
    lines = _layer(
        points,
        {"type": "line", "strokeWidth": 1.6},
        x=x,
        y=y,
        color=color,
        strokeDash=_style("strategy", names, _DASHES),
    )
    marks = _layer(
        points,
        {"type": "point", "size": 26, "filled": True, "opacity": 1},
        x=x,
        y=y,
        color=color,
        shape=_style("strategy", names, _SHAPES),
    )
    circles = _layer(
        [{"share": one.share, "cost": one.cost} for one in crossings],
        {"type": "point", "shape": "circle", "size": 120, "filled": False, "color": INK},
        x=x,
        y=y,
    )
    leaders, labels = _names_beside(curves, share_scale, cost_scale, color)
    return _chart([lines, leaders, marks, circles, labels], title, subtitle, height=_HEIGHT)


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
    leaders = _layer(
        ends,
        {"type": "rule", "strokeWidth": 0.7},
        x=_quantity("share", share_scale, _SHARE),
        x2={"field": "label"},
        y=_quantity("cost", cost_scale),
        y2={"field": "at"},
        color=color,
    )
    labels = _layer(
        ends,
        {"type": "text", "align": "left", "dx": 2, "fontSize": 11},
        x=_quantity("label", share_scale, _SHARE),
        y=_quantity("at", cost_scale),
        text={"field": "strategy"},
        color=color,
    )
    return leaders, labels


def traffic_chart(
    bars: Sequence[TrafficBar], regions: Sequence[str], *, title: str, subtitle: str
) -> Spec:
    """Draw traffic by region as stacked bars, whose parts have the order of ``regions``."""
    longest = max(sum(bar.parts.values()) for bar in bars)
    by_bar = [_parts(bar, regions, longest) for bar in bars]
    parts = [part for each in by_bar for part in each]
    totals = [
        {"strategy": each[-1]["strategy"], "to": each[-1]["to"], "label": f"{each[-1]['to']:.0f}"}
        for each in by_bar
    ]
    scale = {"domain": [0, longest], "nice": False}
    rows = {
        "field": "strategy",
        "type": "nominal",
        "sort": [bar.strategy for bar in bars],
        "title": None,
    }
    legend = {"orient": "bottom", "columns": 4, "title": None, "symbolType": "square"}
    layers = [
        _layer(
            parts,
            {"type": "bar", "stroke": INK, "strokeWidth": 0.6},
            x={**_quantity("from", scale), "axis": {"tickCount": 5}},
            x2={"field": "to"},
            y=rows,
            color={**_style("region", regions, FILLS), "legend": legend},
        ),
        _layer(
            parts,
            {"type": "text", "fontSize": 10.5, "color": "#ffffff"},
            x=_quantity("middle", scale),
            y=rows,
            text={"field": "label"},
        ),
        _layer(
            totals,
            {"type": "text", "align": "left", "dx": 4, "fontSize": 11, "color": INK},
            x=_quantity("to", scale),
            y=rows,
            text={"field": "label"},
        ),
    ]
    return _chart(layers, title, subtitle, height={"step": 24})


def _parts(bar: TrafficBar, regions: Sequence[str], longest: float) -> list[Spec]:
    """Return a bar's parts from left to right, each with as much of its label as has room."""
    parts = []
    end = 0.0
    for region in regions:
        amount = bar.parts[region]
        room = amount / longest * _WIDTH
        fitting = (t for t in (f"{region} {amount:.0f}", region) if len(t) * _CHARACTER < room)
        parts.append(
            {
                "strategy": bar.strategy,
                "region": region,
                "from": end,
                "to": end + amount,
                "middle": end + amount / 2,
                "label": next(fitting, ""),
            }
        )
        end += amount
    return parts


def svg(chart: Spec) -> str:
    """Return a chart as SVG; the same chart gives the same text."""
    text: str = vl_convert.vegalite_to_svg(chart, vl_version=_VEGA_LITE)
    return text


def png(chart: Spec) -> bytes:
    """Return a chart as PNG, with twice as many pixels as the SVG measures."""
    image: bytes = vl_convert.vegalite_to_png(chart, vl_version=_VEGA_LITE, scale=2)
    return image


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


def _quantity(field: str, scale: Spec, title: str | None = None) -> Spec:
    # Layers share their axes: Vega-Lite shows a title only once if all layers have the same.
    return {"field": field, "type": "quantitative", "scale": scale, "title": title}


def _style(field: str, names: Sequence[str], styles: Sequence[Any]) -> Spec:
    """Return an encoding by which each name has one of the styles, the same in every chart."""
    scale = {"domain": list(names), "range": list(islice(cycle(styles), len(names)))}
    return {"field": field, "type": "nominal", "scale": scale, "legend": None}


def _layer(rows: Sequence[Spec], mark: Spec, **encoding: Spec) -> Spec:
    return {"data": {"values": list(rows)}, "mark": mark, "encoding": encoding}


def _chart(layers: list[Spec], title: str, subtitle: str, *, height: int | Spec) -> Spec:
    return {
        "layer": layers,
        "width": _WIDTH,
        "height": height,
        "background": "transparent",
        "padding": _PADDING,
        "title": {"text": title, "subtitle": subtitle, "anchor": "start", "frame": "group"},
        "config": {
            "aria": False,
            "font": _FONT,
            "view": {"stroke": None},
            "axis": {
                "labelColor": INK,
                "titleColor": INK,
                "domainColor": INK,
                "tickColor": INK,
                "gridColor": INK,
                "gridOpacity": 0.25,
                "labelFontSize": 11,
                "titleFontSize": 11,
                "titleFontWeight": "normal",
            },
            "legend": {"labelColor": INK, "labelFontSize": 11},
            "title": {
                "color": INK,
                "subtitleColor": INK,
                "fontSize": 13,
                "subtitleFontSize": 11,
                "offset": 8,
            },
        },
    }
