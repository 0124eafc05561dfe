# SPDX-License-Identifier: GPL-2.0-only
"""The charts: what is drawn is read back from the SVG, and can be read on any paper."""

import re
from collections.abc import Callable
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from zsemu.reports.charts import INK, PALETTE, PAPERS, Spec, png, svg
from zsemu.reports.cost_chart import cost_chart
from zsemu.reports.cost_curves import Crossing, Curve
from zsemu.reports.ratio_chart import BAD, RatioRow, ratio_chart
from zsemu.reports.traffic_chart import FILLS, TrafficBar, traffic_chart

NAMES = ("copy", "swap", "<b>&.c")
COPY = Curve((0.25, 0.75), (2.0, 2.0), (1, 1))
SWAP = Curve((0.25, 0.75), (1.0, 3.0), (1, 1))


def chart() -> Spec:
    found = {"copy": COPY, "swap": SWAP, "<b>&.c": COPY}
    return cost_chart(found, [Crossing("swap", "copy", 0.5, 2.0)], NAMES, title="t", subtitle="s")


def bars() -> Spec:
    made = [
        TrafficBar("copy", {"pool": 3000.0, "buffer": 1000.0, "stack": 8.0}),
        TrafficBar("<b>&.c", {"pool": 10.0, "buffer": 0.0, "stack": 4.0}),
    ]
    return traffic_chart(made, ("pool", "buffer", "stack"), title="t", subtitle="s")


def ratios(*more: RatioRow) -> Spec:
    rows = [
        RatioRow("copy", {"arm": 1.0, "i386": 1.0}, ()),
        RatioRow("swap", {"arm": 0.5, "i386": 4.0}, ()),
        RatioRow("<b>&.c", {"arm": 0.8}, ("i386",)),
        *more,
    ]
    return ratio_chart(rows, ("arm", "i386"), (0.5, 4.0), title="t", subtitle="s")


def luminance(colour: str) -> float:
    """Return the relative luminance that WCAG defines."""
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def texts(drawn: str) -> list[str]:
    """Return all that is written."""
    every = ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(element.itertext()) for element in every]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_colour_stands_out_from_white_and_from_dark(paper: str) -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast(INK, paper) > 4
    assert all(contrast(colour, paper) >= 3 for colour in (*PALETTE, BAD))
    assert all(contrast(colour, paper) >= 2.8 for colour in FILLS)


def test_letters_can_be_read_on_bars() -> None:
    assert all(contrast(colour, "#ffffff") >= 4.5 for colour in FILLS)


def test_nothing_depends_on_colour_alone() -> None:
    """Without its colours a chart still tells every curve from the others, and names it."""
    specification = chart()
    lines, _, marks, _, names = specification["layer"]
    looks = [
        tuple(map(tuple_or_text, pair))
        for pair in zip(
            lines["encoding"]["strokeDash"]["scale"]["range"],
            marks["encoding"]["shape"]["scale"]["range"],
            strict=True,
        )
    ]
    assert len(set(looks)) == len(NAMES)
    assert {row["strategy"] for row in names["data"]["values"]} == set(NAMES)
    assert set(NAMES) <= set(texts(svg(specification)))


def tuple_or_text(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def test_what_is_written() -> None:
    found = texts(svg(chart()))
    assert found.count("share of the slot in the first page") == 1
    assert {"t", "s", "0%", "100%"} <= set(found)


def test_eight_strategies_look_different() -> None:
    names = tuple("abcdefgh")
    layers = cost_chart(dict.fromkeys(names, COPY), [], names, title="", subtitle="")["layer"]
    dashes = layers[0]["encoding"]["strokeDash"]["scale"]["range"]
    shapes = layers[2]["encoding"]["shape"]["scale"]["range"]
    assert len({(*dash, shape) for dash, shape in zip(dashes, shapes, strict=True)}) == 8
    # And more than that still are drawn.
    many = tuple("abcdefghij")
    drawn = svg(cost_chart(dict.fromkeys(many, COPY), [], many, title="", subtitle=""))
    assert set(many) <= set(texts(drawn))


def test_names_of_curves_that_end_together_are_apart() -> None:
    drawn = svg(cost_chart(dict.fromkeys(NAMES, COPY), [], NAMES, title="", subtitle=""))
    places = []
    for element in ElementTree.fromstring(drawn).iter():
        if element.tag.endswith("text") and "".join(element.itertext()) in NAMES:
            found = re.match(r"translate\(([-\d.]+),([-\d.]+)\)", element.get("transform", ""))
            assert found
            places.append(float(found[2]))
    places.sort()
    assert len(places) == 3
    assert all(b - a >= 12 for a, b in pairwise(places))


def test_a_crossing_is_drawn_where_the_curves_cross() -> None:
    layer = chart()["layer"][3]
    assert layer["data"]["values"] == [{"x": 0.5, "y": 2.0}]
    assert layer["mark"]["color"] == INK


def test_bars() -> None:
    drawn, named, summed = bars()["layer"]
    rows = drawn["data"]["values"]
    assert [(row["from"], row["to"]) for row in rows] == [
        (0, 3000),
        (3000, 4000),
        (4000, 4008),
        (0, 10),
        (10, 10),
        (10, 14),
    ]
    assert [row["label"] for row in named["data"]["values"]][:3] == ["pool 3000", "buffer 1000", ""]
    assert [row["label"] for row in summed["data"]["values"]] == ["4008", "14"]
    found = texts(svg(bars()))
    assert {"pool", "buffer", "stack", "pool 3000", "4008", "copy", "<b>&.c"} <= set(found)


def test_ratios() -> None:
    """A dot for each, a cross where a cell is not intact, and beside them how far they reach."""
    _, one, dots, crosses, reach, named = ratios()["layer"]
    assert one["data"]["values"] == [{"one": 1}]
    assert {(dot["strategy"], dot["arch"]): dot["ratio"] for dot in dots["data"]["values"]} == {
        ("copy", "arm"): 1.0,
        ("copy", "i386"): 1.0,
        ("swap", "arm"): 0.5,
        ("swap", "i386"): 4.0,
        ("<b>&.c", "arm"): 0.8,
    }
    assert crosses["data"]["values"] == [{"strategy": "<b>&.c", "arch": "i386", "one": 1}]
    assert [row["label"] for row in reach["data"]["values"]] == ["1.00x", "0.50x–4.00x", "0.80x"]  # noqa: RUF001
    assert [row["label"] for row in named["data"]["values"]] == ["\u2715 i386"]
    found = texts(svg(ratios()))
    assert {"copy", "swap", "<b>&.c", "arm", "i386", "1x", "2x", "4x", "0.5x"} <= set(found)


def test_architectures_differ_without_their_colours() -> None:
    """In the shape of their dots, and each has a lane of its own, in the order of the legend."""
    dots = ratios()["layer"][2]["encoding"]
    shapes = dots["shape"]["scale"]["range"]
    assert len(set(shapes)) == 2 and dots["shape"]["scale"]["domain"] == ["arm", "i386"]
    assert dots["yOffset"]["sort"] == ["arm", "i386"]
    assert dots["shape"]["legend"] == dots["color"]["legend"] is not None


def test_no_ratio_at_all_is_no_text() -> None:
    layers = ratios(RatioRow("none.c", {}, ("arm", "i386")))["layer"]
    assert [row["label"] for row in layers[4]["data"]["values"]][-1] == ""
    assert [row["label"] for row in layers[5]["data"]["values"]][-1] == "\u2715 arm, i386"


@pytest.mark.parametrize(
    ("extent", "ticks"),
    [
        ((0.5, 0.9), [0.5, 0.6, 0.7, 0.8, 0.9, 1]),
        ((0.34, 1.02), [0.4, 0.5, 0.7, 1]),
        ((0.34, 9), [0.5, 1, 2, 5]),
        ((0.001, 120), [0.001, 0.01, 0.1, 1, 10, 100]),
        ((2, 3), [1, 1.5, 2, 3]),
    ],
)
def test_ticks(extent: tuple[float, float], ticks: list[float]) -> None:
    """They are round, few, and 1 is always among them."""
    drawn = ratio_chart([RatioRow("a", {"arm": 1}, ())], ("arm",), extent, title="", subtitle="")
    x = drawn["layer"][2]["encoding"]["x"]
    assert x["axis"]["values"] == pytest.approx(ticks)
    low, high = x["scale"]["domain"]
    assert low < min(1, *extent) and max(1, *extent) < high


@pytest.mark.parametrize("make", [chart, bars, ratios])
def test_svg_stands_alone(make: Callable[[], Spec]) -> None:
    specification = make()
    drawn = svg(specification)
    assert drawn == svg(specification) == svg(make())
    assert "<script" not in drawn and " id=" not in drawn and "<b>" not in drawn
    assert specification["background"] == "transparent"
    assert INK in drawn
    image = png(specification)
    assert image.startswith(b"\x89PNG\r\n") and image == png(specification)


def test_a_strategy_that_costs_nothing() -> None:
    free = Curve((0.25, 0.75), (0.0, 0.0), (1, 1))
    assert "sg" in texts(svg(cost_chart({"sg": free}, [], ("sg",), title="", subtitle="")))
