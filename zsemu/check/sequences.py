# SPDX-License-Identifier: GPL-2.0-only
"""Search for a failing sequence of what the allocator and its users do, in any order.

A sequence allocates, frees, reads, writes, updates, compacts and migrates pages, in several zspages
of a few classes and on two CPUs. The steps are drawn at random. Then the guest runs them all, and
the oracle, which knows what every object holds, judges them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from zsemu.guest.image import Image
from zsemu.replay.observation import StrictTranslations
from zsemu.replay.replay import Outcome, Trial
from zsemu.replay.script import ScriptBuilder
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import Geometry

SEQUENCES: Final = 60
"""sequences that a search tries"""
STEPS: Final = 50
"""that each has"""
_PAGES: Final = "scattered"
"""order of the pages of zspages"""
_OBJECTS: Final = 1000
"""more than a sequence has; the content of an object follows from its number"""

_USES = {item.name.lower(): item for item in (Operation.READ, Operation.WRITE, Operation.UPDATE)}
_WHAT: Final = ("allocate", "free", *_USES, "compact", "migrate")

Step = tuple[str, int, int, int]
"""what, two numbers that choose among what there is, and the CPU"""

_FIRST = 6
"""objects that a zspage begins with"""
_FEW = 8
"""objects of which none is freed, so that there is something to use"""


@dataclass(frozen=True)
class Action:
    """A step whose choices have been made, so that it stays the same when others are left out."""

    what: str
    object: int
    cpu: int
    zspage: int = 0
    """that it is allocated in or moves to: which of those that the sequence has"""
    place: int = 0
    """slot, or page of a migration"""
    length: int = 0


@cache
def interesting_classes(geometry: Geometry) -> list[int]:
    """Return three classes: with chains of spanning slots, with a few spanning, with many slots."""
    slots = geometry.slots
    groups: tuple[list[int], list[int], list[int]] = ([], [], [])
    for index in range(len(geometry.classes)):
        spans = slots.spans[geometry.first[index] : geometry.first[index + 1]]
        if (spans[1:] & spans[:-1]).any():
            groups[0].append(index)
        elif spans.sum() > 1 and len(spans) <= 20:
            groups[1].append(index)
        elif spans.any():
            groups[2].append(index)
    return [group[len(group) // 2] for group in groups if group]


class _Stage:
    """The zspages of a sequence and the objects in them."""

    def __init__(self, builder: ScriptBuilder) -> None:
        self.builder = builder
        classes = interesting_classes(builder.geometry)
        self.zspages = [builder.zspage(kind) for kind in classes for _ in range(2)]
        self.objects: dict[int, int] = {}
        """number in the actions -> number in the builder"""

    def do(self, action: Action) -> None:
        """Carry out an action, or pass it over if it is not possible."""
        builder, cpu = self.builder, action.cpu
        if action.what == "allocate":
            where = self.zspages[action.zspage]
            if builder.vacant(where, action.place):
                self.objects[action.object] = builder.allocate(
                    where, action.place, action.length, cpu, action.object
                )
            return
        object_ = self.objects.get(action.object)
        if object_ is None:
            return
        if action.what in _USES:
            builder.use(_USES[action.what], object_, cpu=cpu)
        elif action.what == "free":
            builder.free(self.objects.pop(action.object), cpu)
        elif action.what == "migrate":
            home = builder.where(object_)[0]
            pages = builder.geometry.pages[builder.class_of(home)]
            builder.migrate(home, action.place % int(pages), cpu)
        elif action.place in self.targets(object_, self.zspages[action.zspage]):
            builder.compact(object_, self.zspages[action.zspage], action.place, cpu)

    def targets(self, object_: int, zspage: int) -> list[int]:
        """Return the slots of a zspage that an object can move to.

        A raw copy keeps an order of the strategy's own only where the slot is split alike; what
        becomes of it elsewhere is a property (properties.py).
        """
        builder = self.builder
        if builder.class_of(zspage) != builder.class_of(builder.where(object_)[0]):
            return []
        return builder.free_slots(zspage, like=object_) if builder.opened(zspage) else []


def perform(geometry: Geometry, actions: Iterable[Action]) -> ScriptBuilder:
    """Carry out actions; one that is not possible when its turn comes is passed over."""
    return side_by_side(geometry, [actions])


def side_by_side(geometry: Geometry, sequences: Iterable[Iterable[Action]]) -> ScriptBuilder:
    """Carry out sequences in turns, of which each lasts up to the sequence's next migration.

    Each has its own zspages. Pages of all of them migrate at the end of a turn, one after the
    other, so that few batches have to end there.
    """
    builder = ScriptBuilder(geometry, _PAGES)
    left = [(_Stage(builder), iter(sequence)) for sequence in sequences]
    while left:
        waiting = []
        for stage, actions in left:
            for action in actions:
                if action.what == "migrate":
                    waiting.append((stage, action, actions))
                    break
                stage.do(action)
        for stage, action, _ in waiting:
            stage.do(action)
        left = [(stage, actions) for stage, _, actions in waiting]
    return builder


def resolve(geometry: Geometry, steps: Iterable[Step], number_from: int = 0) -> list[Action]:
    """Return the actions that steps stand for, after those that fill the first zspages.

    Objects are numbered from ``number_from``.
    """
    builder = ScriptBuilder(geometry, _PAGES)
    stage = _Stage(builder)
    actions: list[Action] = []

    def do(action: Action) -> None:
        actions.append(action)
        stage.do(action)

    def allocate(number: int, slot: int, shorter: int, cpu: int) -> None:
        new = number_from + sum(action.what == "allocate" for action in actions)
        length = max(1, builder.capacity(stage.zspages[number]) - shorter)
        do(Action("allocate", new, cpu, number, slot, length))
        do(Action("write", new, cpu))

    for number in range(0, len(stage.zspages), 2):
        for slot in _around(geometry, builder.class_of(stage.zspages[number]))[:_FIRST]:
            allocate(number, slot, slot % 3, slot % 2)
        # Somewhere to move to.
        allocate(number + 1, 0, 0, 0)
    for what, first, second, cpu in steps:
        if what == "allocate":
            number = first % len(stage.zspages)
            where = stage.zspages[number]
            around = _around(geometry, builder.class_of(where))
            free = [slot for slot in around if builder.vacant(where, slot)][:4]
            if free:
                allocate(number, free[second % len(free)], second % 700, cpu)
            continue
        if not stage.objects:
            continue
        which = sorted(stage.objects)[first % len(stage.objects)]
        home, slot = builder.where(stage.objects[which])
        # What moves does so between two uses, the second of which stores: where it was lie the
        # same bytes still.
        if what == "migrate":
            own = int(geometry.slots_of(builder.class_of(home)).page[slot])
            do(Action("read", which, cpu))
            do(Action(what, which, cpu, place=own if second % 2 else second))
            do(Action("update", which, cpu))
            do(Action("read", which, 1 - cpu))
        elif what == "compact":
            pair = stage.zspages.index(home) // 2 * 2
            for number in (pair + second % 2, pair + 1 - second % 2):
                free = stage.targets(stage.objects[which], stage.zspages[number])[:4]
                if free:
                    break
            if free:
                do(Action("read", which, cpu))
                do(Action(what, which, cpu, number, free[second // 2 % len(free)]))
                do(Action("update", which, cpu))
                do(Action("read", which, 1 - cpu))
        elif what != "free" or len(stage.objects) > _FEW:
            do(Action(what, which, cpu))
    return actions


def _around(geometry: Geometry, class_index: int) -> list[int]:
    """Return the slots that span and their neighbours."""
    spans = np.flatnonzero(geometry.slots_of(class_index).spans)
    near = np.unique(np.concatenate([spans - 1, spans, spans + 1]))
    objects = int(geometry.objects[class_index])
    return [slot for slot in near.tolist() if 0 <= slot < objects]


def generate(seed: int, number: int) -> list[Step]:
    """Return the steps of one sequence, the same ones for the same seed and number."""
    random = np.random.default_rng((seed, number))
    what = random.integers(len(_WHAT), size=STEPS).tolist()
    chosen = random.integers(1000, size=(STEPS, 2)).tolist()
    cpus = random.integers(2, size=STEPS).tolist()
    return [
        (_WHAT[step], first, second, cpu)
        for step, (first, second), cpu in zip(what, chosen, cpus, strict=True)
    ]


@cache
def sequence(geometry: Geometry, seed: int, number: int) -> list[Action]:
    """Return one of the sequences that search() tries, ``number`` from 0."""
    return resolve(geometry, generate(seed, number), number * _OBJECTS)


def search(
    image: Image,
    geometry: Geometry,
    promises: tuple[str, ...],
    *,
    seed: int,
    sequences: int = SEQUENCES,
) -> tuple[int, Outcome | None]:
    """Try sequences, all in one replay; if that goes wrong, each alone up to the first that does.

    Return how many were tried, and what came of the last one if that is wrong. If none is wrong
    alone, return what came of all together. The same seed gives the same sequences.
    """
    every = [sequence(geometry, seed, number) for number in range(sequences)]

    def outcome(builder: ScriptBuilder) -> Outcome:
        return Trial(image, builder.placed(), observe=StrictTranslations, promises=promises).run()

    together = outcome(side_by_side(geometry, every))
    if not together.violation_count:
        return sequences, None
    for number, actions in enumerate(every):
        alone = outcome(perform(geometry, actions))
        if alone.violation_count:
            return number + 1, alone
    return sequences, together
