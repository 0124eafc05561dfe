# SPDX-License-Identifier: GPL-2.0-only
"""Place operations by hand, as a script, for what no trace holds.

A script chooses zspage and slot itself, moves objects as compaction does, migrates pages, and holds
a map while other operations run. It becomes a placed trace and is replayed like one.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from zsemu.errors import ZsemuError
from zsemu.guest.structures import Kind, Mode
from zsemu.replay.placed_trace import PlacedTrace, Script, cut
from zsemu.traces.operation import Operation
from zsemu.traces.trace import Metadata, Trace
from zsemu.zsmalloc.geometry import Geometry
from zsemu.zsmalloc.placement import Placed

_ACCESS = {Mode.RO: Operation.READ, Mode.WO: Operation.WRITE, Mode.RW: Operation.UPDATE}


@dataclass
class _Row:
    operation: Operation
    object: int
    length: int
    cpu: int
    zspage: int
    slot: int
    text: str
    """what it does in words; empty where that is part of the row before"""
    kind: int
    mode: int = 0
    held: int = 0
    partner: int = -1
    target: tuple[int, int] = (0, 0)
    opens: bool = False
    page: int = -1
    """of a migration; else the slot's"""


@dataclass
class _Object:
    number: int
    """by which its content is known: see oracle.py"""
    zspage: int
    slot: int
    length: int
    alive: bool = True


@dataclass
class ScriptBuilder:
    """Collects operations; each method appends one, or the few that make up what it names."""

    geometry: Geometry
    page_order: str = "ascending"
    _rows: list[_Row] = field(default_factory=list)
    _objects: list[_Object] = field(default_factory=list)
    _zspages: list[int] = field(default_factory=list)
    """class of each"""
    _used: dict[tuple[int, int], int] = field(default_factory=dict)
    """(zspage, slot) -> object"""
    _opened: set[int] = field(default_factory=set)
    _held: dict[int, int] = field(default_factory=dict)
    """number of a lasting map -> the operation that began it"""

    def zspage(self, class_index: int) -> int:
        """Return a new zspage of a class; its first allocation creates it."""
        self._zspages.append(class_index)
        return len(self._zspages) - 1

    def free_slots(self, zspage: int, like: int | None = None) -> list[int]:
        """Return the slots of a zspage that hold no object; only those split as ``like``'s is."""
        slots = self.geometry.slots_of(self._zspages[zspage])
        free = [slot for slot in range(len(slots)) if (zspage, slot) not in self._used]
        if like is None:
            return free
        own = self._objects[like].slot
        same = slots.spans == slots.spans[own]
        if slots.spans[own]:
            same &= slots.offset == slots.offset[own]
        return [slot for slot in free if same[slot]]

    def vacant(self, zspage: int, slot: int) -> bool:
        """Return whether a slot holds no object."""
        return (zspage, slot) not in self._used

    def live(self) -> list[int]:
        """Return the objects that are alive."""
        return sorted(self._used.values())

    def where(self, object_: int) -> tuple[int, int]:
        """Return zspage and slot of an object."""
        found = self._objects[object_]
        return found.zspage, found.slot

    def opened(self, zspage: int) -> bool:
        """Return whether a zspage exists: its first allocation creates it."""
        return zspage in self._opened

    def class_of(self, zspage: int) -> int:
        """Return the class of a zspage."""
        return self._zspages[zspage]

    def capacity(self, zspage: int) -> int:
        """Return the longest payload of a slot, in bytes."""
        class_index = self._zspages[zspage]
        return int(self.geometry.sizes[class_index] - self.geometry.headers[class_index])

    def _add(
        self,
        operation: Operation,
        object_: int,
        length: int,
        cpu: int,
        text: str,
        kind: int | None = None,
        **more: int | bool | tuple[int, int],
    ) -> None:
        at = self._objects[object_]
        self._rows.append(
            _Row(
                operation,
                object_,
                length,
                cpu,
                at.zspage,
                at.slot,
                text,
                int(operation if kind is None else kind),
                **more,  # type: ignore[arg-type]
            )
        )

    def allocate(
        self, zspage: int, slot: int, length: int, cpu: int = 0, number: int | None = None
    ) -> int:
        """Put a new object into a free slot, and return by which index it is known here.

        Its content follows from its ``number``, which is that index unless another is given.
        """
        if (zspage, slot) in self._used:
            raise ZsemuError(f"slot {slot} of zspage {zspage} is in use")
        opens = not self.opened(zspage)
        self._opened.add(zspage)
        index = len(self._objects)
        number = index if number is None else number
        self._objects.append(_Object(number, zspage, slot, length))
        self._used[zspage, slot] = index
        text = f"allocate {number} {length} zspage {zspage} slot {slot}"
        self._add(Operation.ALLOCATE, index, length, cpu, text, opens=opens)
        return index

    def free(self, object_: int, cpu: int = 0) -> None:
        """Free an object."""
        found = self._objects[object_]
        del self._used[found.zspage, found.slot]
        found.alive = False
        self._add(Operation.FREE, object_, found.length, cpu, f"free {found.number}")

    def use(self, operation: Operation, object_: int, length: int = 0, cpu: int = 0) -> None:
        """Read, write or update an object: all of it, or its first ``length`` bytes."""
        found = self._objects[object_]
        length = length or found.length
        text = f"{operation.name.lower()} {found.number} {length}"
        self._add(operation, object_, length, cpu, text)

    def settle(self, object_: int, cpu: int = 0) -> None:
        """Let the strategy put everything of a slot back in place."""
        self._settle(object_, cpu, f"settle {self._objects[object_].number}")

    def _settle(self, object_: int, cpu: int, text: str) -> None:
        length = self._objects[object_].length
        self._add(Operation.FREE, object_, length, cpu, text, Kind.SETTLE)

    def compact(self, object_: int, zspage: int, slot: int, cpu: int = 0) -> None:
        """Move an object to a free slot of the same class, as zs_object_copy() does."""
        found = self._objects[object_]
        if (zspage, slot) in self._used or self._zspages[zspage] != self._zspages[found.zspage]:
            raise ZsemuError(f"object {object_} cannot move to slot {slot} of zspage {zspage}")
        text = f"compact {found.number} to zspage {zspage} slot {slot}"
        self._settle(object_, cpu, text)
        # The free slot, too: its first word is about to be overwritten.
        old = (found.zspage, found.slot)
        found.zspage, found.slot = zspage, slot
        self._settle(object_, cpu, "")
        found.zspage, found.slot = old
        self._add(Operation.FREE, object_, found.length, cpu, "", Kind.MOVE, target=(zspage, slot))
        del self._used[old]
        found.zspage, found.slot = zspage, slot
        self._used[zspage, slot] = object_

    def migrate(self, zspage: int, page: int, cpu: int = 0) -> None:
        """Move a page of a zspage to another frame; every slot that starts in it is settled."""
        slots = self.geometry.slots_of(self._zspages[zspage])
        number = next(self._used[key] for key in self._used if key[0] == zspage)
        anchor = self._objects[number]
        text = f"migrate zspage {zspage} page {page}"
        for slot in np.flatnonzero(slots.page == page).tolist():
            old = anchor.slot
            anchor.slot = slot
            self._settle(number, cpu, text)
            anchor.slot = old
            text = ""
        self._add(Operation.FREE, number, anchor.length, cpu, text, Kind.MIGRATE, page=page)

    def hold(self, object_: int, mode: Mode, held: int, cpu: int = 0) -> None:
        """Map an object and keep it mapped, as map number ``held``."""
        self._held[held] = len(self._rows)
        found = self._objects[object_]
        text = f"map {found.number} {mode.name} as {held}"
        self._add(
            _ACCESS[mode], object_, found.length, cpu, text, Kind.HOLD, mode=int(mode), held=held
        )

    def release(self, held: int, cpu: int | None = None) -> None:
        """Use and unmap map number ``held``, on its own CPU or another."""
        began = self._held.pop(held)
        row = self._rows[began]
        text = f"unmap {held}"
        self._add(
            Operation.READ if row.mode == Mode.RO else Operation.FREE,
            row.object,
            row.length,
            row.cpu if cpu is None else cpu,
            text,
            Kind.RELEASE,
            mode=row.mode,
            held=held,
            partner=began,
        )

    def __len__(self) -> int:
        return len(self._rows)

    def lines(self) -> list[str]:
        """Return the script in words, as script_text.py reads it: the zspages, then the operations.

        The number before an operation is that of its first row, which violations name.
        """
        geometry = self.geometry
        lines = [f"geometry {geometry.name} page-size {geometry.page_size} {self.page_order}"]
        for number in sorted({row.zspage for row in self._rows}):
            size = geometry.sizes[self._zspages[number]]
            lines.append(f"zspage {number} class {size}")
        for number, row in enumerate(self._rows):
            if row.text:
                lines.append(f"{number:4} cpu {row.cpu}: {row.text}")
        return lines

    def placed(self) -> PlacedTrace:
        """Return what has been collected as a placed trace."""
        last_kind = {row.object: row.kind for row in self._rows}
        for number in self.live():
            # The read-back finds an object where its last operation left it.
            if last_kind[number] in (Kind.SETTLE, Kind.MOVE, Kind.MIGRATE):
                self.use(Operation.READ, number)
        rows, geometry = self._rows, self.geometry
        trace, script = self._trace(), self._script()
        # A map ends in the batch in which it began.
        held = np.cumsum(script.kind == Kind.HOLD) - np.cumsum(script.kind == Kind.RELEASE)
        last = {row.object: index for index, row in enumerate(rows)}
        used = sorted({row.zspage for row in rows})
        chains = sum(int(geometry.pages[self._zspages[number]]) for number in used)
        return PlacedTrace(
            trace=trace,
            geometry=geometry,
            placed=self._placement(),
            bounds=np.unique(np.concatenate([cut(trace, held == 0), self._after_migrations()])),
            live=np.array([last[number] for number in self.live()], np.int64),
            zspages=len(self._zspages),
            # A migration takes a page before it gives one back.
            pages=chains + 1 + int((script.kind == Kind.MIGRATE).sum()),
            page_order=self.page_order,
            number=np.array([self._objects[row.object].number for row in rows], np.uint32),
            script=script,
        )

    def _after_migrations(self) -> NDArray[np.int64]:
        """Return before which rows a batch must end: they need a page where it has moved to."""
        moved: set[int] = set()
        cuts = []
        for index, row in enumerate(self._rows):
            if row.zspage in moved:
                cuts.append(index)
                moved.clear()
            if row.kind == Kind.MIGRATE:
                moved.add(row.zspage)
        return np.array(cuts, np.int64)

    def _column(self, name: str, dtype: DTypeLike) -> NDArray[Any]:
        """Return one field of every row, shape (n,) or, for a pair, (n, 2)."""
        return np.array([getattr(row, name) for row in self._rows], dtype)

    def _trace(self) -> Trace:
        geometry, time = self.geometry, np.arange(len(self._rows), dtype=np.int64)
        return Trace(
            "script",
            Metadata("none", geometry.name, geometry.page_size, "made by zsemu check"),
            self._column("operation", np.uint8),
            self._column("object", np.uint32),
            self._column("length", np.uint32),
            self._column("cpu", np.uint16),
            time,
            time,
        )

    def _placement(self) -> Placed:
        zspage, slot = self._column("zspage", np.int64), self._column("slot", np.int64)
        classes = np.array(self._zspages, np.int64)[zspage]
        slots = self.geometry.locate(classes, slot)
        page = self._column("page", np.int32)
        return Placed(
            zspage=zspage,
            slot=slot.astype(np.int32),
            page=np.where(page >= 0, page, slots.page).astype(np.int32),
            offset=slots.offset,
            class_index=classes.astype(np.int32),
            spans=slots.spans,
            opens=self._column("opens", bool),
            closes=np.zeros(len(self._rows), bool),
        )

    def _script(self) -> Script:
        return Script(
            kind=self._column("kind", np.uint8),
            mode=self._column("mode", np.uint8),
            held=self._column("held", np.uint8),
            partner=self._column("partner", np.int64),
            target=self._column("target", np.int64).reshape(-1, 2),
        )
