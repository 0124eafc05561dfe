# SPDX-License-Identifier: GPL-2.0-only
"""Hold what all charts of the report share: their look, and how they become SVG or PNG.

A chart is described in Vega-Lite, by a module for each kind. The SVG has no scripts. The same
colours serve white and dark paper: every colour stands out from both. Nothing depends on colour
alone.
"""

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any, Final

import vl_convert

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
"""of strategies or architectures: the colours of Okabe and Ito, which are told apart without colour
vision, made dark enough for white paper and light enough for dark paper"""
PAPERS: Final = ("#ffffff", "#0d1117")
SHAPES: Final = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "cross",
    "triangle-down",
    "triangle-right",
    "stroke",
)
WIDTH: Final = 330
"""of the plot, in pixels"""
_FONT: Final = "Liberation Sans, Arial, Helvetica, sans-serif"
"""vl-convert measures text in the first of these; some of the others are wider"""
_PADDING: Final = {"left": 14, "top": 5, "right": 20, "bottom": 5}


def svg(drawn: Spec) -> str:
    """Return a chart as SVG; the same chart gives the same text."""
    text: str = vl_convert.vegalite_to_svg(drawn, vl_version=_VEGA_LITE)
    return text


def png(drawn: Spec) -> bytes:
    """Return a chart as PNG, with twice as many pixels as the SVG measures."""
    image: bytes = vl_convert.vegalite_to_png(drawn, vl_version=_VEGA_LITE, scale=2)
    return image


def quantity(field: str, scale: Spec, title: str | None = None) -> Spec:
    """Return an encoding by a number.

    Layers share their axes, and Vega-Lite shows a title only once if all layers have the same.
    """
    return {"field": field, "type": "quantitative", "scale": scale, "title": title}


def style(field: str, names: Sequence[str], styles: Sequence[Any]) -> Spec:
    """Return an encoding by which each name has one of the styles, the same in every chart."""
    scale = {"domain": list(names), "range": list(islice(cycle(styles), len(names)))}
    return {"field": field, "type": "nominal", "scale": scale, "legend": None}


def layer(rows: Sequence[Spec], mark: Spec, **encoding: Spec) -> Spec:
    """Return one layer of a chart: a mark for each row of data."""
    return {"data": {"values": list(rows)}, "mark": mark, "encoding": encoding}


def chart(
    layers: list[Spec], title: str, subtitle: str, *, height: int | Spec, width: int = WIDTH
) -> Spec:
    """Return a chart of some layers, in the look that all have."""
    return {
        "layer": layers,
        "width": width,
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
