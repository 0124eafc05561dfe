# SPDX-License-Identifier: GPL-2.0-only
"""Which plots there are of a document, and the files that they become."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from documents import MAPS, Cost, costing, document, shaped

from zsemu.reports.invalidate_costs import INVALIDATE_COSTS
from zsemu.reports.matrix import Matrix
from zsemu.reports.plot_files import (
    all_plots,
    break_even_plots,
    cost_plots,
    ratio_plots,
    traffic_plots,
    write,
)
from zsemu.results.document import dumps, loads

NAMES = [
    "out-ratios-all-maps-bytes",
    "out-ratios-spanning-maps-bytes",
    "out-ratios-all-maps-instructions",
    "out-ratios-spanning-maps-instructions",
    "out-x86_64-read-bytes",
    "out-arm-read-bytes",
    "out-x86_64-read-instructions",
    "out-arm-read-instructions",
    # By the counts that are made up, copy and mine.c invalidate more than pgtable.
    "out-x86_64-read-break-even-copy",
    "out-arm-read-break-even-copy",
    "out-x86_64-read-break-even-mine.c",
    "out-arm-read-break-even-mine.c",
    "out-x86_64-regions-map-access-unmap",
    "out-arm-regions-map-access-unmap",
    "out-x86_64-regions-map-unmap",
    "out-arm-regions-map-unmap",
]


def test_files(tmp_path: Path) -> None:
    matrix = Matrix(document(), name="out")
    for image, start in (("svg", b"<svg "), ("png", b"\x89PNG")):
        files = write(all_plots(matrix), tmp_path, image)
        assert [file.name for file in files] == [f"{name}.{image}" for name in NAMES]
        assert all(file.read_bytes().startswith(start) for file in files)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(2 * NAMES)


def test_one_place_of_the_boundary_is_no_curve() -> None:
    rows = {"copy": {"read": [(1000, 250, 1, 0)], "write": [(1000, 250, 1, 0), (1000, 750, 1, 0)]}}
    made = replace(document(), records=tuple(shaped(rows)))
    named = [plot.name for plot in cost_plots(Matrix(made, name="out"))]
    assert named == ["out-arm-write-bytes", "out-arm-write-instructions"]


def test_broken_cells_are_in_none() -> None:
    """But the ratios of others are drawn beside a cross."""
    matrix = Matrix(document(broken=True), name="out")
    for plot in (*cost_plots(matrix), *traffic_plots(matrix)):
        drawn = json.dumps(plot.chart["layer"][0]["data"])
        assert ("mine.c" in drawn) == ("x86_64" in plot.name)
    for plot in ratio_plots(matrix, "bytes"):
        dots, crosses = (plot.chart["layer"][i]["data"]["values"] for i in (2, 3))
        assert [one["arch"] for one in dots if one["strategy"] == "mine.c"] == ["x86_64"]
        assert crosses == [{"strategy": "mine.c", "arch": "arm", "one": 1}]


def test_prices_are_in_the_unit_of_the_architecture() -> None:
    """With the bands of its own invalidate: of x86 in bytes, of others in instructions."""
    plots = {plot.name: plot for plot in break_even_plots(Matrix(document(), name="out"))}
    for arch, letters, count in (("x86_64", "ABCDE", "bytes"), ("arm", "F", "instructions")):
        plot = plots[f"out-{arch}-read-break-even-mine.c"]
        bands = plot.chart["layer"][0]["data"]["values"]
        assert "".join(band["letter"] for band in bands) == letters
        assert plot.subtitle.startswith(f"{count} that cost what")
        rate = 4 * 1632 / 560 if count == "bytes" else 1
        known = {one.letter: one for one in INVALIDATE_COSTS}
        for band in bands:
            least, most = known[band["letter"]].cycles
            assert (band["least"], band["most"]) == pytest.approx((least * rate, most * rate))
    broken = Matrix(document(broken=True), name="out")
    assert not any("arm" in one.name and "mine.c" in one.name for one in break_even_plots(broken))


def test_ratios_are_those_of_the_document() -> None:
    data = json.loads(dumps(document()))
    for plot, scope in zip(
        ratio_plots(Matrix(document(), "pgtable", name="out"), "instructions"),
        ("total", "spanning"),
        strict=True,
    ):
        sums = {
            (one["arch"], one["strategy"]): sum(
                counts[scope]["instructions"] for counts in one["counts"].values()
            )
            for one in data["records"]
        }
        dots = plot.chart["layer"][2]["data"]["values"]
        assert {(dot["arch"], dot["strategy"]): dot["ratio"] for dot in dots} == {
            (arch, name): pytest.approx(amount / sums[arch, "pgtable"])
            for (arch, name), amount in sums.items()
        }


def test_where_nothing_compares_there_are_no_ratios() -> None:
    for cells in ({"copy": Cost(bytes=(200, 80))}, {"copy": None, "sg": Cost(bytes=(200, 80))}):
        assert not [*ratio_plots(Matrix(costing({"arm": cells})), "bytes")]
    maps = dict.fromkeys(MAPS, 0) | {"total": 200}
    cost = Cost(bytes=(200, 80))
    matrix = Matrix(costing({"arm": {"copy": cost, "sg": cost}}, maps), name="out")
    assert [one.name for one in ratio_plots(matrix, "bytes")] == ["out-ratios-all-maps-bytes"]


@pytest.mark.parametrize("use", ["map-unmap", "map-access-unmap"])
def test_regions_are_those_of_the_document(use: str) -> None:
    data = json.loads(dumps(document()))
    found = {plot.name: plot for plot in traffic_plots(Matrix(document(), name="out"))}
    rows = found[f"out-arm-regions-{use}"].chart["layer"][0]["data"]["values"]
    (one,) = (r for r in data["records"] if (r["arch"], r["strategy"]) == ("arm", "copy"))
    phases = ["settle", "map", "unmap"] + ["access"] * (use == "map-access-unmap")
    for row in rows:
        if row["strategy"] == "copy":
            traffic = [one["counts"][p]["spanning"]["regions"][row["region"]] for p in phases]
            amount = sum(each["bytes_loaded"] + each["bytes_stored"] for each in traffic)
            assert row["to"] - row["from"] == pytest.approx(amount / 40)
    assert len(rows) == 3 * 9


def test_names_of_files_are_harmless(tmp_path: Path) -> None:
    text = dumps(document()).replace('"arm"', '"../a rm"')
    files = write(all_plots(Matrix(loads(text, "x"), name="../o&ut")), tmp_path, "svg")
    assert {file.parent for file in files} == {tmp_path}
    assert "o-ut-a-rm-read-bytes.svg" in {file.name for file in files}
