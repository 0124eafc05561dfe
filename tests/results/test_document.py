# SPDX-License-Identifier: GPL-2.0-only
"""The document: what is written is what is read, and nothing else is taken for one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from documents import MAPS, document, record

from zsemu.counts import PHASES, SCOPES
from zsemu.errors import ZsemuError
from zsemu.results.document import SCHEMA, dumps, load, loads, save


@pytest.mark.parametrize("broken", [False, True])
def test_round_trip(tmp_path: Path, broken: bool) -> None:
    made = document(broken=broken)
    save(made, tmp_path / "r.json")
    assert load(tmp_path / "r.json") == made
    text = (tmp_path / "r.json").read_text()
    assert text == dumps(made) == dumps(document(broken=broken))
    assert text.endswith("}\n")


def test_form() -> None:
    """The names that the README promises to users, read without zsemu."""
    data = json.loads(dumps(document(broken=True)))
    assert list(data) == ["schema", "provenance", "records"]
    first, last = data["records"][0], data["records"][-1]
    assert [first[key] for key in ("arch", "strategy", "maps", "spanning_maps")] == [
        "x86_64",
        "pgtable",
        200,
        40,
    ]
    # The 20th scalar by documents.counts(): 7 a step, 9 scalars a scope, spanning is the second.
    scalars = list(first["counts"]["settle"]["total"])[:9]
    assert first["counts"]["settle"]["spanning"]["bytes_loaded"] == 7 * (
        10 + scalars.index("bytes_loaded")
    )
    assert last["counts"] is None
    assert (last["violation_count"], len(last["violations"])) == (25, 20)
    assert last["violations"][0]["class_size"] == 1632
    assert first["by_shape"]["read"]["head"] == [736, 464]
    assert last["by_shape"] is None


def test_unknown_fields_are_ignored() -> None:
    data = json.loads(dumps(document()))
    data["later"] = data["records"][0]["later"] = data["provenance"]["later"] = [1]
    data["records"][0]["counts"]["map"]["total"]["later"] = 5
    again = loads(json.dumps(data), "x")
    assert again.records[1:] == document().records[1:]


def test_order_of_keys_is_free() -> None:
    made = document()
    assert loads(json.dumps(json.loads(dumps(made)), sort_keys=True), "x") == made


def _without(*path: str | int) -> Callable[[Any], None]:
    def change(data: Any) -> None:  # noqa: ANN401
        for part in path[:-1]:
            data = data[part]
        del data[path[-1]]

    return change


def _with(value: object, *path: str | int) -> Callable[[Any], None]:
    def change(data: Any) -> None:  # noqa: ANN401
        for part in path[:-1]:
            data = data[part]
        data[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_with(SCHEMA + 1, "schema"), "newer"),
        (_with(SCHEMA - 1, "schema"), "anew"),
        (_with("1", "schema"), "not results of zsemu"),
        (_with(True, "schema"), "not results of zsemu"),
        (_without("schema"), "not results of zsemu"),
        (_without("provenance"), "'provenance' is missing"),
        (_without("provenance", "compilers", "arm", "flags"), "arm: .*'flags' is missing"),
        (_with(7, "provenance", "unicorn"), "unicorn: not a string"),
        (_with([7], "provenance", "compilers", "arm", "flags"), r"flags\[0\]: not a string"),
        (_with({}, "records"), "records: not a list"),
        (_with([1], "records"), r"records\[0\]: not an object"),
        (_with(1.5, "records", 2, "maps"), r"records\[2\].maps: not an integer"),
        (_with(True, "records", 2, "maps"), r"records\[2\].maps: not an integer"),
        (_with(5, "records", 2, "maps"), "in agreement with maps"),
        (_without("records", 1, "scope_maps", "spanning"), "scope_maps: not of the scopes"),
        (_with(3, "records", 1, "violation_count"), "null just where"),
        (_with(None, "records", 1, "counts"), "null just where"),
        (_without("records", 1, "counts", "access"), "not of the phases"),
        (_without("records", 1, "counts", "map", "spanning"), "counts.map: not of the scopes"),
        (_with(-1, "records", 1, "counts", "map", "total", "loads"), "total.loads: not a count"),
        (_with("5", "records", 1, "counts", "map", "total", "loads"), "total.loads: not a count"),
        (_without("records", 1, "counts", "map", "total", "tlb_invalidates"), "tlb_invalidates"),
        (_with(5, "records", 1, "counts", "map", "total", "regions"), "regions: not an object"),
        (
            _without("records", 1, "counts", "map", "total", "regions", "pool"),
            "regions.pool: not an object",
        ),
        (_without("records", 1, "counts", "map", "total", "classes", "alu"), "alu: not a count"),
        (_with(None, "records", 1, "by_shape"), "by_shape: not null just where"),
        (_without("records", 1, "by_shape", "update"), "by_shape: not of the modes"),
        (_without("records", 1, "by_shape", "read", "head"), "read: not equal columns"),
        (_with([1], "records", 1, "by_shape", "read", "head"), "read: not equal columns"),
        (_with([1, "2"], "records", 1, "by_shape", "read", "maps"), r"maps\[1\]: not an integer"),
        (_with([0, 0], "records", 1, "by_shape", "read", "class_size"), "a page ends"),
        (_with([9, 3632], "records", 1, "by_shape", "read", "head"), "a page ends"),
        (_with([], "records", 5, "violations"), "empty just where there are none"),
        (_without("provenance", "compilers", "arm"), r"records\[3\].arch: not one of"),
        (_without("provenance", "cpu_models", "arm"), r"records\[3\].arch: not one of"),
        (_without("provenance", "traces", "made"), r"records\[0\].trace: not one of"),
    ],
)
def test_damage_is_found(change: Callable[[Any], None], says: str) -> None:
    data = json.loads(dumps(document(broken=True)))
    loads(json.dumps(data), "out.json")
    change(data)
    with pytest.raises(ZsemuError, match=says) as caught:
        loads(json.dumps(data), "out.json")
    assert str(caught.value).startswith("out.json: ") or str(caught.value).startswith("out.json.")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "out.json:1: not JSON"),
        (b'{\n"schema": 1,\n"prov', "out.json:3: not JSON"),
        (b"[1]", "not results of zsemu"),
        (b"\xff\xfe", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_foreign_files(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "out.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ZsemuError, match=says):
        load(path)


def test_truncated_anywhere() -> None:
    text = dumps(document())
    for end in range(0, len(text) - 2, 997):
        with pytest.raises(ZsemuError):
            loads(text[:end], "out.json")


def test_sums_and_means() -> None:
    one = document().records[0]
    data = json.loads(dumps(document()))["records"][0]["counts"]
    assert one.sum("stores") == sum(data[phase]["total"]["stores"] for phase in PHASES)
    assert one.sum("stores", "spanning", ("map",)) == data["map"]["spanning"]["stores"]
    assert one.sum("tlb_invalidates", "spanning", ("map", "unmap")) == sum(
        value
        for phase in ("map", "unmap")
        for value in data[phase]["spanning"]["tlb_invalidates"].values()
    )
    assert (
        one.sum("regions.pool.loads", "total", ("map",))
        == data["map"]["total"]["regions"]["pool"]["loads"]
    )
    assert one.mean("stores", "spanning", ("map",)) == data["map"]["spanning"]["stores"] / 40
    with pytest.raises(KeyError):
        one.mean("stores", "spanning_update")
    with pytest.raises(KeyError):
        record("arm", "copy", None).sum("stores")


def test_to_records() -> None:
    made = document(broken=True)
    rows = made.to_records()
    assert len(rows) == 6 * len(PHASES) * len(SCOPES)
    assert len({tuple(row) for row in rows}) == 1
    data = json.loads(dumps(made))["records"]
    for row in rows:
        (one,) = (r for r in data if (r["arch"], r["strategy"]) == (row["arch"], row["strategy"]))
        assert row["maps"] == MAPS[str(row["scope"])]
        assert row["violations"] == one["violation_count"]
        if one["counts"] is None:
            assert row["loads"] is None
            continue
        entry = one["counts"][row["phase"]][row["scope"]]
        assert row["loads"] == entry["loads"]
        assert row["tlb_invalidates.all_local"] == entry["tlb_invalidates"]["all_local"]
