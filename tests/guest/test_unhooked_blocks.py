# SPDX-License-Identifier: GPL-2.0-only
"""What runs without hooks: the driver but where a phase has ended, most accesses, and rounds."""

from itertools import pairwise
from pathlib import Path

import bare
import pytest
import unicorn
from samples import busy_trace, image, placed

from zsemu.errors import ZsemuError
from zsemu.guest import hooks
from zsemu.guest.hook_structures import BY_SPAN, ENTRIES
from zsemu.guest.targets import known as target_names
from zsemu.guest.targets import target
from zsemu.guest.unhooked_blocks import string_rounds
from zsemu.replay.replay import Outcome, Replay

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
    monkeypatch.setattr(hooks, "unhooked_blocks", lambda image: [])
    again, all_of_it = seen(arch, "swap-lazy")
    assert again == phases
    assert few < all_of_it / 3


def test_finds_an_end_that_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    one = image(target("aarch64"), "swap-lazy")
    everything = range(one.address("zs_driver_start"), one.address("zs_driver_end"), 4)
    monkeypatch.setattr(hooks, "unhooked_blocks", lambda image: everything)
    with pytest.raises(AssertionError):
        seen("aarch64", "swap-lazy")


def user(arch: str, strategy: str) -> tuple[list[str], Outcome]:
    """Return what functions of the user's access hooks saw begin or go on, and the outcome."""
    one = image(target(arch), strategy)
    replay = Replay(one, placed(busy_trace(300), arch))
    entries = {one.address(name) for name in BY_SPAN}
    parts: list[str] = []

    def on_code(uc: unicorn.Uc, address: int, size: int, data: object) -> None:
        function = one.function(address)
        if function and (function.name in BY_SPAN or function.name == "zs_copy_by_span"):
            parts.append(f"{function.name}" if address in entries else f"in {function.name}")

    access = one.address("zs_access_start")
    replay.observer.uc.hook_add(unicorn.UC_HOOK_CODE, on_code, begin=access, end=one.text[1])
    outcome = replay.run()
    assert not outcome.violation_count
    return parts, outcome


@pytest.mark.parametrize("arch", ARCHS)
def test_access_is_seen_to_begin_and_little_else(
    arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, outcome = user(arch, "sg")
    monkeypatch.setattr(hooks, "unhooked_blocks", lambda image: [])
    every, again = user(arch, "sg")
    assert [part for part in few if part in BY_SPAN] == [part for part in every if part in BY_SPAN]
    assert set(BY_SPAN) <= set(few)
    assert "in zs_copy_by_span" in every
    assert "in zs_copy_by_span" not in few
    assert len(few) < len(every) / 3
    assert (outcome.sums == again.sums).all()


REP = tuple(name for name in ARCHS if target(name).string_copy)


def hits(arch: str) -> tuple[int, int]:
    """Return how often blocks were seen that begin at rep-prefixed instructions, and all shapes."""
    one = image(target(arch), "copy")
    replay = Replay(one, placed(busy_trace(300), arch))
    outcome = replay.run()
    assert not outcome.violation_count
    blocks = replay.machines.blocks.block_hits()
    seen = (int(b.hits.sum()) for b in blocks if one.disassemble(b.address).startswith("rep"))
    return sum(seen), outcome.shapes


@pytest.mark.parametrize("arch", REP)
def test_rounds_are_not_seen(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor needed: block hits stand for the same instructions, or nothing would have a shape."""
    few, shapes = hits(arch)
    monkeypatch.setattr(hooks, "string_rounds", lambda image: [])
    every, again = hits(arch)
    assert shapes == again > 0
    assert few == 0 and every > 10_000


CODE = {
    "further rounds only": ("mov %edx, %ecx; rep movsb", True),
    "a branch goes there": ("jecxz 1f; mov %edx, %ecx; 1: rep movsb", False),
    "behind another": ("rep stosl; rep movsb", False),
    "behind what ends a block": ("mov %edx, %ecx; popf; rep movsb", False),
    "behind a segment register": ("mov %ecx, %es; rep movsb", False),
    "behind a branch": ("jecxz 1f; rep movsb; 1: nop", False),
    "a call returns there": ("call zs_unmap_object; rep movsb", False),
    "a jump may go there": ("mov %edx, %ecx; rep movsb; jmp *(%eax)", False),
}


@pytest.mark.parametrize(("code", "found"), CODE.values(), ids=CODE)
@pytest.mark.parametrize("arch", REP)
def test_where_only_further_rounds_begin(arch: str, code: str, found: bool, tmp_path: Path) -> None:
    one = bare.image(arch, code, tmp_path)
    start = one.address("zs_map_object")
    inside = range(start, start + one.symbols["zs_map_object"].size)
    every = [at for at in inside if one.disassemble(at).startswith("rep movs")]
    assert len(every) == 1
    assert [at for at in string_rounds(one) if at in every] == (every if found else [])


def test_finds_a_first_round_that_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "string_rounds", lambda image: [image.address("zs_copy")])
    with pytest.raises(ZsemuError, match="block hits stand for"):
        hits("i386")
