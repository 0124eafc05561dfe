# SPDX-License-Identifier: GPL-2.0-only
"""Set a scene: a zspage with objects, what each of two CPUs is about to do, and who looks at last.

A scene is a script whose operations fall into four parts: those that set it up, CPU A's, CPU B's,
and those by which the host looks at every object and free slot afterwards.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.guest.memory import RAM_BASE, Memory, Sizes
from zsemu.guest.structures import Flag, Kind
from zsemu.race import locks
from zsemu.race.machine import TwoCpus
from zsemu.race.pairs import Pair, Stage, map_on
from zsemu.race.parts import Parts
from zsemu.race.schedule import READER
from zsemu.race.searched import Rules
from zsemu.race.shapes import Shape
from zsemu.replay.batch import Batch, BatchWriter
from zsemu.replay.oracle import Versions, arena
from zsemu.replay.placed_trace import PlacedTrace
from zsemu.replay.script import ScriptBuilder
from zsemu.replay.zspages import Zspages
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import Geometry

SIZES: Final = Sizes(
    cpus=3, operations=256, arena=1 << 17, zspages=2, pages=20, shapes=1, states=64
)
"""that are enough for every scene"""
_REACH: Final = 3
"""slots on either side of an object that hold objects, too"""

SETTLED: Final = "settled"
PRIORS: Final = (SETTLED, "before", "itself", "behind")
"""what was mapped last before the scene: for strategies that leave something displaced"""


@dataclass(frozen=True)
class Scene:
    """One thing that happens on a CPU while an object is mapped on the other."""

    shape: Shape
    mode: Operation
    pair: Pair
    prior: str = SETTLED

    @property
    def name(self) -> str:
        """What distinguishes it from all others of a geometry."""
        prior = "" if self.prior == SETTLED else f", {self.prior} mapped last"
        return f"{self.shape.name}{prior}: {self.mode.name.lower()} | {self.pair.name}"

    @property
    def part(self) -> str:
        """What is run by one worker: all scenes of a shape."""
        return self.shape.name


@dataclass(frozen=True)
class Script:
    """A scene as operations."""

    placed: PlacedTrace
    parts: Parts
    lock: str
    """the weakest that keeps A and B apart; locks.NEVER where none can"""


def _far(geometry: Geometry, shape: Shape) -> int:
    """Return a slot that is no neighbour, and spans if one does."""
    slots = geometry.slots_of(shape.class_index)
    far = np.abs(np.arange(len(slots)) - shape.slot) > _REACH + 1
    return int(np.flatnonzero(far)[np.argmax(slots.spans[far])])


def _stage(geometry: Geometry, scene: Scene) -> Stage:
    """Allocate and write the objects."""
    shape, pair = scene.shape, scene.pair
    builder = ScriptBuilder(geometry)
    zspage = builder.zspage(shape.class_index)
    far = _far(geometry, shape)
    number = int(geometry.objects[shape.class_index])
    near = range(shape.slot - _REACH, shape.slot + _REACH + 1)
    stage = Stage(builder, shape, scene.mode, zspage, {}, far)
    for slot in sorted({slot for slot in near if 0 <= slot < number} | {far}):
        if not (pair.free and slot == shape.slot + (pair.beside or 0)):
            # Various lengths, all with words, halves and bytes at their ends.
            length = builder.capacity(zspage) - slot % 8
            stage.objects[slot] = builder.allocate(zspage, slot, length)
            builder.use(Operation.WRITE, stage.objects[slot])
    if pair.moves:
        other = builder.zspage(shape.class_index)
        builder.use(Operation.WRITE, builder.allocate(other, far, builder.capacity(other)))
    return stage


def _map_last(stage: Stage, prior: str) -> None:
    """Put everything in place, then map one object, which may then displace its neighbour."""
    for object_ in stage.objects.values():
        stage.builder.settle(object_)
    if prior != SETTLED:
        slot = stage.slot + PRIORS.index(prior) - 2
        if slot in stage.objects:
            stage.builder.use(Operation.READ, stage.objects[slot])


def _look(stage: Stage) -> None:
    """Read every object, and allocate every free slot around A's: its link must be there."""
    builder = stage.builder
    for object_ in builder.live():
        builder.use(Operation.READ, object_, cpu=READER)
    for slot in range(stage.slot - _REACH, stage.slot + _REACH + 1):
        inside = 0 <= slot < int(builder.geometry.objects[stage.shape.class_index])
        if inside and builder.vacant(stage.zspage, slot):
            builder.allocate(stage.zspage, slot, 1, cpu=READER)


def script(geometry: Geometry, scene: Scene, *, settles: bool, swapped: bool = False) -> Script:
    """Return a scene as operations; ``swapped``: B's stand before A's.

    ``settles`` says whether the strategy defines zs_settle().
    """
    stage = _stage(geometry, scene)
    builder, pair = stage.builder, scene.pair
    if settles:
        _map_last(stage, scene.prior)
    touched = pair.touches(stage)
    acts: list[Callable[[], None]] = [
        lambda: map_on(stage, pair),
        lambda: pair.act(stage),
    ]
    starts = []
    for act in reversed(acts) if swapped else acts:
        starts.append(len(builder))
        act()
    reader = len(builder)
    _look(stage)
    placed = builder.placed()
    assert len(placed.trace) == len(builder)
    return Script(
        # The host follows nothing in between, so that all of it is one batch.
        replace(placed, bounds=np.array([0, len(builder)], np.int64)),
        Parts(starts[0], starts[1], reader, len(builder)),
        locks.weakest({(stage.zspage, stage.slot)}, touched) if pair.lockable else locks.NEVER,
    )


def _frames(
    batch: Batch, zspages: Zspages, memory: Memory
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return by page of RAM whose it is, and which page of its zspage it is.

    A page that migrates has two frames all the time: which of them an operation finds is judged by
    the bytes that it sees, and must not depend on the order of accesses.
    """
    owner, index, ops = zspages.owner.copy(), zspages.index.copy(), batch.ops
    moved = ops["kind"] == Kind.MIGRATE
    frame = ops["handle"][moved].astype(np.int64) - (RAM_BASE >> memory.page_shift)
    owner[frame], index[frame] = batch.expected["zspage"][moved], ops["page"][moved]
    return owner, index


def load(cpus: TwoCpus[Memory], scene: Scene, made: Script) -> Batch:
    """Write a scene into guest memory, run what sets it up, and let both CPUs stand before it."""
    memory, parts = cpus.memory, made.parts
    cpus.reset()
    writer = BatchWriter(made.placed, memory)
    batch = next(writer.batches())
    cpus.permit(batch.expected, *_frames(batch, writer.zspages, memory))
    looking = slice(parts.reader, parts.end)
    reads = batch.ops["kind"][looking] == Operation.READ
    batch.ops["flags"][looking] |= np.where(reads, Flag.CHECK, 0).astype(np.uint32)
    headers = np.zeros(len(batch.looks), bool)
    headers[looking] = reads & (batch.ops["header"][looking] > 0)
    batch = replace(batch, looks=batch.looks | headers)
    cpus.set_up(0, parts.a)
    own = memory.WINDOW_PAGES * memory.target.pte_size
    pair = scene.pair
    area_b = 0 if pair.nested or pair.moved else 1
    cpus.begin(0, parts.a, parts.b, (0, 2 * own if pair.moved else own))
    cpus.begin(1, parts.b, parts.reader, (area_b * own, (area_b + 1) * own))
    after = 0
    if pair.moved:
        # B is on the CPU that A was on: it begins when A has mapped.
        second = memory.ops + (parts.a + 1) * memory.types.op.itemsize
        after = cpus.count_before(0, second)
    cpus.batch(READER, parts.reader, parts.end)
    cpus.ready(Rules(nested=pair.nested, one_tlb=pair.nested or pair.moved, after=after))
    return batch


def swapped_contents(made: Script, batch: Batch, other: Script) -> NDArray[np.uint64]:
    """Return what callers' buffers hold if B comes first, laid out as in ``batch``.

    ``other`` is the scene with B's operations first.
    """
    trace = other.placed.trace
    length = trace.length.astype(np.int64)
    versions = Versions(other.placed.objects)
    history = versions.advance(trace.operation, trace.object, length)
    theirs = arena(trace.operation, trace.object, length, history)
    parts, mirror = made.parts, np.arange(len(trace))
    count_a, count_b = parts.b - parts.a, parts.reader - parts.b
    mirror[parts.a : parts.b] = np.arange(count_a) + parts.a + count_b
    mirror[parts.b : parts.reader] = np.arange(count_b) + parts.a
    after = batch.arena.after.copy()
    seen: dict[int, int] = {}
    for owner, start, size in zip(
        batch.arena.owner.tolist(),
        batch.arena.start.tolist(),
        batch.arena.length.tolist(),
        strict=True,
    ):
        nth = seen.get(owner, 0)
        seen[owner] = nth + 1
        at = np.flatnonzero(theirs.owner == mirror[owner])[nth]
        words = -(-size // 8)
        begin = int(theirs.start[at])
        after[start : start + words] = theirs.after[begin : begin + words]
    return after
