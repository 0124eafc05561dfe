# SPDX-License-Identifier: GPL-2.0-only
"""The driver's own code has no hooks, but where it goes on after a phase."""

from itertools import pairwise

import pytest
import unicorn
from samples import busy_trace, image, placed

from zsemu.guest import hooks
from zsemu.guest.driver_blocks import driver_blocks
from zsemu.guest.hook_structures import ENTRIES
from zsemu.guest.targets import known as target_names
from zsemu.guest.targets import target
from zsemu.replay.replay import Replay

ARCHS = target_names()


def seen(arch: str, strategy: str) -> tuple[int, int]:
    """Return how many phases hooks saw begin, and how many instructions of the driver.

    Fails if they see none of these between two phases: nothing would tell that one has ended.
    """
    one = image(target(arch), strategy)
    replay = Replay(one, placed(busy_trace(60), arch), full=True)
    entries = {one.address(name) for name in ENTRIES if one.has(name)}
    driver = range(one.address("zs_driver_start"), one.address("zs_driver_end"))
    path: list[bool] = []

    def on_code(uc: unicorn.Uc, address: int, size: int, data: object) -> None:
        if address in driver or address in entries:
            path.append(address in driver)

    replay.observer.uc.hook_add(unicorn.UC_HOOK_CODE, on_code)
    assert not replay.run().violation_count
    began = [at for at, is_driver in enumerate(path) if not is_driver]
    assert all(after > before + 1 for before, after in pairwise(began))
    return len(began), sum(path)


@pytest.mark.parametrize("arch", ARCHS)
def test_end_of_a_phase_is_seen_and_little_else(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    phases, few = seen(arch, "swap-lazy")
    monkeypatch.setattr(hooks, "driver_blocks", lambda image: [])
    again, all_of_it = seen(arch, "swap-lazy")
    assert again == phases
    assert few < all_of_it / 3


def test_finds_an_end_that_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = driver_blocks(image(target("aarch64"), "swap-lazy"))
    monkeypatch.setattr(
        hooks, "driver_blocks", lambda image: range(everything[0], everything[-1], 4)
    )
    with pytest.raises(AssertionError):
        seen("aarch64", "swap-lazy")
