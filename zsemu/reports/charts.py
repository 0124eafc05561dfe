# SPDX-License-Identifier: GPL-2.0-only
"""Charts: the plots of the report, as Vega-Lite, drawn as SVG without scripts or as PNG.

One palette for white and for dark paper: every colour stands out from both. Nothing depends on
colour alone: curves differ in dashes and marks, and are named where they end; parts of a bar have
an order, and those wide enough a name.
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
"""text and axes: a page may put its own colour in this one's place"""
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
"""after Okabe and Ito, whose colours are told apart without colour vision, but no lighter than
white paper and no darker than dark paper allows"""
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
"""of regions: white letters can be read on them"""
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
"""height of a line of text"""
_BESIDE: Final = 1.03
"""where names of curves begin, as a share"""
_CHARACTER: Final = 6.5
"""width of a digit or letter, about"""
_FONT: Final = "Liberation Sans, Arial, Helvetica, sans-serif"
"""the first is the one that is measured; some of the others are wider"""
_PADDING: Final = {"left": 14, "top": 5, "right": 20, "bottom": 5}


@dataclass(frozen=True)
class Bar:
    """Traffic of one strategy."""

    strategy: str
    parts: dict[str, float]
    """bytes by region"""


def curves(
    found: Mapping[str, Curve],
    crossings: Sequence[Crossing],
    names: Sequence[str],
    *,
    title: str,
    subtitle: str,
) -> Spec:
    """Draw what strategies cost against the share of the slot in the first page.

    ``names`` are all strategies of the document: each looks the same in every chart.
    """
    top = 1.06 * max(cost for curve in found.values() for cost in curve.cost) or 1.0
    labels = _apart(
        {name: curve.cost[-1] for name, curve in found.items()}, top * _LINE / _HEIGHT, top
    )
    share = {"domain": [0, 1], "nice": False}
    cost = {"domain": [0, top], "nice": False}
    x = {**_quantity("share", share, _SHARE), "axis": {"format": "%", "tickCount": 5}}
    y = _quantity("cost", cost)
    color = _style("strategy", names, PALETTE)
    points = [
        {"strategy": name, "share": share, "cost": cost}
        for name, curve in found.items()
        for share, cost in zip(curve.share, curve.cost, strict=True)
    ]
    ends = [
        {
            "strategy": name,
            "share": found[name].share[-1],
            "cost": found[name].cost[-1],
            "label": _BESIDE,
            "at": at,
        }
        for name, at in labels.items()
    ]
    layers = [
        _layer(
            points,
            {"type": "line", "strokeWidth": 1.6},
            x=x,
            y=y,
            color=color,
            strokeDash=_style("strategy", names, _DASHES),
        ),
        _layer(
            ends,
            {"type": "rule", "strokeWidth": 0.7},
            x=_quantity("share", share, _SHARE),
            x2={"field": "label"},
            y=y,
            y2={"field": "at"},
            color=color,
        ),
        _layer(
            points,
            {"type": "point", "size": 26, "filled": True, "opacity": 1},
            x=x,
            y=y,
            color=color,
            shape=_style("strategy", names, _SHAPES),
        ),
        _layer(
            [{"share": one.share, "cost": one.cost} for one in crossings],
            {"type": "point", "shape": "circle", "size": 120, "filled": False, "color": INK},
            x=x,
            y=y,
        ),
        _layer(
            ends,
            {"type": "text", "align": "left", "dx": 2, "fontSize": 11},
            x=_quantity("label", share, _SHARE),
            y=_quantity("at", cost),
            text={"field": "strategy"},
            color=color,
        ),
    ]
    return _chart(layers, title, subtitle, height=_HEIGHT)


def regions(bars: Sequence[Bar], names: Sequence[str], *, title: str, subtitle: str) -> Spec:
    """Draw traffic by region as stacked bars; ``names`` are the regions, in their order."""
    longest = max(sum(bar.parts.values()) for bar in bars)
    parts, totals = [], []
    for bar in bars:
        end = 0.0
        for name in names:
            amount = bar.parts[name]
            room = amount / longest * _WIDTH
            fitting = (t for t in (f"{name} {amount:.0f}", name) if len(t) * _CHARACTER < room)
            parts.append(
                {
                    "strategy": bar.strategy,
                    "region": name,
                    "from": end,
                    "to": end + amount,
                    "middle": end + amount / 2,
                    "label": next(fitting, ""),
                }
            )
            end += amount
        totals.append({"strategy": bar.strategy, "to": end, "label": f"{end:.0f}"})
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
            color={**_style("region", names, FILLS), "legend": legend},
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


def svg(chart: Spec) -> str:
    """Return a chart as SVG; the same chart, the same text."""
    text: str = vl_convert.vegalite_to_svg(chart, vl_version=_VEGA_LITE)
    return text


def png(chart: Spec) -> bytes:
    """Return a chart as PNG, of twice the size in pixels."""
    image: bytes = vl_convert.vegalite_to_png(chart, vl_version=_VEGA_LITE, scale=2)
    return image


def _apart(at: Mapping[str, float], least: float, most: float) -> dict[str, float]:
    """Move places apart that are closer than ``least``: upwards, but not beyond ``most``."""
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
    # Layers share their axes: a title is on one if all of them have it.
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
