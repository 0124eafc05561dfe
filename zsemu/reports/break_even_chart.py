# SPDX-License-Identifier: GPL-2.0-only
"""Draw the price of a TLB invalidate at which strategies tie, by the size of the slot.

A band across the plot stands for what one source says that an invalidate costs. It has a letter,
which the table of sources explains.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from zsemu.reports.break_even import PriceCurve
from zsemu.reports.charts import INK, Spec, chart, layer
from zsemu.reports.curve_layers import HEIGHT, LINE, Axis, apart, curve_layers

_LINEAR: Final = 10
"""prices may be negative: the scale is logarithmic only where they are far from 0, as this is"""
_LETTER: Final = 0.05
"""of the width: how far the letters of bands are apart"""
_TICKS: Final = (-1000, -100, -10, 0, 10, 100, 1000, 10_000, 100_000)


@dataclass(frozen=True)
class Band:
    """What one source says, in the unit of the prices."""

    letter: str
    least: float
    most: float


def break_even_chart(
    curves: Mapping[str, PriceCurve],
    bands: Sequence[Band],
    names: Sequence[str],
    page_size: int,
    *,
    title: str,
    subtitle: str,
) -> Spec:
    """Draw the prices at which one strategy ties with each of the others.

    ``curves`` are by the other strategy. ``names`` are all strategies of the document: each looks
    the same in every chart.
    """
    prices = [price for curve in curves.values() for price in curve.price]
    prices += [end for band in bands for end in (band.least, band.most)]
    low, high = min(0.0, 1.5 * min(prices)), 1.5 * max(prices, default=0.0) or float(_LINEAR)
    high = max(high, float(_LINEAR))
    scale = {"type": "symlog", "constant": _LINEAR, "domain": [low, high], "nice": False}
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    x = Axis({"domain": [0, page_size], "nice": False}, "bytes of the slot", {"tickCount": 5})
    y = Axis(scale, None, {"values": ticks, "format": ",d"})
    places = {name: (curve.size, curve.price) for name, curve in curves.items()}
    ends = {name: _scaled(curve.price[-1]) for name, curve in curves.items()}
    line = (_scaled(high) - _scaled(low)) * LINE / HEIGHT
    heights = {name: _price(at) for name, at in apart(ends, line, _scaled(high)).items()}
    drawn = curve_layers(places, heights, names, x, y)
    layers = [*_bands(bands, x, y), drawn.lines, drawn.leaders, drawn.marks, drawn.labels]
    return chart(layers, title, subtitle, height=HEIGHT)


def _scaled(price: float) -> float:
    """Return where a price lies on Vega's scale ``symlog``, in a unit of its own."""
    return math.copysign(math.log1p(abs(price) / _LINEAR), price)


def _price(scaled: float) -> float:
    """Return the price that lies there."""
    return math.copysign(math.expm1(abs(scaled)) * _LINEAR, scaled)


def _bands(bands: Sequence[Band], x: Axis, y: Axis) -> list[Spec]:
    """Return the layers of what sources say: a band across the plot, and its letter.

    The letters stand side by side, since bands may overlap.
    """
    across = x.scale["domain"][1] * _LETTER
    rows = [
        {"letter": band.letter, "least": band.least, "most": band.most, "left": across * i}
        for i, band in enumerate(bands)
    ]
    text = {"type": "text", "align": "left", "baseline": "bottom", "dx": 4, "dy": -1}
    edge = {"type": "rule", "color": INK, "strokeWidth": 0.8}
    return [
        layer(
            rows,
            {"type": "rect", "color": INK, "opacity": 0.2},
            y=y.of("least"),
            y2={"field": "most"},
        ),
        layer(rows, edge, y=y.of("least")),
        layer(rows, edge, y=y.of("most")),
        layer(
            rows,
            {**text, "fontSize": 11, "color": INK},
            x=x.of("left"),
            y=y.of("most"),
            text={"field": "letter"},
        ),
    ]
