# SPDX-License-Identifier: GPL-2.0-only
"""Placement: which zspage and which slot of it zsmalloc gives to every object of a trace.

The choice in all generations:

- Free slots of a zspage are a LIFO list threaded through their first bytes: 0, 1, 2, ... in a
  fresh zspage, later the last one freed first.
- The zspages of a class that are neither full nor empty are on the lists of their fullness groups.
  An allocation takes the head of the first list that has one, fullest group first, and makes a new
  zspage only if there is none.
- A zspage moves only when its group changes. When its last object is freed, so is the zspage.
- A zspage comes to its new group's list as the head.

Only what the groups are has changed over the years. Only one CPU allocates at a time here, and
nothing migrates or is compacted; the lists and free slots are kept as the kernel has them, so that
both can be added.

From 4.1 to 6.2 a zspage with fewer objects in use than the head of its new list was put directly
behind it (at the tail in 4.4). That never happens by allocating and freeing: a zspage falls into a
group with as many in use as the group allows, and rises into one, or is new, only while that one's
list is empty. Compaction can bring it about and must add that rule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.zsmalloc.geometry import Geometry

_ALLOCATE, _FREE = 0, 1
_NAMES = ("allocate", "free", "read", "write", "update")

_NO_LIST = -1
"""The group of a zspage that no allocation looks at: full, or just made."""


# How many objects are in use and how many slots there are, to the number of the zspage's group: the
# highest is searched first. Asked only of zspages neither empty nor full.


def _quarter(inuse: int, objects: int) -> int:
    return int(inuse > objects // 4)


def _three_quarters(inuse: int, objects: int) -> int:
    return int(inuse > 3 * objects // 4)


def _ratio(inuse: int, objects: int) -> int:
    return 100 * inuse // objects // 10 + 1


# get_fullness_group, insert_zspage and find_get_zspage.
# 2012: drivers/staging/zsmalloc/zsmalloc-main.c in 3.6, assumed for the whole of the staging time.
# chain-4: mm/zsmalloc.c, with three quarters since compaction came in 4.1.
# chain-8, chain-16: "fine-grained inuse ratio based fullness grouping" (4c7ac97285d8) and "remove
# insert_zspage() ->inuse optimization". Both came after 6.3, which has the longer chains already
# but still sorts as 6.2; it is taken together with its successors.
_GROUPS: dict[str, Callable[[int, int], int]] = {
    "2012": _quarter,
    "chain-4": _three_quarters,
    "chain-8": _ratio,
    "chain-16": _ratio,
}


@dataclass(frozen=True, eq=False)
class Placed:
    """Where each of n operations finds its object: arrays of shape (n,).

    For an allocate the slot it is given, for a free the one it gives back, else the object's own.
    """

    zspage: NDArray[np.int64]
    """Serial number, unique in the whole run, counted in order of creation from 0."""
    slot: NDArray[np.int32]
    """Index of the slot in the zspage."""
    page: NDArray[np.int32]
    """Index in the zspage of the page in which the slot starts."""
    offset: NDArray[np.int32]
    """Bytes from the start of that page to the slot."""
    class_index: NDArray[np.int32]
    """Index into the geometry's ``classes``."""
    spans: NDArray[np.bool_]
    """Whether the slot crosses the end of its first page."""
    opens: NDArray[np.bool_]
    """Whether this allocate created its zspage."""
    closes: NDArray[np.bool_]
    """Whether this free released its zspage."""

    def __len__(self) -> int:
        return len(self.zspage)

    def take(self, rows: NDArray[np.int64]) -> "Placed":
        """Return some of the operations, by their indices, shape (m,)."""
        return Placed(*(getattr(self, field.name)[rows] for field in fields(self)))

    def followed_by(self, other: "Placed") -> "Placed":
        """Return the operations of both."""
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return Placed(*(np.concatenate(pair) for pair in pairs))


class _Zspage:
    """One zspage: its free slots, the next one to give last, and its place in a fullness list."""

    __slots__ = ("after", "before", "class_index", "free", "group", "serial")

    def __init__(self, serial: int, class_index: int, free: list[int]) -> None:
        self.serial = serial
        self.class_index = class_index
        self.free = free
        self.group = _NO_LIST
        self.before: _Zspage | None = None
        self.after: _Zspage | None = None


class Placer:
    """zsmalloc's choices for one trace, kept from chunk to chunk."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        group = _GROUPS[geometry.name]
        # By class, then by number of free slots.
        self._group_of = [
            [_NO_LIST] + [group(c.objects - free, c.objects) for free in range(1, c.objects)]
            for c in geometry.classes
        ]
        self._fresh = [list(range(c.objects - 1, -1, -1)) for c in geometry.classes]
        # By class: the head of each group's list, and a bit for each list that has one.
        lists = 1 + max(0, *(group for groups in self._group_of for group in groups))
        self._heads: list[list[_Zspage | None]] = [[None] * lists for _ in geometry.classes]
        self._occupied = [0] * len(geometry.classes)
        # By object: for the sequential choice, and as arrays for everything else.
        self._home: list[_Zspage | None] = []
        self._home_slot: list[int] = []
        self._zspage_of = np.empty(0, np.int64)
        self._slot_of = np.empty(0, np.int32)
        self._class_of = np.empty(0, np.int32)  # -1: not alive
        self._operations = 0
        self._zspages = 0

    def place(
        self,
        operation: NDArray[np.uint8],
        object: NDArray[np.uint32],
        length: NDArray[np.uint32],
    ) -> Placed:
        """Return the places of the next operations of the trace, in their order.

        All three arrays have shape (n,): the operation (0 allocate, 1 free, 2 read, 3 write,
        4 update), the object's number (dense: memory is taken up to the highest) and the length in
        bytes, used only of an allocate. An object may be allocated again after its free.

        ZsemuError names the first operation, counted from 0 over all calls, that allocates a length
        which fits no size class or an object that is alive, or uses one that is not; nothing has
        been placed then.
        """
        operation = np.asarray(operation)
        objects = np.asarray(object).astype(np.int64)
        length = np.asarray(length)
        allocates = operation == _ALLOCATE
        self._grow(int(objects.max(initial=-1)) + 1)

        birth = _last_event(objects, operation <= _FREE)
        alive = np.where(birth >= 0, allocates[birth], self._class_of[objects] >= 0)
        self._check(operation, objects, length, alive)

        (events,) = np.nonzero(operation <= _FREE)
        (born,) = np.nonzero(allocates)
        class_index = np.full(len(operation), -1, np.int32)
        class_index[born] = self.geometry.class_index(length[born])
        serials, slots, opens, closes = self._choose(
            objects[events].tolist(), class_index[events].tolist()
        )

        zspage = np.empty(len(operation), np.int64)
        slot = np.empty(len(operation), np.int32)
        zspage[born], slot[born] = serials, slots
        columns = (zspage, slot, class_index)
        self._fill(columns, objects, birth, (np.flatnonzero(~allocates), events))
        self._class_of[objects[events]] = np.where(allocates[events], class_index[events], -1)
        self._operations += len(operation)

        where = self.geometry.locate(class_index, slot)
        return Placed(
            zspage,
            slot,
            where.page,
            where.offset,
            class_index,
            where.spans,
            _mark(len(operation), events[opens]),
            _mark(len(operation), events[closes]),
        )

    def _fill(
        self,
        columns: Sequence[NDArray[Any]],
        objects: NDArray[np.int64],
        birth: NDArray[np.int64],
        rows: tuple[NDArray[np.intp], NDArray[np.intp]],
    ) -> None:
        """Write the places of objects into the rows that do not allocate, and remember them.

        ``columns`` are zspage, slot and class of each operation, shape (n,), filled where it
        allocates; ``rows`` are those that do not, and those that allocate or free.
        """
        others, events = rows
        source = birth[others]
        every: Sequence[NDArray[Any]] = (self._zspage_of, self._slot_of, self._class_of)
        for column, known in zip(columns, every, strict=True):
            column[others] = np.where(source >= 0, column[source], known[objects[others]])
            # Of several events of one object the last one stays.
            known[objects[events]] = column[events]

    def _grow(self, objects: int) -> None:
        """Make room for object numbers below ``objects``."""
        missing = objects - len(self._home)
        if missing <= 0:
            return
        self._home.extend([None] * missing)
        self._home_slot.extend([0] * missing)
        if objects > len(self._class_of):
            room = np.full(
                max(objects, 2 * len(self._class_of)) - len(self._class_of), -1, np.int32
            )
            self._zspage_of = np.concatenate((self._zspage_of, room))
            self._slot_of = np.concatenate((self._slot_of, room))
            self._class_of = np.concatenate((self._class_of, room))

    def _check(
        self,
        operation: NDArray[np.uint8],
        objects: NDArray[np.int64],
        length: NDArray[np.uint32],
        alive: NDArray[np.bool_],
    ) -> None:
        allocates = operation == _ALLOCATE
        unfit = allocates & ~self.geometry.fits(length)
        (wrong,) = np.nonzero((allocates == alive) | unfit | (operation >= len(_NAMES)))
        if not wrong.size:
            return
        row = wrong[0]
        where = f"operation {self._operations + row}"
        if operation[row] >= len(_NAMES):
            raise ZsemuError(f"{where}: unknown code {operation[row]}; codes are 0 to 4")
        what = f"{where}: {_NAMES[operation[row]]} of object {objects[row]}"
        if unfit[row]:
            raise ZsemuError(
                f"{what} with {length[row]} bytes, which fit no size class of "
                f"{self.geometry.name}; the length of an object is 1 to {self.geometry.page_size}"
            )
        if allocates[row]:
            raise ZsemuError(f"{what}, which is alive; free it first")
        raise ZsemuError(f"{what}, which is not alive; allocate it first")

    def _choose(
        self, objects: list[int], classes: list[int]
    ) -> tuple[list[int], list[int], list[int], list[int]]:
        """Carry out allocates (class given) and frees (class -1) of the objects, in order.

        Return zspage and slot of each allocate, and the indices of those of all that created a
        zspage and that released one.
        """
        home, home_slot = self._home, self._home_slot
        heads, occupied, group_of, fresh = self._heads, self._occupied, self._group_of, self._fresh
        serials: list[int] = []
        slots: list[int] = []
        opens: list[int] = []
        closes: list[int] = []
        for index, (number, class_index) in enumerate(zip(objects, classes, strict=True)):
            if class_index >= 0:
                # With no list occupied this looks at the last of them, which is as empty as all.
                zspage = heads[class_index][occupied[class_index].bit_length() - 1]
                if zspage is None:
                    zspage = _Zspage(self._zspages, class_index, fresh[class_index].copy())
                    self._zspages += 1
                    opens.append(index)
                free = zspage.free
                slot = free.pop()
                home[number] = zspage
                home_slot[number] = slot
                serials.append(zspage.serial)
                slots.append(slot)
            else:
                zspage = home[number]
                assert zspage is not None  # _check has seen to it
                home[number] = None
                class_index = zspage.class_index
                free = zspage.free
                free.append(home_slot[number])
                if len(free) == len(fresh[class_index]):
                    closes.append(index)
                    self._move(zspage, _NO_LIST)
                    continue
            group = group_of[class_index][len(free)]
            if group != zspage.group:
                self._move(zspage, group)
        return serials, slots, opens, closes

    def _move(self, zspage: _Zspage, group: int) -> None:
        """Take a zspage off its list and put it on another."""
        heads = self._heads[zspage.class_index]
        if zspage.group != _NO_LIST:
            before, after = zspage.before, zspage.after
            if before is None:
                heads[zspage.group] = after
                if after is None:
                    self._occupied[zspage.class_index] ^= 1 << zspage.group
            else:
                before.after = after
            if after is not None:
                after.before = before
        zspage.group = group
        zspage.before = zspage.after = None
        if group == _NO_LIST:
            return
        head = heads[group]
        if head is None:
            self._occupied[zspage.class_index] |= 1 << group
        else:
            zspage.after = head
            head.before = zspage
        heads[group] = zspage


def _last_event(objects: NDArray[np.int64], event: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return for each row the last earlier row of the same object that is an event, or -1."""
    order = np.argsort(objects, kind="stable")
    position = np.arange(len(order))
    starts = np.ones(len(order), np.bool_)
    starts[1:] = objects[order[1:]] != objects[order[:-1]]
    run = np.maximum.accumulate(np.where(starts, position, 0))
    upto = np.maximum.accumulate(np.where(event[order], position, -1))
    before = np.roll(upto, 1)
    before[:1] = -1
    result = np.empty(len(order), np.int64)
    result[order] = np.where(before >= run, order[before], -1)
    return result


def _mark(count: int, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    marks = np.zeros(count, np.bool_)
    marks[rows] = True
    return marks
