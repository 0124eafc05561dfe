# SPDX-License-Identifier: GPL-2.0-only
"""Draw the traffic of strategies by region, as stacked bars.

The parts of every bar have the same order, and a part shows its name if it has room.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from zsemu.reports.charts import INK, WIDTH, Spec, chart, layer, quantity, style

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
_CHARACTER: Final = 6.5
"""width of a digit or letter in pixels, about"""


@dataclass(frozen=True)
class TrafficBar:
    """The bytes that one strategy loads and stores, as one bar of a chart."""

    strategy: str
    parts: dict[str, float]
    """bytes by region"""


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
        layer(
            parts,
            {"type": "bar", "stroke": INK, "strokeWidth": 0.6},
            x={**quantity("from", scale), "axis": {"tickCount": 5}},
            x2={"field": "to"},
            y=rows,
            color={**style("region", regions, FILLS), "legend": legend},
        ),
        layer(
            parts,
            {"type": "text", "fontSize": 10.5, "color": "#ffffff"},
            x=quantity("middle", scale),
            y=rows,
            text={"field": "label"},
        ),
        layer(
            totals,
            {"type": "text", "align": "left", "dx": 4, "fontSize": 11, "color": INK},
            x=quantity("to", scale),
            y=rows,
            text={"field": "label"},
        ),
    ]
    return chart(layers, title, subtitle, height={"step": 24})


def _parts(bar: TrafficBar, regions: Sequence[str], longest: float) -> list[Spec]:
    """Return a bar's parts from left to right, each with as much of its label as has room."""
    parts = []
    end = 0.0
    for region in regions:
        amount = bar.parts[region]
        room = amount / longest * WIDTH
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
