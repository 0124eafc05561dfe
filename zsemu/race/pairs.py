# SPDX-License-Identifier: GPL-2.0-only
"""What happens on one CPU while the other has an object mapped."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from zsemu.guest.structures import Mode
from zsemu.race.locks import Slot
from zsemu.race.shapes import Shape
from zsemu.replay.script import ScriptBuilder
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import Geometry

MODES: Final = (Operation.READ, Operation.WRITE, Operation.UPDATE)
"""in which A maps its object, and B others"""
_MAP_MODES: Final = {
    Operation.READ: Mode.RO,
    Operation.WRITE: Mode.WO,
    Operation.UPDATE: Mode.RW,
}
A, B = range(2)
"""the CPUs, and whose area the host has"""


@dataclass
class Stage:
    """A zspage with objects around the one that A maps, as a script that goes on."""

    builder: ScriptBuilder
    shape: Shape
    mode: Operation
    zspage: int
    objects: dict[int, int]
    """by slot of the zspage"""
    far: int
    """a slot of the zspage that is no neighbour"""

    @property
    def own(self) -> int:
        """The object that A maps."""
        return self.objects[self.shape.slot]

    @property
    def slot(self) -> int:
        """Its slot."""
        return self.shape.slot


@dataclass(frozen=True)
class Pair:
    """Something that happens while A has its object mapped."""

    group: str
    """what it is, whatever the mode; empty: part of no group"""
    name: str
    act: Callable[[Stage], None]
    """what B does"""
    touches: Callable[[Stage], set[Slot]]
    """the slots that it touches, by which locks exclude it"""
    applies: Callable[[Geometry, Shape, Operation], bool]
    beside: int | None = None
    """which slot it is about, counted from A's; None: another or none"""
    free: bool = False
    """the slot beside is free"""
    moves: bool = False
    """an object goes to another zspage"""
    settles: bool = False
    """only of interest where the strategy defines zs_settle()"""
    nested: bool = False
    """B interrupts A on the same CPU, so no lock can help"""
    moved: bool = False
    """A unmaps on another CPU than that on which it has mapped, so no lock can help"""
    torn: bool = False
    """both use one object, one of them writes: what is seen may be partly old and partly new"""

    @property
    def lockable(self) -> bool:
        """Whether a lock can keep it from A's map."""
        return not (self.nested or self.moved)


def _there(step: int) -> Callable[[Geometry, Shape, Operation], bool]:
    """Return whether a shape has a slot so many slots further."""

    def applies(geometry: Geometry, shape: Shape, mode: Operation) -> bool:
        return 0 <= shape.slot + step < int(geometry.objects[shape.class_index])

    return applies


def _small(geometry: Geometry, shape: Shape, mode: Operation) -> bool:
    return not shape.large


def _beside(step: int) -> Callable[[Stage], set[Slot]]:
    return lambda stage: {(stage.zspage, stage.slot + step)}


def _maps(where: str, step: int | None) -> list[Pair]:
    """Return maps of the slot so far away; None: of one that is no neighbour."""

    def slot(stage: Stage) -> int:
        return stage.far if step is None else stage.slot + step

    def pair(mode: Operation) -> Pair:
        return Pair(
            f"{where}: map",
            f"{mode.name.lower()} of the {where}",
            lambda stage: stage.builder.use(mode, stage.objects[slot(stage)], cpu=B),
            lambda stage: {(stage.zspage, slot(stage))},
            _small if step is None else _there(step),
            beside=step,
        )

    return [pair(mode) for mode in MODES]


def _further(step: int) -> list[Pair]:
    """Return what happens to a slot behind or before a neighbour, which a chain may reach."""
    where = f"slot {abs(step)} {'behind' if step > 0 else 'before'}"

    def free(stage: Stage) -> None:
        stage.builder.free(stage.objects.pop(stage.slot + step), cpu=B)

    name = f"free of the {where}"
    return [
        *(replace(pair, group="other slot: map") for pair in _maps(where, step)[:2]),
        Pair("other slot: free", name, free, _beside(step), _there(step), step),
    ]


def _same() -> list[Pair]:
    def pair(group: str, mode: Operation, torn: bool) -> Pair:
        def applies(geometry: Geometry, shape: Shape, own: Operation) -> bool:
            # Whoever writes an object keeps other writers away; readers see old or new bytes.
            readers = (own, mode).count(Operation.READ)
            return not shape.large and readers == (1 if torn else 2) and not (torn and shape.edge)

        return Pair(
            group,
            f"{mode.name.lower()} of the same object",
            lambda stage: stage.builder.use(mode, stage.own, cpu=B),
            lambda stage: {(stage.zspage, stage.slot)},
            applies,
            torn=torn,
        )

    return [
        pair("same object: both read", Operation.READ, False),
        *(pair("same object: one writes", mode, True) for mode in MODES),
    ]


def _allocator(where: str, step: int) -> list[Pair]:
    """Return what the allocator does to a neighbour."""

    def free(stage: Stage) -> None:
        stage.builder.free(stage.objects.pop(stage.slot + step), cpu=B)

    def allocate(stage: Stage) -> None:
        builder, slot = stage.builder, stage.slot + step
        length = builder.capacity(stage.zspage)
        stage.objects[slot] = builder.allocate(stage.zspage, slot, length, cpu=B)

    def settle(stage: Stage) -> None:
        stage.builder.settle(stage.objects[stage.slot + step], cpu=B)

    return [
        Pair(f"{where}: free", f"free of the {where}", free, _beside(step), _there(step), step),
        Pair(
            f"{where}: allocate",
            f"allocation in the {where}",
            allocate,
            _beside(step),
            _there(step),
            step,
            free=True,
        ),
        Pair(
            f"{where}: settle",
            f"settle of the {where}",
            settle,
            _beside(step),
            _there(step),
            step,
            settles=True,
        ),
        _compaction(where, step),
    ]


def _compaction(where: str, step: int) -> Pair:
    """Return the move of a neighbour into the same slot of another zspage."""

    def act(stage: Stage) -> None:
        builder = stage.builder
        far = 1 - stage.zspage
        builder.compact(stage.objects.pop(stage.slot + step), far, stage.slot + step, cpu=B)

    def touches(stage: Stage) -> set[Slot]:
        return {(zspage, stage.slot + step) for zspage in (0, 1)}

    name = f"compaction of the {where}"
    group = f"{where}: compaction"
    return Pair(group, name, act, touches, _there(step), step, moves=True)


def _migration(which: int) -> Pair:
    """Return the migration of the page in which A's object begins, or of the next one."""

    def page(stage: Stage) -> int:
        slots = stage.builder.geometry.slots_of(stage.shape.class_index)
        return int(slots.page[stage.slot]) + which

    def act(stage: Stage) -> None:
        stage.builder.migrate(stage.zspage, page(stage), cpu=B)

    def touches(stage: Stage) -> set[Slot]:
        slots = stage.builder.geometry.slots_of(stage.shape.class_index)
        inside = slots.page == page(stage)
        inside |= (slots.page + 1 == page(stage)) & slots.spans
        return {(stage.zspage, slot) for slot in np.flatnonzero(inside).tolist()}

    def applies(geometry: Geometry, shape: Shape, mode: Operation) -> bool:
        spans = bool(geometry.slots_of(shape.class_index).spans[shape.slot])
        return not shape.large and (spans or not which)

    name = f"migration of page {which + 1}"
    return Pair("migration of its page", name, act, touches, applies)


def _interrupts() -> list[Pair]:
    def pair(mode: Operation, same: bool) -> Pair:
        def act(stage: Stage) -> None:
            slot = stage.slot if same else stage.far
            stage.builder.use(mode, stage.objects[slot], cpu=A)

        def applies(geometry: Geometry, shape: Shape, own: Operation) -> bool:
            return not shape.large and (not same or own == mode == Operation.READ)

        which = "the same object" if same else "another object"
        return Pair(
            "nested on one CPU",
            f"{mode.name.lower()} of {which} on the same CPU",
            act,
            lambda stage: set(),
            applies,
            nested=True,
        )

    return [*(pair(mode, False) for mode in MODES), pair(Operation.READ, True)]


def _other_cpu(mode: Operation) -> Pair:
    """Return a map of another object on the CPU that A maps on, and does not unmap on."""
    return Pair(
        "unmap on another CPU than map",
        f"unmap on another CPU, and {mode.name.lower()} of another object",
        lambda stage: stage.builder.use(mode, stage.objects[stage.far], cpu=A),
        lambda stage: set(),
        _small,
        moved=True,
    )


def _in_order(pairs: list[Pair]) -> tuple[Pair, ...]:
    return tuple(pairs)


PAIRS: Final = _in_order(
    [
        *_same(),
        *_maps("slot before", -1),
        *_allocator("slot before", -1),
        *_maps("slot behind", 1),
        *_allocator("slot behind", 1),
        *_maps("other slot", None),
        *(pair for step in (-3, -2, 2, 3) for pair in _further(step)),
        _migration(0),
        _migration(1),
        *(_other_cpu(mode) for mode in MODES),
        *_interrupts(),
    ]
)
"""everything that is tried"""


def map_on(stage: Stage, pair: Pair) -> None:
    """Append what A does: map, access and unmap."""
    if not pair.moved:
        stage.builder.use(stage.mode, stage.own, cpu=A)
        return
    stage.builder.hold(stage.own, _MAP_MODES[stage.mode], 0, cpu=A)
    stage.builder.release(0, cpu=B)
