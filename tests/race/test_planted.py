# SPDX-License-Identifier: GPL-2.0-only
"""Planted races are found within the default bound on every architecture, and no others."""

import re
from functools import cache
from pathlib import Path

import pytest

from race.planted import CONTROLS, HERE, RACES, Planted
from zsemu.guest.strategies import Strategy, strategy
from zsemu.guest.targets import names, target
from zsemu.race.benches import strategy_bench
from zsemu.race.findings import Result, Wanted
from zsemu.replay import violations

# What shows every race that is planted.
_PAIRS = (
    "read of the same object",
    "free of the slot behind",
    "allocation in the slot behind",
    "read of the other slot",
    "write of the other slot",
    "update of the other slot",
    "migration of page 1",
)


def searched(arch: str, one: Strategy, shape: str) -> Result:
    """Run some scenes of one shape."""
    made = strategy_bench(target(arch), one)
    scenes = [
        scene
        for scene in made.scenes()
        if scene.shape.name == shape and scene.pair.name in _PAIRS and not scene.pair.torn
    ]
    assert len(scenes) >= 19
    wanted = Wanted()
    results = tuple(made.explore(scene, wanted) for scene in scenes)
    return Result(arch, one.name, one.needs, str(wanted), results)


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
@pytest.mark.parametrize("arch", names())
def test_found(arch: str, race: Planted, tmp_path: Path) -> None:
    result = searched(arch, strategy(str(race.write(tmp_path))), race.shape)
    assert result.failures
    assert race.finds & {failure.violation.kind for failure in result.failures}
    # An instruction that is named is named with its source line.
    named = [failure.violation.pc for failure in result.failures if failure.violation.pc]
    assert all(re.search(r" \(\S+\.[cSh]:\d+\)$", pc) for pc in named)
    assert named or violations.ENDLESS not in race.finds
    assert any(one.alone for one in result.scenes) == race.alone
    assert result.complete


@cache
def control(arch: str, name: str) -> Result:
    return searched(arch, strategy(str(HERE / f"{name}.c")), "spans, less in page 1")


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("arch", names())
def test_without_the_defect(arch: str, name: str) -> None:
    result = control(arch, name)
    assert result.failures == []
    assert result.needs == "slot"


def test_enough() -> None:
    assert len(RACES) >= 15
