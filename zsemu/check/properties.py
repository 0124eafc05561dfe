# SPDX-License-Identifier: GPL-2.0-only
"""Measure the properties of a strategy: facts that decide arguments about it.

A property that a strategy does not have is a failure only if the strategy promises it. Most
properties are measured by an experiment of a few operations placed by hand. If something goes wrong
in it, the strategy cannot do what the experiment tries.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from zsemu.check.exhaustive import exhaustive
from zsemu.counts import COLUMNS
from zsemu.guest.image import Image
from zsemu.guest.strategies import PROMISES
from zsemu.guest.structures import Mode
from zsemu.replay.observation import StrictTranslations
from zsemu.replay.placed_trace import PlacedTrace
from zsemu.replay.replay import Outcome, Replay, Trial
from zsemu.replay.script import ScriptBuilder
from zsemu.replay.violations import ENDS
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import Geometry

# Which of counts.CHECKS tells that a promise is not kept.
_PROMISE_CHECKS = dict(
    zip(PROMISES, ("stores_reading", "stores_outside", "left", "leaked"), strict=True)
)
_HABITS = {
    "unaligned accesses of its own": "unaligned",
    "loads slack, which nobody wrote": "slack_loaded",
    "loads its buffer unwritten": "unwritten_loaded",
}
"""what a strategy does or does not, and which of counts.CHECKS tells"""


@dataclass(frozen=True)
class Property:
    """One property of one strategy on one architecture."""

    name: str
    value: str
    """``yes``, ``no`` or a number; ``?`` where the strategy did not get far enough to tell"""
    shown_by: str
    """the operation that shows it, or why nothing does; empty where nothing went wrong"""


@dataclass(frozen=True)
class _Bench:
    """A zspage full of objects, one of them spanning with neighbours on both sides."""

    builder: ScriptBuilder
    objects: dict[int, int]
    """slot -> object"""
    slot: int
    """of the spanning object under test"""

    @property
    def held(self) -> int:
        return self.objects[self.slot]


def _bench(geometry: Geometry, *, smaller_first: bool, without: int | None = None) -> _Bench:
    """Fill a zspage; ``smaller_first``: the tested object's smaller part is in its first page."""
    builder = ScriptBuilder(geometry)
    for index in range(len(geometry.classes)):
        slots = geometry.slots_of(index)
        size = int(geometry.sizes[index])
        inner = np.arange(len(slots))
        first = geometry.page_size - slots.offset
        fits = slots.spans & (inner > 0) & (inner < len(slots) - 1) & (len(slots) <= 24)
        fits &= (first * 2 < size) if smaller_first else (first * 2 > size)
        if size > 1024 and fits.any():
            slot = int(np.argmax(fits))
            break
    zspage = builder.zspage(index)
    objects = {}
    for number in range(len(slots)):
        if without is None or number != slot + without:
            objects[number] = builder.allocate(zspage, number, builder.capacity(zspage))
            builder.use(Operation.WRITE, objects[number])
    return _Bench(builder, objects, slot)


def _neighbour(action: str, side: int, bench: _Bench) -> None:
    """Do something to a neighbour while the object is mapped read-only."""
    builder, slot = bench.builder, bench.slot + side
    builder.hold(bench.held, Mode.RO, 0)
    zspage = builder.where(bench.held)[0]
    if action == "map":
        builder.use(Operation.READ, bench.objects[slot], cpu=1)
    elif action == "write":
        builder.use(Operation.WRITE, bench.objects[slot], cpu=1)
    elif action == "free (header, link)":
        builder.free(bench.objects[slot], cpu=1)
    elif action == "allocate (link, header)":
        new = builder.allocate(zspage, slot, builder.capacity(zspage), cpu=1)
        builder.release(0)
        builder.use(Operation.WRITE, new, cpu=1)
        return
    else:
        # To a slot that is split alike, of a zspage that is otherwise all but empty.
        far = builder.zspage(builder.class_of(zspage))
        last = len(builder.free_slots(far)) - 1
        builder.allocate(far, last if slot != last else 0, builder.capacity(far))
        builder.compact(bench.objects[slot], far, slot, cpu=1)
    builder.release(0)


def _two(bench: _Bench, cpus: tuple[int, int], other: int | None, *, nested: bool) -> None:
    """Map the object, then another (None: one far away; 0: itself); unmap in some order."""
    builder = bench.builder
    if other is None:
        far = builder.zspage(builder.class_of(builder.where(bench.held)[0]))
        for slot in range(bench.slot + 1):
            second = builder.allocate(far, slot, builder.capacity(far))
            builder.use(Operation.WRITE, second)
    else:
        second = bench.objects[bench.slot + other]
    builder.hold(bench.held, Mode.RO, 0, cpus[0])
    builder.hold(second, Mode.RO, 1, cpus[1])
    for held in (1, 0) if nested else (0, 1):
        builder.release(held)


def _other_cpu(bench: _Bench) -> None:
    bench.builder.hold(bench.held, Mode.RW, 0, 0)
    bench.builder.release(0, cpu=1)


def _moved(bench: _Bench) -> None:
    """Move the spanning object raw into a slot that is split elsewhere, and read it."""
    builder = bench.builder
    zspage = builder.where(bench.held)[0]
    builder.compact(bench.held, zspage, bench.slot + 1)
    builder.use(Operation.READ, bench.held)


def _goes_wrong(
    image: Image,
    geometry: Geometry,
    act: Callable[[_Bench], None],
    *,
    without: int | None = None,
) -> str:
    """Return what the first violation of an experiment says, or nothing."""
    for smaller_first in (True, False):
        bench = _bench(geometry, smaller_first=smaller_first, without=without)
        act(bench)
        outcome = Trial(image, bench.builder.placed(), observe=StrictTranslations).run()
        if outcome.violation_count:
            first = outcome.violations[0]
            where = {bench.slot: "mapped object", bench.slot + 1: "slot behind"}
            where[bench.slot - 1] = "slot before"
            return f"{first.kind}, {first.action} of the {where.get(first.slot, 'other object')}"
    return ""


def _experiments() -> list[tuple[str, Callable[[_Bench], None], int | None]]:
    """Return (what must go well, how it is tried, slot left free beside the object)."""
    found: list[tuple[str, Callable[[_Bench], None], int | None]] = []
    for side, where in ((-1, "slot before"), (1, "slot behind")):
        actions = ("map", "write", "free (header, link)", "allocate (link, header)", "compaction")
        for action in actions:

            def act(bench: _Bench, action: str = action, side: int = side) -> None:
                _neighbour(action, side, bench)

            free = side if action.startswith("allocate") else None
            found.append((f"while mapped, {where}: {action}", act, free))
    found += [
        ("two objects on two CPUs", lambda b: _two(b, (0, 1), None, nested=False), None),
        ("two neighbours on two CPUs", lambda b: _two(b, (0, 1), 1, nested=False), None),
        ("the same object on two CPUs", lambda b: _two(b, (0, 1), 0, nested=False), None),
        ("two objects nested on one CPU", lambda b: _two(b, (0, 0), None, nested=True), None),
        ("unmap on another CPU than map", _other_cpu, None),
        ("raw move to a slot split elsewhere", _moved, 1),
    ]
    return found


@dataclass(frozen=True)
class Exhausted:
    """A replay of the exhaustive trace, every operation observed."""

    work: PlacedTrace
    replay: Replay
    outcome: Outcome


def exhaust(image: Image, work: PlacedTrace, promises: Sequence[str] = ()) -> Exhausted:
    """Replay zsemu.check.exhaustive's ``work``, holding the strategy to the ``promises`` given."""
    replay = Trial(image, work, observe=StrictTranslations, promises=promises)
    return Exhausted(work, replay, replay.run())


def _per_cpu(replay: Replay) -> dict[str, str]:
    """Return what of each CPU's memory the strategy has used in a replay."""
    machines = replay.machines
    memory = machines.memory
    words = 0
    for cpu in range(memory.sizes.cpus):
        area = memory.view(memory.area + cpu * memory.area_stride, memory.types.area, 1)[0]
        words = max(words, sum(bool(area[f"private{i}"]) for i in range(4)))
    pte_stores = replay.observation.sums[:, :, COLUMNS.index("pte_stores")]
    return {
        "per-CPU buffer, bytes": str(machines.events.buffer_used),
        "per-CPU window, pages": str(2 if pte_stores.any() else 0),
        "per-CPU words": str(words),
    }


def measure(image: Image, geometry: Geometry, done: Exhausted | None = None) -> list[Property]:
    """Return the properties of the strategy in an image, always the same ones in this order.

    ``done`` is what exhaust() has returned under that geometry, if it has been called.
    """
    done = done or exhaust(image, exhaustive(geometry))
    work, outcome = done.work, done.outcome

    ended = next((found for found in outcome.violations if found.kind in ENDS), None)

    def found(name: str, value: str, shown_by: str = "") -> Property:
        """Return a property; its value is ``?`` if the strategy did not get far enough."""
        if ended and not shown_by:
            why = f"{ended.kind}, {ended.action} of slot {ended.slot} of class {ended.class_size}"
            return Property(name, "?", why)
        return Property(name, value, shown_by)

    def shown(check: str) -> str:
        operation = outcome.shows.get(check)
        if operation is None:
            return ""
        return (
            f"{Operation(work.trace.operation[operation]).name.lower()} of slot"
            f" {work.placed.slot[operation]} of class"
            f" {geometry.sizes[work.placed.class_index[operation]]}"
        )

    properties = []
    for promise, check in _PROMISE_CHECKS.items():
        text = shown(check)
        properties.append(found(promise, "no" if text else "yes", text))
    for name, act, without in _experiments():
        wrong = _goes_wrong(image, geometry, act, without=without)
        properties.append(Property(name, "no" if wrong else "yes", wrong))
    for name, value in _per_cpu(done.replay).items():
        properties.append(found(name, value))
    for name, check in _HABITS.items():
        text = shown(check)
        properties.append(found(name, "yes" if text else "no", text))
    return properties
