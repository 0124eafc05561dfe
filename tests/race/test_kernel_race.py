# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's object on two CPUs: a small allocator's locks, and what goes wrong without them."""

import re
from pathlib import Path

import numpy as np
import pytest
from kernel.objects import ALLOCATOR, compiled

from zsemu.guest.targets import names, target
from zsemu.kernel.strategy import strategy
from zsemu.race.benches import bench
from zsemu.race.findings import SceneResult, Wanted
from zsemu.race.kernel_bench import KernelBench, KernelSet
from zsemu.race.native_structures import TO_END
from zsemu.race.schedule import Schedule
from zsemu.replay import violations

BOTH = "free of the slot behind | allocation"
_SWITCH = "planted"
LOCK, UNLOCK = "	_raw_spin_lock(pool->lock);\n", "	_raw_spin_unlock(pool->lock);\n"
INNER, OUTER = "	_raw_spin_lock(pool->inner);\n", "	_raw_spin_unlock(pool->inner);\n"


def small(folder: Path, arch: str, text: str | None = None, *flags: str) -> KernelBench:
    """Return the small allocator, or a changed text of it, on two CPUs."""
    made = bench(target(arch), strategy(str(compiled(folder, arch, text, *flags))))
    assert isinstance(made, KernelBench)
    return made


def planted(function: str, *edits: tuple[str, str]) -> str:
    """Return the small allocator with changes in one function, and a switch for them."""
    text = ALLOCATOR.read_text().replace("struct page {", f"u32 {_SWITCH};\nstruct page {{", 1)
    head, start, rest = text.partition(f" {function}(struct zs_pool *pool, ul ")
    body, end, tail = rest.partition("}\n\n")
    for old, new in edits:
        assert old in body, f"{function}() has no {old!r}: plant it anew"
        body = body.replace(old, new)
    return f"{head}{start}{body}{end}{tail}"


def planted_set(made: KernelBench, name: str) -> KernelSet:
    """Set a scene, and only then let the defect show: what sets the scene does the same things."""
    scene, memory = made.set(made.scene(name)), made.cpus.memory
    if made.image.has(_SWITCH):
        memory.view_symbol(_SWITCH, np.dtype("<u4"))[0] = 1
    return scene


def explored(made: KernelBench, name: str) -> SceneResult:
    return planted_set(made, name).explore(Wanted())


@pytest.mark.parametrize("arch", names())
def test_locks_are_enough(arch: str, tmp_path: Path) -> None:
    made = small(tmp_path, arch, None, "-DLOCKED")
    results = [made.explore(scene, Wanted()) for scene in made.scenes()]
    assert [one.failure for one in results if one.failure] == []
    assert all(one.complete for one in results)
    assert {one.group for one in results} >= {"map against: map", "free against: allocation"}
    # There is more than one order of what they do to the same zspage.
    assert max(one.schedules for one in results) > 4


@pytest.mark.parametrize("arch", names())
def test_without_locks(arch: str, tmp_path: Path) -> None:
    result = explored(small(tmp_path, arch), "allocation | allocation")
    assert result.failure
    assert not result.alone
    assert result.failure.schedule.count(",") == 2


@pytest.mark.parametrize("arch", names())
def test_a_lock_left(arch: str, tmp_path: Path) -> None:
    text = planted("zs_free", (UNLOCK, f"	if (!{_SWITCH}) {UNLOCK}"))
    failure = explored(small(tmp_path, arch, text, "-DLOCKED"), BOTH).failure
    assert failure
    # Whoever comes second waits for ever; if that is the one who leaves it, it is found at the end.
    assert re.fullmatch(
        "it ends with a lock held: 0x[0-9a-f]+|"
        "does not return: CPU A holds pool->lock; CPU B holds no lock and waits for pool->lock",
        failure.violation.detail,
    )


@pytest.mark.parametrize("arch", names())
def test_a_lock_that_is_not_held(arch: str, tmp_path: Path) -> None:
    # A call that is the last thing that a function does would have no return address in it.
    more = f'{UNLOCK}	__asm__ volatile("" : : : "memory");\n'
    text = planted("zs_free", (LOCK, f"	if (!{_SWITCH}) {LOCK}"), (UNLOCK, more))
    failure = explored(small(tmp_path, arch, text, "-DLOCKED"), BOTH).failure
    assert failure
    assert failure.violation.detail.startswith("it releases a lock that is not held")
    assert failure.violation.pc.startswith("zs_free+")
    assert "(zsmalloc.c:" in failure.violation.pc


def _inverted() -> str:
    """Return a text in which zs_malloc() takes two locks in one order, and zs_free() in another."""
    text = planted("zs_free", (LOCK, INNER + LOCK), (UNLOCK, UNLOCK + OUTER))
    start = text.index("ul zs_malloc(")
    end = text.index("\n}\n", start)
    body = text[start:end].replace(LOCK, LOCK + INNER).replace(UNLOCK, OUTER + UNLOCK)
    return text[:start] + body + text[end:]


@pytest.mark.parametrize("arch", names())
def test_order_of_locks(arch: str, tmp_path: Path) -> None:
    made = small(tmp_path, arch, _inverted(), "-DLOCKED")
    failure = explored(made, BOTH).failure
    assert failure
    names_ = ("pool->inner", "pool->lock")
    assert failure.violation.detail in {
        f"{one} is taken while {other} is held, and the other way round"
        for one, other in (names_, names_[::-1])
    }
    # And where each has got its first lock, neither goes on.
    scene = planted_set(made, BOTH)
    for steps in range(20, 400):
        found, _, _ = scene.replay(Schedule(((0, steps), (1, TO_END), (0, TO_END))))
        if found and found.detail.startswith("a deadlock"):
            break
    assert found
    assert found.kind == violations.ENDLESS
    assert found.detail == (
        "a deadlock: CPU A holds pool->inner and waits for pool->lock;"
        " CPU B holds pool->lock and waits for pool->inner"
    )


def test_a_lock_taken_twice(tmp_path: Path) -> None:
    """No second CPU is needed for it."""
    text = planted("zs_free", (LOCK, f"{LOCK}	if ({_SWITCH}) {LOCK}"))
    result = explored(small(tmp_path, "riscv64", text, "-DLOCKED"), BOTH)
    assert result.alone
    assert result.failure
    assert "waits for pool->lock" in result.failure.violation.detail
