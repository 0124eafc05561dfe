# SPDX-License-Identifier: GPL-2.0-only
"""Curves and where they cross, from rows of which both are known.

Known of the debate: exchanging the s' bytes in the first page, and back, loads 4 s' bytes, copying
there and back 2 s: they cross at s' = s / 2. Exchanging the smaller side crosses a copy in one
direction, s, at a quarter and at three quarters.
"""

import pytest
from documents import record, shaped

from zsemu.reports.cost_curves import Crossing, Curve, cost_curves, crossings

Row = tuple[int, int, int, int]
SIZES = (512, 1024, 2048)


def rows(cost: dict[str, float], step: int = 32) -> dict[str, dict[str, list[Row]]]:
    """Return rows of all sizes and heads for strategies that cost so much per byte, and swaps."""
    per_byte = {
        "swap": lambda share: 4 * share,
        "swap-min": lambda share: 4 * min(share, 1 - share),
    }
    found: dict[str, dict[str, list[Row]]] = {}
    for name in [*cost, *per_byte]:
        found[name] = {"read": []}
        for size in SIZES:
            for head in range(size // step, size, size // step):
                each = per_byte[name](head / size) if name in per_byte else cost[name]
                found[name]["read"].append((size, head, 3, round(3 * size * each)))
    return found


def test_curves_are_what_the_rows_are() -> None:
    found = cost_curves(shaped(rows({"copy": 2})), "read", "bytes")
    assert list(found) == ["copy", "swap", "swap-min"]
    for name, curve in found.items():
        assert len(curve.share) == len(curve.cost) == len(curve.maps) == 16
        assert list(curve.share) == sorted(curve.share)
        assert sum(curve.maps) == 3 * len(SIZES) * 31
        for share, cost in zip(curve.share, curve.cost, strict=True):
            if name == "copy":
                assert cost == pytest.approx(2)
            if name == "swap":
                assert cost == pytest.approx(4 * share)
    assert cost_curves(shaped(rows({"copy": 2})), "write", "bytes") == {}


def test_costs_are_per_byte_of_all_slots_of_a_step() -> None:
    records = shaped({"copy": {"read": [(1000, 500, 1, 3000), (3000, 1500, 2, 3000)]}})
    curve = cost_curves(records, "read", "instructions")["copy"]
    assert (curve.share, curve.cost, curve.maps) == ((0.5,), (6000 / 7000,), (3,))


def test_a_rare_step_is_left_out() -> None:
    for maps, steps in ((1, 1), (2, 2)):
        records = shaped({"copy": {"read": [(1024, 64, 1500, 0), (1024, 960, maps, 0)]}})
        assert len(cost_curves(records, "read", "bytes")["copy"].share) == steps


def test_broken_ones_have_none() -> None:
    broken = [record("arm", "copy", None)]
    assert cost_curves(broken, "read", "bytes") == {}


def test_swap_and_copy_cross_in_the_middle() -> None:
    found = cost_curves(shaped(rows({"copy": 2})), "read", "bytes")
    (crossing,) = [one for one in crossings(found) if "swap-min" not in (one.below, one.above)]
    assert (crossing.below, crossing.above) == ("swap", "copy")
    assert crossing.share == pytest.approx(0.5, abs=0.01)
    assert crossing.cost == pytest.approx(2, abs=0.01)


def test_swapping_the_smaller_side_crosses_twice() -> None:
    found = cost_curves(shaped(rows({"copy-modes": 1})), "read", "bytes")
    where = {
        (one.below, one.above): one.share
        for one in crossings(found)
        if {one.below, one.above} == {"copy-modes", "swap-min"}
    }
    assert where == {
        ("swap-min", "copy-modes"): pytest.approx(0.25, abs=0.01),
        ("copy-modes", "swap-min"): pytest.approx(0.75, abs=0.01),
    }


def curve(*costs: float) -> Curve:
    share = tuple((i + 0.5) / len(costs) for i in range(len(costs)))
    return Curve(share, costs, (1,) * len(costs))


def test_between_two_steps() -> None:
    (found,) = crossings({"a": curve(1, 3), "b": curve(2, 2)})
    assert found == Crossing("a", "b", 0.5, 2.0)
    (found,) = crossings({"a": curve(1, 2.5), "b": curve(2, 2)})
    assert found.share == pytest.approx(0.25 + 0.5 * 2 / 3)


def test_touching_is_not_crossing() -> None:
    assert crossings({"a": curve(1, 2, 1), "b": curve(2, 2, 2)}) == []
    assert crossings({"a": curve(2, 2.01, 2), "b": curve(2.01, 2, 2.01)}) == []
    assert crossings({"a": curve(1, 1), "b": curve(2, 2)}) == []
    # Equal for a while, and then on the other side.
    (found,) = crossings({"a": curve(1, 2, 2, 3), "b": curve(2, 2, 2, 2)})
    assert (found.below, found.above, found.share) == ("a", "b", 0.375)


def test_what_crosses_often_is_not_about_the_boundary() -> None:
    assert len(crossings({"a": curve(1, 3, 1), "b": curve(2, 2, 2)})) == 2
    assert crossings({"a": curve(1, 3, 1, 3), "b": curve(2, 2, 2, 2)}) == []


def test_curves_of_other_maps_do_not_cross() -> None:
    """A kernel's object may have size classes of its own: its curve has other shares, or maps."""
    for other in ([(1000, 250, 1, 1000), (1000, 875, 1, 3000)], [(1000, 250, 2, 1000)]):
        found = {
            "copy": {"read": [(1000, 250, 1, 2000), (1000, 750, 1, 2000)]},
            "swap": {"read": [(1000, 250, 1, 1000), (1000, 750, 1, 3000)]},
            "mine.o": {"read": other},
        }
        curves = cost_curves(shaped(found), "read", "bytes")
        assert len(curves) == 3
        assert [(one.below, one.above) for one in crossings(curves)] == [("swap", "copy")]
