# SPDX-License-Identifier: GPL-2.0-only
"""The shipped strategies need the locks that they state, and no weaker one would do."""

import re
import time
from functools import cache
from pathlib import Path

import pytest
from check.test_properties import measured

import zsemu
from zsemu.guest import strategies
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names, target
from zsemu.race import locks
from zsemu.race.benches import strategy_bench
from zsemu.race.findings import Findings, Result, Wanted
from zsemu.race.searched import Bounds
from zsemu.reports import property_table, race_text

# found() and measured() are cached in a process, and tests/check/ uses the second, too.
_TOGETHER = pytest.mark.xdist_group("properties")
_SHAPES = ("spans, less in page 1",)
_MORE = (
    *_SHAPES,
    "spans, less in page 2",
    "whole, slot before spans",
    "spans, slot behind spans",
    "spans, slot before spans",
)


@cache
def found(arch: str, name: str, shapes: tuple[str, ...] = _SHAPES, preemptions: int = 2) -> Result:
    """Run every kind of scene of some shapes, in one mode of the first CPU."""
    one, wanted = strategy(name), Wanted(preemptions)
    made = strategy_bench(target(arch), one)
    scenes = [
        scene
        for scene in made.scenes()
        if scene.shape.name in shapes
        and scene.mode.name == "READ"
        and (shapes == _MORE or not scene.pair.torn)
    ]
    results = tuple(made.explore(scene, wanted) for scene in scenes)
    return Result(arch, name, one.needs, str(wanted), results)


@pytest.mark.parametrize("name", strategies.names())
@pytest.mark.parametrize("arch", names())
def test_needs_what_it_states(arch: str, name: str) -> None:
    result = found(arch, name)
    assert result.complete
    assert result.needs == strategy(name).needs
    assert result.failures == []
    weaker = locks.LEVELS[: locks.LEVELS.index(result.needs)]
    assert tuple(result.weaker) == weaker
    assert not any(one.alone for one in result.scenes)


@pytest.mark.parametrize("name", ["swap", "swap-lazy", "pgtable"])
def test_one_more_preemption_finds_nothing_new(name: str) -> None:
    more, usual = found("arm", name, preemptions=3), found("arm", name)
    assert [(one.scene, one.needs) for one in more.scenes] == [
        (one.scene, one.needs) for one in usual.scenes
    ]
    assert more.schedules >= usual.schedules


def test_what_a_schedule_costs() -> None:
    """Two maps by copying of an object of 72 bytes; most of the room is for a busy machine."""
    made = strategy_bench(target("aarch64"), strategy("copy"))
    made.set(made.scene("spans, less in page 1: read | write of the same object"))
    before = time.process_time()
    number = sum(made.cpus.search(Bounds(4), lambda: 0).schedules for _ in range(3))
    assert number > 900
    assert number / (time.process_time() - before) > 2000


# What check finds to go well and race does not.
_DIFFER = {
    # Here the slot before spans, too, and its exchange displaces the first bytes of the mapped one.
    "swap": {"while mapped, slot before: map", "while mapped, slot before: write"},
    # Check runs each operation to its end. Between the exchange and the page word, somebody else
    # finds neither the old state nor the new one; and a chain reaches the second slot behind.
    "swap-lazy": {
        "while mapped, slot before: map",
        "while mapped, slot before: write",
        "while mapped, slot before: free (header, link)",
        "while mapped, slot before: compaction",
        "the same object on two CPUs",
        "two objects on two CPUs",
    },
}
_KINDS = {
    "map": "map",
    "write": "map",
    "free (header, link)": "free",
    "allocate (link, header)": "allocate",
    "compaction": "compaction",
}


def _goes_well(result: Result, name: str) -> bool:
    """Return what race says of a property of check, without any lock."""
    needs = {group.name: group.needs for group in result.groups}
    side, _, kind = name.removeprefix("while mapped, ").partition(": ")
    if kind:
        return needs[f"{side}: {_KINDS[kind]}"] == locks.NOTHING
    group = {
        "the same object on two CPUs": "same object: both read",
        "two objects on two CPUs": "other slot: map",
        "two neighbours on two CPUs": "slot behind: map",
        "unmap on another CPU than map": "unmap on another CPU than map",
    }[name]
    return needs[group] == locks.NOTHING


@_TOGETHER
@pytest.mark.parametrize("name", strategies.names())
def test_agrees_with_the_properties_of_check(name: str) -> None:
    result = found("aarch64", name, _MORE)
    differ = set()
    for what, value in {p.name: p.value for p in measured(name).values()}.items():
        if what.startswith("while mapped") or (
            "on two CPUs" in what or what == "unmap on another CPU than map"
        ):
            well = _goes_well(result, what)
            # Whatever goes wrong when run to completion does so here.
            assert value == "yes" or not well, what
            if (value == "yes") != well:
                differ.add(what)
    assert differ == _DIFFER.get(name, set())


@_TOGETHER
def test_nested_maps() -> None:
    """As check says of two objects; of one object, the second map undoes the first's exchange."""
    well = {}
    for name in strategies.names():
        result = found("aarch64", name, _MORE)
        nested = [one for one in result.scenes if one.group == "nested on one CPU"]
        other = [one for one in nested if "another object" in one.scene]
        same = [one for one in nested if "the same object" in one.scene]
        assert other
        assert same
        well[name] = tuple(all(not one.failure for one in some) for some in (other, same))
    assert well == {
        "pgtable": (False, False),
        "copy": (False, True),
        "copy-modes": (False, True),
        "swap": (True, False),
        "swap-min": (True, False),
        "swap-lazy": (True, False),
        "readwrite": (True, True),
        "sg": (True, True),
    }


@_TOGETHER
def test_the_table_of_the_readme() -> None:
    """It is what zsemu race prints; of the scenes, those that are run here show all of it."""
    results = tuple(found("aarch64", name, _MORE) for name in strategies.names())
    made = race_text.table(Findings(results))
    lines = property_table.lines(made, 130, race_text.TITLE)
    text = (Path(zsemu.__file__).parent / "README.md").read_text()
    (shown,) = re.findall(r"<!-- race: needs -->\n```\n(.*?)```", text, re.DOTALL)
    assert shown == "\n".join(lines[: lines.index("")]) + "\n"
