# SPDX-License-Identifier: GPL-2.0-only
"""Draw the ratio of every strategy to one of them, on every architecture, as dots.

Each strategy has a lane for every architecture, in the order of the legend. A line leads from the
ratio 1 to the dot. A cross stands where there is no ratio because the cell is not intact.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from zsemu.reports.charts import INK, PALETTE, SHAPES, Spec, chart, layer, quantity, style
from zsemu.reports.panels import times

_STEPS: Final = {3: (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), 10: (1, 1.5, 2, 3, 4, 5, 7), 100: (1, 2, 5)}
"""ticks within a power of ten, where the axis reaches so many times as far as it begins"""
_POWERS: Final = range(-6, 7)
_WIDTH: Final = 250
"""of the plot, in pixels: with all that is written beside it there is room on a phone"""
_LANE: Final = 6
"""height of an architecture's lane in pixels"""
_LEAST: Final = 20
"""height of a strategy in pixels, at least, which is that of its name"""
BAD: Final = "#d03b3b"
"""colour of what is not intact"""
_CROSS: Final = "M-1,-1L1,1M-1,1L1,-1"
_ROOM: Final = 1.08
"""by what factor the axis goes on behind the outermost dot"""


@dataclass(frozen=True)
class RatioRow:
    """One strategy."""

    strategy: str
    ratios: Mapping[str, float]
    """by architecture; none where there is no such cell, or nothing to divide by"""
    broken: Sequence[str]
    """architectures on which the cell is not intact"""


def ratio_chart(
    rows: Sequence[RatioRow],
    archs: Sequence[str],
    extent: tuple[float, float],
    *,
    title: str,
    subtitle: str,
) -> Spec:
    """Draw ratios; ``archs`` are all architectures of the document, in its order.

    The axis reaches from the first to the last ratio of ``extent``, which other charts may share.
    """
    y = {
        "field": "strategy",
        "type": "nominal",
        "sort": [row.strategy for row in rows],
        "title": None,
        "scale": {"paddingInner": 0.25, "paddingOuter": 0.1},
        "axis": {"domain": False, "ticks": False, "labelPadding": 6},
    }
    step = max(_LANE, _LEAST / len(archs))
    layers = [*_dots(rows, archs, extent, y), *_words(rows, y)]
    return chart(layers, title, subtitle, height={"step": step}, width=_WIDTH)


def _dots(
    rows: Sequence[RatioRow], archs: Sequence[str], extent: tuple[float, float], y: Spec
) -> list[Spec]:
    """Return the layers of the ratios, and of the crosses where there are none."""
    there = [
        {"strategy": row.strategy, "arch": arch, "ratio": row.ratios[arch], "one": 1}
        for row in rows
        for arch in archs
        if arch in row.ratios
    ]
    broken = [
        {"strategy": row.strategy, "arch": arch, "one": 1} for row in rows for arch in row.broken
    ]
    scale, ticks = _scale(*extent)
    axis = {"values": ticks, "labelExpr": "format(datum.value, '~g') + 'x'"}
    x, one = {**quantity("ratio", scale), "axis": axis}, quantity("one", scale)
    lane = {"y": y, "yOffset": {"field": "arch", "type": "nominal", "sort": list(archs)}}
    legend = {"orient": "bottom", "columns": 3, "title": None}
    colour = {**style("arch", archs, PALETTE), "legend": legend}
    shape = {**style("arch", archs, SHAPES), "legend": legend}
    cross = {"type": "point", "shape": _CROSS, "size": 40, "strokeWidth": 2, "color": BAD}
    dot = {"type": "point", "size": 30, "filled": True, "opacity": 1}
    line = {"type": "rule", "strokeWidth": 1.2}
    return [
        layer(there, line, x=one, x2={"field": "ratio"}, color=colour, **lane),
        layer([{"one": 1}], {"type": "rule", "color": INK}, x=one),
        layer(there, dot, x=x, color=colour, shape=shape, **lane),
        layer(broken, cross, x=one, **lane),
    ]


def _words(rows: Sequence[RatioRow], y: Spec) -> list[Spec]:
    """Return the layers of what is written beside each strategy."""
    ratios = [{"strategy": row.strategy, "label": _label(row.ratios.values())} for row in rows]
    broken = [
        {"strategy": row.strategy, "label": f"\u2715 {', '.join(row.broken)}"}
        for row in rows
        if row.broken
    ]
    mark = {"type": "text", "align": "left", "fontSize": 11}
    place = {"x": {"value": _WIDTH + 10}, "y": y, "text": {"field": "label"}}
    return [
        layer(ratios, {**mark, "color": INK}, **place),
        layer(broken, {**mark, "color": BAD, "dy": 13}, **place),
    ]


def _label(ratios: Iterable[float]) -> str:
    """Return from which ratio to which they reach, as text."""
    ordered = [times(one) for one in sorted(ratios)]
    return "\u2013".join(dict.fromkeys([*ordered[:1], *ordered[-1:]]))


def _scale(least: float, most: float) -> tuple[Spec, list[float]]:
    """Return a logarithmic scale on which two ratios and 1 have room, and the ticks of its axis."""
    low, high = min(1, least) / _ROOM, max(1, most) * _ROOM
    steps = next((steps for reach, steps in _STEPS.items() if high / low <= reach), (1,))
    ticks = [step * 10.0**power for power in _POWERS for step in steps]
    ticks = [tick for tick in ticks if low <= tick <= high]
    return {"type": "log", "domain": [low, high], "nice": False}, ticks
