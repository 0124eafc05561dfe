# SPDX-License-Identifier: GPL-2.0-only
"""The property table of properties made up by hand, and of what is no JSON of them."""

import json
from pathlib import Path

import pytest

from zsemu.check.findings import Properties
from zsemu.check.properties import Property
from zsemu.errors import ZsemuError
from zsemu.reports.property_table import Measured, load, table


def made(*, arm_differs: bool = False) -> Properties:
    """Return two properties of two strategies on two architectures."""
    behind = "while mapped, slot behind: map"

    def of(leak: str, wrong: str) -> tuple[Property, ...]:
        return (
            Property("no-leak", leak, "" if leak == "yes" else "read of slot 2"),
            Property(behind, "no" if wrong else "yes", wrong),
        )

    return {
        "x86_64": {"copy": of("yes", ""), "<b>&.c": of("no", "wrong bytes")},
        "arm": {"copy": of("no" if arm_differs else "yes", ""), "<b>&.c": of("no", "wrong bytes")},
    }


def test_table() -> None:
    found = table(made())
    assert (found.archs, found.strategies) == (("x86_64", "arm"), ("copy", "<b>&.c"))
    assert [(row.group, row.name, row.cells) for row in found.rows] == [
        ("", "no-leak", ("yes", "no")),
        ("while mapped, slot behind", "map", ("yes", "no")),
    ]
    assert found.differ == ()
    assert found.shown == (
        "<b>&.c, no-leak: read of slot 2",
        "<b>&.c, while mapped, slot behind: map: wrong bytes",
    )
    assert found.where == "The same on all 2 architectures checked."


def test_architectures_that_differ() -> None:
    found = table(made(arm_differs=True))
    assert found.rows[0].cells == ("yes*", "no")
    assert found.differ == ("* copy, no-leak: x86_64 yes, arm no",)
    assert "same" not in found.where
    assert table({"arm": made()["arm"]}).where == "Measured on arm."


def test_a_strategy_that_one_architecture_lacks() -> None:
    properties = made()
    properties["x86_64"] = {"copy": properties["x86_64"]["copy"]}
    assert table(properties).rows[0].cells == ("yes", "no")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "holds no properties"),
        ('{"records": []}', "holds no properties"),
        ('{"properties": {}}', "holds no properties"),
        ('{"provenance": "", "properties": {}}', "no properties were measured"),
        (
            '{"provenance": "", "properties": {"arm": {"copy": [{"name": "x", "value": "yes"}]}}}',
            "'shown_by'",
        ),
        (
            '{"provenance": "", "properties":'
            ' {"arm": {"copy": [{"name": "x", "value": 3, "shown_by": ""}]}}}',
            "properties.arm.copy[0].value: not a string",
        ),
    ],
)
def test_what_is_none(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(ZsemuError) as caught:
        load(path)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    with pytest.raises(ZsemuError, match="cannot be read"):
        load(tmp_path / "none.json")


def test_load(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    data = {
        arch: {
            name: [
                {"name": one.name, "value": one.value, "shown_by": one.shown_by} for one in measured
            ]
            for name, measured in strategies.items()
        }
        for arch, strategies in made().items()
    }
    path.write_text(json.dumps({"provenance": "seed 0", "properties": data}))
    assert load(path) == Measured(made(), "seed 0")
