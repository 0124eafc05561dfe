# SPDX-License-Identifier: GPL-2.0-only
"""The chart of break-even prices: what is drawn is read back from the SVG."""

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from zsemu.reports.break_even import PriceCurve
from zsemu.reports.break_even_chart import Band, break_even_chart
from zsemu.reports.charts import Spec, svg

NAMES = ("copy", "swap", "sg")
CURVES = {
    "copy": PriceCurve((1000, 3000), (100.0, 300.0)),
    "swap": PriceCurve((1000, 3000), (90.0, 300.0)),
    "sg": PriceCurve((1000, 3000), (-8.0, -20.0)),
}
NEGATIVE = "\N{MINUS SIGN}10"
BANDS = (Band("A", 80, 101), Band("B", 100, 420))


def chart() -> Spec:
    return break_even_chart(CURVES, BANDS, NAMES, 4096, title="t", subtitle="s")


def heights(drawn: str) -> dict[str, float]:
    """Return how far down each text stands."""
    found = {}
    for one in ElementTree.fromstring(drawn).iter():
        place = re.match(r"translate\(([-\d.]+),\s*([-\d.]+)\)", one.get("transform", ""))
        if one.tag.endswith("text") and place:
            found["".join(one.itertext())] = float(place[2])
    return found


def test_names_are_apart() -> None:
    """Two curves end at the same price; the scale is not linear."""
    at = heights(svg(chart()))
    assert all(b - a >= 12 for a, b in pairwise(sorted(at[name] for name in NAMES)))
    assert at["sg"] > max(at["copy"], at["swap"])


def test_the_axis_has_prices_below_zero() -> None:
    at = heights(svg(chart()))
    ticks = [at[tick] for tick in ("100", "10", "0", NEGATIVE)]
    assert ticks == sorted(ticks)
    above = break_even_chart({"copy": CURVES["copy"]}, (), NAMES, 4096, title="t", subtitle="s")
    assert NEGATIVE not in heights(svg(above))


def test_prices_stand_where_the_scale_has_them() -> None:
    """The names are placed by a scale of our own: it must be that of the picture."""
    at = heights(svg(chart()))
    unit = (at["0"] - at["100"]) / math.log1p(100 / 10)
    for tick in ("10", NEGATIVE):
        price = float(tick.replace("\N{MINUS SIGN}", "-"))
        scaled = math.copysign(math.log1p(abs(price) / 10), price)
        assert at["0"] - at[tick] == pytest.approx(unit * scaled, abs=1)


def test_letters_stand_side_by_side_above_their_bands() -> None:
    drawn = svg(chart())
    at = heights(drawn)
    assert {"A", "B"} < set(at) and at["B"] < at["A"]
    rows = chart()["layer"][0]["data"]["values"]
    assert [(row["letter"], row["least"], row["most"]) for row in rows] == [
        ("A", 80, 101),
        ("B", 100, 420),
    ]
    assert rows[0]["left"] != rows[1]["left"]


def test_svg_stands_alone() -> None:
    drawn = svg(chart())
    assert drawn == svg(chart())
    assert "<script" not in drawn and "href" not in drawn
