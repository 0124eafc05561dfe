# SPDX-License-Identifier: GPL-2.0-only
"""The matrix of documents made up by hand: its figures, and where there are none."""

from dataclasses import replace

import pytest
from documents import MAPS, Cost, costing, document, kernel

from zsemu.errors import ZsemuError
from zsemu.reports.matrix import OWN, WHOLE, Matrix, Measure

BYTES = Measure("bytes", "total", WHOLE)


def made() -> Matrix:
    return Matrix(
        costing(
            {
                "arm": {
                    "copy": Cost(bytes=(2000, 800), instructions=(400, 40), access=10),
                    "sg": Cost(bytes=(1000, 800), instructions=(100, 10), access=10),
                },
                "i386": {"copy": Cost(bytes=(200, 80)), "sg": None},
            }
        )
    )


def test_figures() -> None:
    matrix = made()
    assert (matrix.archs, matrix.strategies, matrix.base) == (
        ("arm", "i386"),
        ("copy", "sg"),
        "copy",
    )
    # 200 maps, of which 40 span: 30 reads and 10 writes.
    assert matrix.figure(BYTES, "arm", "copy") == 2000 / 200 + 10
    assert matrix.figure(Measure("bytes", "total", OWN), "arm", "copy") == 10
    assert matrix.figure(Measure("bytes", "spanning", WHOLE), "arm", "sg") == 800 / 40 + 10
    assert matrix.figure(Measure("instructions", "spanning_read", OWN), "arm", "copy") == 20 / 30
    assert matrix.ratio(BYTES, "arm", "sg") == 15 / 20
    assert matrix.ratio(BYTES, "arm", "copy", "sg") == 20 / 15
    assert matrix.scopes == ["total", "spanning", "spanning_read", "spanning_write"]


def test_where_there_are_none() -> None:
    matrix = made()
    assert matrix.figure(BYTES, "i386", "sg") is None
    assert matrix.figure(BYTES, "i386", "swap") is None
    assert matrix.figure(Measure("bytes", "spanning_update", OWN), "arm", "copy") is None
    assert matrix.ratio(BYTES, "i386", "copy", "sg") is None
    # Nothing is no base either.
    assert matrix.ratio(Measure("instructions", "total", OWN), "i386", "copy") is None


def test_least() -> None:
    matrix = made()
    assert matrix.least(BYTES, "arm", ("copy", "sg")) == ["sg"]
    assert matrix.least(Measure("bytes", "spanning", OWN), "arm", ("copy", "sg")) == ["copy", "sg"]
    assert matrix.least(BYTES, "i386", ("copy", "sg")) == ["copy"]
    assert matrix.least(BYTES, "i386", ("sg",)) == []


def test_base() -> None:
    assert Matrix(document(), "mine.c").base == "mine.c"
    assert Matrix(costing({"arm": {"swap": Cost(), "sg": Cost()}})).base == "swap"
    with pytest.raises(
        ZsemuError, match=r"x: no strategy 'swap' .*: there are pgtable, copy, mine"
    ):
        Matrix(document(), "swap", name="x")


def test_what_is_no_matrix() -> None:
    one = document()
    with pytest.raises(ZsemuError, match="hold no maps"):
        Matrix(replace(one, records=()))
    with pytest.raises(ZsemuError, match="hold no maps"):
        Matrix(replace(one, records=tuple(replace(r, maps=0) for r in one.records)))
    mixed = (replace(one.records[0], geometry="2012"), *one.records[1:])
    with pytest.raises(ZsemuError, match="a file each"):
        Matrix(replace(one, records=mixed))


def test_a_kernel_has_its_own_geometry() -> None:
    """And other maps span: then no strategy has the least of them."""
    own = kernel(document(), "2012", 50)
    matrix = Matrix(own)
    spanning = Measure("bytes", "spanning", WHOLE)
    assert matrix.same_maps("total") and not matrix.same_maps("spanning")
    assert matrix.least(BYTES, "arm", matrix.strategies) == ["pgtable"]
    assert matrix.least(spanning, "arm", matrix.strategies) == []
    assert Matrix(document()).least(spanning, "arm", ("copy", "mine.c")) == ["copy"]
    # Not so a strategy, which is placed by zsemu.
    with pytest.raises(ZsemuError, match="a file each"):
        Matrix(replace(own, provenance=replace(own.provenance, kernels={})))


def test_distinct_scopes() -> None:
    assert Matrix(document()).distinct_scopes == Matrix(document()).scopes
    maps = {**MAPS, "total": 40, "spanning_read": 40, "spanning_write": 0}
    assert Matrix(costing({"arm": {"copy": Cost()}}, maps)).distinct_scopes == ["total"]


def test_how_figures_are_written() -> None:
    assert BYTES.show(1234.5678) == "1235"
    assert BYTES.show(3.4) == "3"
    instructions = Measure("instructions", "total", OWN)
    assert [instructions.show(f) for f in (12.34, 999.94, 1000.2)] == ["12.3", "999.9", "1000"]
