# SPDX-License-Identifier: GPL-2.0-only
"""What two CPUs do at once with a kernel's own allocator.

The pool has one size class in use. Of two zspages, one has a free slot and the other a single
object: so compaction moves that object, and frees its zspage.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.kernel.guest import Kind
from zsemu.kernel.operations import Operations
from zsemu.race.parts import Parts
from zsemu.race.schedule import READER
from zsemu.zsmalloc.geometry import Geometry


@dataclass(frozen=True)
class Zspages:
    """The size class in use, and its two zspages."""

    geometry: Geometry
    class_index: int

    @property
    def objects(self) -> int:
        """Objects of a zspage; those of the first zspage have the numbers from 0 on."""
        return int(self.geometry.objects[self.class_index])

    @property
    def spanning(self) -> int:
        """The slot of the objects that are mapped."""
        return int(np.flatnonzero(self.geometry.slots_of(self.class_index).spans)[0])

    @property
    def free(self) -> int:
        """The slot of the first zspage that holds no object."""
        return self.objects - 1

    @property
    def stays(self) -> int:
        """The object that is mapped in the first zspage."""
        return self.spanning

    @property
    def moves(self) -> int:
        """The only object of the second zspage."""
        return self.objects + self.spanning

    @property
    def nobody(self) -> int:
        """The number that stands where an operation has no object."""
        return 2 * self.objects + 2

    @property
    def length(self) -> int:
        """Bytes of every object."""
        size = self.geometry.classes[self.class_index]
        return size.size - size.header


def choose(geometry: Geometry) -> Zspages:
    """Choose the class: of two pages, since each object and byte adds to the schedules."""
    found = [
        (size.objects + size.size // 8, index)
        for index, size in enumerate(geometry.classes)
        if size.pages == 2 and geometry.slots_of(index).spans.any()
    ]
    if not found:
        raise ZsemuError("this kernel has no zspages of two pages: race cannot run it")
    return Zspages(geometry, min(found)[1])


@dataclass(frozen=True)
class Row:
    """One operation of a script."""

    kind: Kind
    object: int = -1
    cpu: int = 0
    page: tuple[int, int] = (-1, -1)
    """of a migration: which zspage, and which of its pages"""


@dataclass(frozen=True)
class Action:
    """What a CPU does."""

    group: str
    name: str
    row: Callable[[Zspages, int], Row]
    """from the zspages, and the CPU"""


def _use(kind: Kind, who: str) -> Action:
    name = f"{kind.name.lower()} of the object that {who}"
    return Action("map", name, lambda z, cpu: Row(kind, getattr(z, who), cpu))


def _free(name: str, number: Callable[[Zspages], int]) -> Action:
    return Action("free", f"free of {name}", lambda z, cpu: Row(Kind.FREE, number(z), cpu))


def _migrate(zspage: int, which: int) -> Action:
    def row(z: Zspages, cpu: int) -> Row:
        first = z.spanning * z.geometry.classes[z.class_index].size // z.geometry.page_size
        return Row(Kind.MIGRATE, -1, cpu, (zspage, first + which))

    who = ("stays", "moves")[zspage]
    name = f"migration of page {which + 1} of the object that {who}"
    return Action("migration", name, row)


MAPS: Final = tuple(
    _use(kind, who) for who in ("stays", "moves") for kind in (Kind.READ, Kind.WRITE, Kind.UPDATE)
)
BESIDE: Final = Action(
    "map",
    "write of the slot behind",
    lambda z, cpu: Row(Kind.WRITE, z.stays + 1, cpu),
)
FREE: Final = _free("the slot behind", lambda z: z.stays + 1)
FREE_OTHER: Final = _free("another object", lambda z: 0)
FREE_LAST: Final = _free("the object that moves", lambda z: z.moves)
ALLOCATE: Final = Action(
    "allocation", "allocation", lambda z, cpu: Row(Kind.ALLOCATE, 2 * z.objects + cpu, cpu)
)
COMPACT: Final = Action("compaction", "compaction", lambda z, cpu: Row(Kind.COMPACT, cpu=cpu))
MIGRATE: Final = tuple(_migrate(zspage, which) for zspage in (0, 1) for which in (0, 1))


@dataclass(frozen=True)
class KernelScene:
    """Something on CPU A, and something else on CPU B at the same time."""

    a: Action
    b: Action
    full: bool = False
    """there is one zspage, without a free slot"""

    @property
    def name(self) -> str:
        """What distinguishes it from all others."""
        full = "zspage full: " if self.full else ""
        return f"{full}{self.a.name} | {self.b.name}"

    @property
    def part(self) -> str:
        """What is run by one worker: all scenes in which CPU A does such a thing."""
        return self.a.group

    @property
    def group(self) -> str:
        """What it is, in a few words."""
        return f"{self.a.group} against: {self.b.group}"


def _scenes() -> Iterator[KernelScene]:
    for a in MAPS:
        stays = a.name.endswith("stays")
        beside = (BESIDE, FREE, COMPACT, *MIGRATE[:2]) if stays else (COMPACT, *MIGRATE[2:])
        yield from (KernelScene(a, b) for b in (ALLOCATE, *beside))
    yield KernelScene(MAPS[0], MAPS[0])
    yield KernelScene(MAPS[0], MIGRATE[2])
    yield KernelScene(FREE, FREE_OTHER)
    for a in (FREE, FREE_LAST):
        yield from (KernelScene(a, b) for b in (ALLOCATE, COMPACT, *MIGRATE[:3]))
    yield KernelScene(FREE, FREE_LAST)
    yield KernelScene(FREE, MIGRATE[0], full=True)
    yield from (KernelScene(ALLOCATE, b, full=True) for b in (FREE, ALLOCATE, MIGRATE[0]))
    yield from (KernelScene(ALLOCATE, b) for b in (ALLOCATE, COMPACT, *MIGRATE[:3]))
    yield from (KernelScene(COMPACT, b) for b in (COMPACT, *MIGRATE[:3]))
    yield from (KernelScene(MIGRATE[0], b) for b in MIGRATE[:3])


SCENES: Final = tuple(_scenes())
"""everything that is tried; what both do could as well be done the other way round"""


@dataclass(frozen=True)
class KernelScript:
    """A scene as operations: what sets it up, CPU A's, CPU B's, and those of the host."""

    kinds: NDArray[np.uint32]
    operations: Operations
    pages: tuple[tuple[int, int], ...]
    """of each operation, if it is a migration: which zspage, and which of its pages"""
    parts: Parts


def _setup(z: Zspages, scene: KernelScene) -> list[Row]:
    """Fill zspages in the order of their slots, and free what is not wanted."""
    number = z.objects * (1 if scene.full else 2)
    left = set(range(z.objects)) if scene.full else {*range(z.objects), z.moves} - {z.free}
    rows = [Row(Kind.ALLOCATE, one) for one in range(number)]
    rows += [Row(Kind.WRITE, one) for one in sorted(left)]
    return rows + [Row(Kind.FREE, one) for one in range(number) if one not in left]


def _look(z: Zspages, rows: list[Row]) -> list[Row]:
    """Fill the free slots, write what is new, read all, and free it: then nothing may be left."""
    live: dict[int, None] = {}
    for row in rows:
        if row.kind == Kind.ALLOCATE:
            live[row.object] = None
        elif row.kind == Kind.FREE:
            del live[row.object]
    fill = range(z.nobody + 1, z.nobody + 1 + z.objects)
    live |= dict.fromkeys(fill)
    written = {row.object for row in rows if row.kind == Kind.WRITE}
    new = [Row(Kind.WRITE, one, READER) for one in live if one not in written]
    reads = [Row(Kind.READ, one, READER) for one in live]
    return [
        Row(Kind.SETTLE, cpu=READER),
        *(Row(Kind.ALLOCATE, one, READER) for one in fill),
        *new,
        *reads,
        *(Row(Kind.FREE, one, READER) for one in live),
        Row(Kind.SETTLE, cpu=READER),
    ]


def script(z: Zspages, scene: KernelScene) -> KernelScript:
    """Return a scene as operations."""
    setup = _setup(z, scene)
    both = [scene.a.row(z, 0), scene.b.row(z, 1)]
    rows = [*setup, *both, *_look(z, [*setup, *both])]
    parts = Parts(len(setup), len(setup) + 1, len(setup) + 2, len(rows))
    kinds = np.array([row.kind for row in rows], np.uint32)
    object_ = np.array([row.object for row in rows], np.int64)
    nobody = object_ < 0
    slots = z.geometry.slots_of(z.class_index)
    slot = np.where(nobody | (object_ >= 2 * z.objects), 0, object_ % z.objects)
    none = np.full(len(rows), -1)
    return KernelScript(
        kinds,
        Operations(
            index=np.arange(len(rows)),
            # What is none of a trace's operations leaves every content as it is.
            operation=np.where(nobody, Kind.FREE, kinds).astype(np.uint8),
            object=np.where(nobody, z.nobody, object_).astype(np.uint32),
            number=object_,
            length=np.full(len(rows), z.length, np.int64),
            cpu=np.array([row.cpu for row in rows], np.uint16),
            class_index=np.full(len(rows), z.class_index),
            slot=np.where(nobody, none, slot),
            offset=np.where(nobody, none, slots.offset[slot]),
            spans=slots.spans[slot] & ~nobody,
        ),
        tuple(row.page for row in rows),
        parts,
    )
