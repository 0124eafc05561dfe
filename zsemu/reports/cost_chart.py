# SPDX-License-Identifier: GPL-2.0-only
"""Draw what strategies cost by where the page ends, as curves."""

from collections.abc import Mapping, Sequence
from typing import Final

from zsemu.reports.charts import INK, Spec, chart, layer
from zsemu.reports.cost_curves import Crossing, Curve
from zsemu.reports.curve_layers import HEIGHT, LINE, Axis, apart, curve_layers

_SHARE: Final = "share of the slot in the first page"


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
    x = Axis({"domain": [0, 1], "nice": False}, _SHARE, {"format": "%", "tickCount": 5})
    y = Axis({"domain": [0, top], "nice": False}, None)
    ends = {name: curve.cost[-1] for name, curve in curves.items()}
    places = {name: (curve.share, curve.cost) for name, curve in curves.items()}
    drawn = curve_layers(places, apart(ends, top * LINE / HEIGHT, top), names, x, y)
    circles = layer(
        [{"x": one.share, "y": one.cost} for one in crossings],
        {"type": "point", "shape": "circle", "size": 120, "filled": False, "color": INK},
        x=x.of("x"),
        y=y.of("y"),
    )
    layers = [drawn.lines, drawn.leaders, drawn.marks, circles, drawn.labels]
    return chart(layers, title, subtitle, height=HEIGHT)
