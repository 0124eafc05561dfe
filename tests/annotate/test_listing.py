# SPDX-License-Identifier: GPL-2.0-only
"""Listings: every instruction once, with its line, and the rule that sums agree with counts."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from samples import busy_trace, image, placed

from zsemu.annotate import profile
from zsemu.annotate.listing import Listing, listing
from zsemu.annotate.profile import Profile
from zsemu.counts import PHASES, PROFILE, STRATEGY_PHASES
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import build, inputs
from zsemu.guest.image import Image
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target

each_target = pytest.mark.parametrize("arch", target_names())


@cache
def profiled(arch: str, name: str) -> Profile:
    return profile.of_trace(image(target(arch), name), placed(busy_trace(), arch))


def listed(
    arch: str, name: str, phases: tuple[str, ...] = STRATEGY_PHASES, found: Profile | None = None
) -> Listing:
    machine, one = target(arch), strategy(name)
    return listing(
        image(machine, name),
        inputs(machine, one),
        found or profiled(arch, name),
        strategy=name,
        counted="all",
        phases=phases,
    )


@each_target
def test_every_instruction_of_what_ran(arch: str) -> None:
    one = image(target(arch), "swap-lazy")
    found = listed(arch, "swap-lazy")
    names = [function.name for function in found.functions]
    assert set(names) >= {"zs_map_object", "zs_unmap_object", "zs_settle", "zs_swap"}
    assert names[-1] == "zs_swap"  # assembly is last
    assert "zs_copy" not in names and "zs_driver" not in names
    for function in found.functions:
        symbol = one.symbols[function.name]
        inside = [a - symbol.address for a in sorted(one.instructions)]
        inside = [offset for offset in inside if 0 <= offset < symbol.size]
        assert [row.offset for row in function.rows] == inside
        for field in vars(function.counts):
            each = [getattr(row.counts, field) for row in function.rows]
            assert sum(each) == getattr(function.counts, field)
        assert sum(function.phases.values()) == function.counts.executions > 0
    for field in vars(found.counts):
        each = [getattr(function.counts, field) for function in found.functions]
        assert sum(each) == getattr(found.counts, field)
    totals = profiled(arch, "swap-lazy").totals
    for phase, counts in found.phases.items():
        assert list(vars(counts).values()) == totals[PHASES.index(phase)].tolist()


@each_target
def test_only_what_the_phases_executed(arch: str) -> None:
    assert [f.name for f in listed(arch, "sg", ("settle",)).functions] == []
    assert [f.name for f in listed(arch, "sg", ("unmap",)).functions] == ["zs_unmap_object"]
    access = listed(arch, "sg", ("access",))
    assert {f.name for f in access.functions} == {"zs_access_out", "zs_access_in", "zs_access_copy"}
    both = listed(arch, "copy", ("map", "unmap"))
    (copied,) = both.only(["zs_copy"])
    assert copied.phases.keys() == {"map", "unmap"}
    assert copied.assembly
    alone = [listed(arch, "copy", (phase,)).only(["zs_copy"])[0] for phase in ("map", "unmap")]
    for row, *parts in zip(copied.rows, *(one.rows for one in alone), strict=True):
        assert row.counts.bytes == sum(part.counts.bytes for part in parts)


def test_a_branch_is_to_an_instruction_of_its_function() -> None:
    for arch in target_names():
        for function in listed(arch, "swap-lazy").functions:
            offsets = {row.offset for row in function.rows}
            assert {row.target for row in function.rows} - {None} <= offsets


def test_unknown_functions_list_what_there_is() -> None:
    with pytest.raises(ZsemuError, match=r"sg on arm executes no function 'exchange' .*zs_map_obj"):
        listed("arm", "sg").only(["zs_map_object", "exchange"])


@pytest.mark.parametrize("column", range(len(PROFILE)))
@pytest.mark.parametrize("phase", ["map", "unmap"])
def test_finds_a_corrupted_count(phase: str, column: int) -> None:
    """Wherever it is, and also if one too many makes up for one too few elsewhere."""
    found = profiled("x86_64", "copy")
    at = int(np.flatnonzero(found.counts[PHASES.index("map"), :, 0])[3])
    counts = found.counts.copy()
    counts[PHASES.index(phase), at, column] += 1
    says = f"the instructions of {phase} add up to .* {PROFILE[column]}, and .* were counted"
    with pytest.raises(ZsemuError, match=says):
        listed("x86_64", "copy", found=replace(found, counts=counts))
    other = PHASES.index({"map": "unmap", "unmap": "map"}[phase])
    counts[other, at, column] -= 1
    with pytest.raises(ZsemuError, match="a bug in zsemu"):
        listed("x86_64", "copy", found=replace(found, counts=counts))


def test_finds_an_instruction_that_is_left_out() -> None:
    machine = target("arm")
    # An image of its own, since other tests share the one that image() returns.
    one = Image(build(machine, strategy("copy")), machine)
    found = profiled("arm", "copy")
    ran = int(np.flatnonzero(found.counts[PHASES.index("map"), :, 0])[3]) + one.text[0]
    kept = one.instructions.pop(ran)
    with pytest.raises(ZsemuError, match="a bug in zsemu"):
        listing(
            one,
            inputs(machine, strategy("copy")),
            found,
            strategy="copy",
            counted="all",
            phases=STRATEGY_PHASES,
        )
    assert kept.size
