# SPDX-License-Identifier: GPL-2.0-only
"""What is kept of stray accesses is undone with the rest of a CPU, and tells final states apart."""

from collections.abc import Callable
from pathlib import Path

import pytest

from race.planted import RACES
from zsemu.guest.strategies import Strategy, strategy
from zsemu.guest.targets import target
from zsemu.race.benches import strategy_bench
from zsemu.race.searched import Bounds

_BESIDE = "spans, less in page 1: update | free of the slot behind"
_OTHER = "spans, less in page 1: read | read of the other slot"


def planted(name: str, folder: Path) -> Strategy:
    return strategy(str(next(race for race in RACES if race.name == name).write(folder)))


def final_states(one: Strategy, scene: str) -> list[tuple[int, int]]:
    """Return of each final state how many CPUs have strayed: as searched, and as replayed.

    A search returns to where schedules part over and over; a replay begins anew.
    """
    made = strategy_bench(target("aarch64"), one)
    made.set(made.scene(scene))
    cpus = made.cpus

    def strays() -> int:
        return len(cpus.strays())

    found = cpus.search(Bounds(2), strays).outcomes
    return [(each.verdict, cpus.replay(each.schedule, strays)[0]) for each in found]


def test_those_that_stray(tmp_path: Path) -> None:
    one = planted("looks-beside-while-mapped", tmp_path)
    found = final_states(one, _OTHER)
    # Whoever maps while the other has mapped looks beside: nobody, one of them, or both.
    assert {searched for searched, _ in found} == {0, 1, 2}
    assert all(searched == replayed for searched, replayed in found)


@pytest.mark.parametrize("name", ["swap", "swap-lazy"])
def test_what_is_displaced_is_no_stray(name: str) -> None:
    """Without a lock the exchanges go wrong in many ways, but they load what they store."""
    found = final_states(strategy(name), _BESIDE)
    assert len(found) > 1
    assert set(found) == {(0, 0)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # What one schedule did is held against those that are run after it.
        ("*c = s->cpu[n];", "struct finding f = c->stray; *c = s->cpu[n]; c->stray = f;"),
        # Two states that differ in nothing else are taken for one.
        ("key = mix(key + stray_key(&r->cpu[n]));", ""),
    ],
)
def test_finds_planted_defects(
    old: str, new: str, edit_race: Callable[..., None], tmp_path: Path
) -> None:
    edit_race(old, new)
    found = final_states(planted("looks-beside-while-mapped", tmp_path), _OTHER)
    assert len(found) == 1 or any(searched != replayed for searched, replayed in found)
