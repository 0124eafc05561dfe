# SPDX-License-Identifier: GPL-2.0-only
"""Scripts: what is placed by hand runs so, and what goes wrong in it is found."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from faulty import FAULTS
from samples import image

from zsemu.errors import ZsemuError
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import names, strategy
from zsemu.guest.structures import Kind, Mode
from zsemu.guest.targets import target
from zsemu.replay.observation import StrictTranslations
from zsemu.replay.replay import Outcome, Replay
from zsemu.replay.script import ScriptBuilder
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import Geometry, geometry

ARCH = "aarch64"
SIZE, SPANS = 1680, (2, 4)
"""a class of chain-8, and its first slots that span: facts of the size class table"""


def chain_8() -> Geometry:
    return geometry("chain-8", page_size=4096, word_bits=64)


def filled(count: int = 6) -> tuple[ScriptBuilder, int, list[int]]:
    """Return a builder, a zspage of SIZE, and the objects in its first slots."""
    builder = ScriptBuilder(chain_8())
    zspage = builder.zspage(builder.geometry.sizes.tolist().index(SIZE))
    objects = [builder.allocate(zspage, slot, 1600 + slot) for slot in range(count)]
    for number in objects:
        builder.use(Operation.WRITE, number)
    return builder, zspage, objects


def run(builder: ScriptBuilder, strategy: str | Path) -> Outcome:
    return Replay(image(target(ARCH), strategy), builder.placed(), observe=StrictTranslations).run()


def planted(name: str, directory: Path) -> Path:
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    return fault.write(directory)


def compaction() -> ScriptBuilder:
    builder, _, objects = filled()
    far = builder.zspage(builder.class_of(0))
    builder.allocate(far, 0, 100)
    for slot in SPANS:
        builder.use(Operation.READ, objects[slot])
        builder.compact(objects[slot], far, slot, cpu=1)
        builder.use(Operation.READ, objects[slot])
    builder.allocate(0, SPANS[0], 1500)
    return builder


def migration() -> ScriptBuilder:
    builder, zspage, objects = filled()
    for page in range(3):
        builder.use(Operation.READ, objects[2])
        builder.migrate(zspage, page, cpu=1)
        # Where the page was lie the same bytes still.
        builder.use(Operation.UPDATE, objects[2])
        builder.use(Operation.READ, objects[2], cpu=1)
        builder.use(Operation.UPDATE, objects[3])
    return builder


def holding() -> ScriptBuilder:
    """Two objects that are no neighbours, mapped at once on two CPUs."""
    builder, _, objects = filled()
    builder.hold(objects[2], Mode.RW, 0, cpu=0)
    builder.hold(objects[5], Mode.RO, 1, cpu=1)
    builder.release(0)
    builder.release(1)
    builder.use(Operation.READ, objects[2])
    return builder


@pytest.mark.parametrize("make", [compaction, migration, holding], ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", names())
def test_good_strategy_is_intact(name: str, make: Callable[[], ScriptBuilder]) -> None:
    outcome = run(make(), name)
    assert [str(violation) for violation in outcome.violations] == []


@pytest.mark.parametrize(
    ("fault", "script"),
    [
        ("settle-forgets-the-slot-itself", compaction()),
        ("window-kept-over-migration", migration()),
        ("state-lost-on-migration", migration()),
        ("copy-in-skipped-for-update", holding()),
    ],
)
def test_planted_fault_is_found(fault: str, script: ScriptBuilder, tmp_path: Path) -> None:
    assert run(script, planted(fault, tmp_path)).violation_count > 0


@pytest.mark.parametrize("fault", ["settle-forgets-the-slot-itself", "window-kept-over-migration"])
def test_only_what_moves_shows_it(fault: str, tmp_path: Path) -> None:
    """So it is the move that the tests above have tried, and no use beside it."""
    builder, _, objects = filled()
    for number in (2, 2, 3, 4, 2):
        builder.use(Operation.READ, objects[number])
        builder.use(Operation.UPDATE, objects[number], cpu=1)
    assert run(builder, planted(fault, tmp_path)).violation_count == 0


@pytest.mark.parametrize(("name", "broken"), [("swap", True), ("sg", False), ("copy", False)])
def test_neighbour_of_a_held_object(name: str, broken: bool) -> None:
    builder, _, objects = filled()
    builder.hold(objects[2], Mode.RO, 0)
    builder.use(Operation.READ, objects[3], cpu=1)
    builder.release(0)
    assert bool(run(builder, name).violation_count) == broken


def test_unmap_on_another_cpu() -> None:
    broken = {}
    for name in ("copy", "swap"):
        builder, _, objects = filled()
        builder.hold(objects[2], Mode.RW, 0, cpu=0)
        builder.release(0, cpu=1)
        broken[name] = bool(run(builder, name).violation_count)
    assert broken == {"copy": True, "swap": False}


def test_placement_is_as_it_was_asked_for() -> None:
    builder, zspage, objects = filled(3)
    slots = builder.geometry.slots_of(builder.class_of(zspage))
    assert tuple(np.flatnonzero(slots.spans)[:2]) == SPANS
    assert [builder.where(number) for number in objects] == [(0, 0), (0, 1), (0, 2)]
    assert not builder.vacant(zspage, 2)
    assert builder.vacant(zspage, 3)
    assert builder.free_slots(zspage) == list(range(3, len(slots)))
    alike = builder.free_slots(builder.zspage(builder.class_of(zspage)), like=objects[2])
    assert alike == [2]
    builder.free(objects[1])
    assert builder.live() == [objects[0], objects[2]]
    assert builder.vacant(zspage, 1)
    work = builder.placed()
    assert work.placed.slot.tolist() == [0, 1, 2, 0, 1, 2, 1]
    assert work.placed.spans.tolist() == [False, False, True, False, False, True, False]
    assert work.placed.opens.tolist() == [True] + [False] * 6


def test_a_batch_ends_with_a_migration() -> None:
    """What comes after must find the page elsewhere."""
    work = migration().placed()
    assert work.script is not None
    kinds = work.script.kind.tolist()
    ends = [index + 1 for index, kind in enumerate(kinds) if kind == Kind.MIGRATE]
    assert len(ends) == 3
    assert set(ends) <= set(work.bounds.tolist())


def two_zspages() -> tuple[ScriptBuilder, int]:
    """Pages of two zspages, one after the other; return how many rows there are by then, too."""
    builder, zspage, objects = filled(4)
    other = builder.zspage(builder.class_of(zspage))
    neighbours = [builder.allocate(other, slot, 100) for slot in range(4)]
    for number in neighbours:
        builder.use(Operation.WRITE, number)
    builder.migrate(zspage, 0)
    builder.migrate(other, 1, cpu=1)
    until = len(builder)
    builder.free(neighbours[2])
    builder.compact(objects[2], other, 2)
    builder.migrate(zspage, 1)
    builder.use(Operation.READ, neighbours[3])
    builder.use(Operation.UPDATE, objects[2])
    return builder, until


def test_pages_of_two_zspages_migrate_in_one_batch() -> None:
    builder, until = two_zspages()
    work = builder.placed()
    assert work.script is not None
    assert (work.script.kind[:until] == Kind.MIGRATE).sum() == 2
    assert work.bounds.tolist()[:2] == [0, until]
    for name in ("copy", "swap-lazy"):
        assert not run(two_zspages()[0], name).violations


def held_over(uses: int) -> ScriptBuilder:
    """Use an object of a large page while another one is mapped."""
    builder = ScriptBuilder(geometry("chain-8", page_size=65536, word_bits=64))
    zspage = builder.zspage(int(builder.geometry.class_index(40000)))
    mapped, used = (builder.allocate(zspage, slot, 40000) for slot in range(2))
    for number in (mapped, used):
        builder.use(Operation.WRITE, number)
    builder.hold(mapped, Mode.RO, 0)
    for _ in range(uses):
        builder.use(Operation.READ, used)
    builder.release(0)
    for _ in range(600):
        builder.use(Operation.READ, used)
    return builder


def test_what_does_not_fit_into_one_batch() -> None:
    """Such batches end where nothing is mapped."""
    work = held_over(50).placed()
    assert work.script
    kind = work.script.kind
    began, ended = (int(np.flatnonzero(kind == one)[0]) for one in (Kind.HOLD, Kind.RELEASE))
    assert len(work.bounds) > 3
    assert not any(began < bound <= ended for bound in work.bounds.tolist())
    large = Image(build(target(ARCH), strategy("copy"), page_shift=16), target(ARCH))
    assert Replay(large, work, observe=StrictTranslations).run().violations == []
    with pytest.raises(ZsemuError, match="a map is held over more than a batch can have"):
        held_over(300).placed()


def test_moves_that_are_not_possible() -> None:
    builder, zspage, objects = filled()
    with pytest.raises(ZsemuError, match="slot 0 of zspage 0 is in use"):
        builder.allocate(zspage, 0, 10)
    with pytest.raises(ZsemuError, match="cannot move to slot 1"):
        builder.compact(objects[0], zspage, 1)
    other = builder.zspage(builder.class_of(zspage) + 1)
    with pytest.raises(ZsemuError, match="cannot move"):
        builder.compact(objects[0], other, 0)
