# SPDX-License-Identifier: GPL-2.0-only
"""The shapes of scenes are large enough that the primitives do all that they can."""

import numpy as np
import pytest

from zsemu.counts import CLASSES
from zsemu.guest.image import Image
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names, target
from zsemu.race import schedule
from zsemu.race.benches import strategy_bench

_SCENE = "update | write of the other slot"


def accesses_of(image: Image, function: str) -> list[int]:
    """Return the offsets in a function of all its instructions that load or store."""
    start, kinds = image.text[0], [CLASSES.index(name) for name in ("load", "store")]
    first = image.address(function)
    return [
        address - first
        for address in image.instructions
        if image.classes[address - start] in kinds
        and (inside := image.function(address)) is not None
        and inside.name == function
    ]


def executed(arch: str, function: str, *users: str) -> tuple[list[int], dict[int, int]]:
    """Return these, and of those that scenes of some strategies execute, how much they access."""
    sizes: dict[int, int] = {}
    for user in users:
        made = strategy_bench(target(arch), strategy(user))
        offsets, first = accesses_of(made.image, function), made.image.address(function)
        for scene in made.scenes():
            if scene.name.endswith(_SCENE):
                _, _, steps = made.replay(scene.name, schedule.parse("A,B"))
                own = steps[np.isin(steps["pc"], np.array(offsets) + first)]
                sizes |= dict(zip((own["pc"] - first).tolist(), own["size"].tolist(), strict=True))
    return offsets, sizes


@pytest.mark.parametrize("arch", names())
def test_copies_take_every_branch(arch: str) -> None:
    offsets, sizes = executed(arch, "zs_copy", "copy-modes", "readwrite")
    assert offsets
    assert set(sizes) == set(offsets)


@pytest.mark.parametrize("arch", names())
def test_exchanges_take_every_branch_for_whole_words(arch: str) -> None:
    """Pages, slots and headers are of whole words, so nothing shorter is ever exchanged."""
    offsets, sizes = executed(arch, "zs_swap", "swap", "swap-min")
    assert min(sizes.values()) >= target(arch).word
    # The branches for less than a word stand together, behind all others.
    missing = [one for one in offsets if one not in sizes]
    first = offsets.index(missing[0])
    assert missing == offsets[first:][: len(missing)]
    assert first > len(offsets) // 2
