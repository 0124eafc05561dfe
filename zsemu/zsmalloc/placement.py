# SPDX-License-Identifier: GPL-2.0-only
"""Place objects: choose the zspage and the slot that zsmalloc gives to every object of a trace.

All generations of zsmalloc choose as follows:

- The free slots of a zspage are a LIFO list, which the kernel threads through their first bytes. A
  new zspage gives its slots in the order 0, 1, 2 and so on; later the slot that was freed last is
  given first.
- The zspages of a class that are neither full nor empty are on lists, one for each fullness group.
  An allocation searches the lists from the fullest group to the emptiest, and takes the head of the
  first that is not empty. If all are empty, it makes a new zspage.
- A zspage moves to another list only when its group changes, and becomes the head of that list.
- When the last object of a zspage is freed, the zspage is freed too.

Only the fullness groups have changed over the years. In this model one CPU allocates at a time, and
there is no migration and no compaction. The lists and free slots are kept as in the kernel, so that
both can be added.

Kernels from 4.1 to 6.2 put a zspage that has fewer objects in use than the head of its new list
directly behind that head (4.4 puts it at the tail). That cannot happen by allocating and freeing
alone. A zspage falls into a group with as many objects in use as the group allows. It rises into a
group, or is new, only while the list of that group is empty. Compaction can bring it about, so
whoever adds compaction must add that rule.
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
"""Stands for the group of a zspage that is on no list: it is full, or has just been made."""


# Each of these functions returns the number of a zspage's fullness group, from its objects in use
# and its slots. The group with the highest number is searched first. They are called only for
# zspages that are neither empty nor full.


def _quarter(inuse: int, objects: int) -> int:
    return int(inuse > objects // 4)


def _three_quarters(inuse: int, objects: int) -> int:
    return int(inuse > 3 * objects // 4)


def _ratio(inuse: int, objects: int) -> int:
    return 100 * inuse // objects // 10 + 1


# The sources are get_fullness_group, insert_zspage and find_get_zspage, in these kernels:
# 2012: drivers/staging/zsmalloc/zsmalloc-main.c in 3.6, assumed for the whole of the staging time.
# chain-4: mm/zsmalloc.c, with three quarters since 4.1 added compaction.
# all others: "fine-grained inuse ratio based fullness grouping" (4c7ac97285d8) and "remove
# insert_zspage() ->inuse optimization". Both were merged after 6.3. That kernel has the longer
# chains but still groups as 6.2 does; here it is treated like its successors.
_GROUPS: dict[str, Callable[[int, int], int]] = {
    "2012": _quarter,
    "chain-4": _three_quarters,
}


@dataclass(frozen=True, eq=False)
class Placed:
    """Where each of n operations finds its object: arrays of shape (n,).

    The place of an allocate is the slot that it is given, that of a free the slot that it gives
    back, and that of a map the slot of its object.
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

    def take(self, rows: NDArray[np.int64] | slice) -> "Placed":
        """Return some of the operations, by their indices, shape (m,), or a slice."""
        return Placed(*(getattr(self, field.name)[rows] for field in fields(self)))

    def followed_by(self, other: "Placed") -> "Placed":
        """Return the operations of these places and then those of the others."""
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return Placed(*(np.concatenate(pair) for pair in pairs))


class _Zspage:
    """One zspage: its free slots, and its place in the list of its fullness group.

    The last element of ``free`` is the slot that is given next.
    """

    __slots__ = ("after", "before", "class_index", "free", "group", "serial")

    def __init__(self, serial: int, class_index: int, free: list[int]) -> None:
        self.serial = serial
        self.class_index = class_index
        self.free = free
        self.group = _NO_LIST
        self.before: _Zspage | None = None
        self.after: _Zspage | None = None


class Placer:
    """Makes zsmalloc's choices for one trace, which may come in several parts."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        group = _GROUPS.get(geometry.name, _ratio)
        # The group of a zspage, by class and by number of free slots.
        self._group_of = [
            [_NO_LIST] + [group(c.objects - free, c.objects) for free in range(1, c.objects)]
            for c in geometry.classes
        ]
        self._fresh = [list(range(c.objects - 1, -1, -1)) for c in geometry.classes]
        # By class: the head of each group's list, and a bit for each list that is not empty.
        lists = 1 + max(0, *(group for groups in self._group_of for group in groups))
        self._heads: list[list[_Zspage | None]] = [[None] * lists for _ in geometry.classes]
        self._occupied = [0] * len(geometry.classes)
        # By object: lists for the choices one by one, and arrays for everything else.
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

        All three arrays have shape (n,). ``operation`` is 0 for allocate, 1 for free, 2 for read, 3
        for write and 4 for update. ``object`` is the object's number; the numbers should be dense,
        as memory is taken up to the highest. An object may be allocated again after its free.
        ``length`` is in bytes; only that of an allocate is used.

        ZsemuError names the first operation, counted from 0 over all calls, that is wrong: one that
        allocates a length which fits no size class, allocates an object that is alive, or uses one
        that is not. In that case nothing has been placed.
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
        """Write the places of objects into the rows that do not allocate, and keep them.

        ``columns`` are the zspage, slot and class of each operation, shape (n,), already filled in
        the rows that allocate. ``birth`` is the row of this part that allocates each operation's
        object, or -1. ``rows`` are two arrays: the rows that do not allocate, and the rows that
        allocate or free.
        """
        others, events = rows
        source = birth[others]
        every: Sequence[NDArray[Any]] = (self._zspage_of, self._slot_of, self._class_of)
        for column, known in zip(columns, every, strict=True):
            column[others] = np.where(source >= 0, column[source], known[objects[others]])
            # If an object has several such rows, the last one stays.
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
        """Raise ZsemuError for the first operation that is wrong; see :meth:`place`."""
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
        """Allocate and free the objects, in order; a class of -1 stands for a free.

        Return four lists: the zspage and the slot of each allocate, the indices of the operations
        that created a zspage, and the indices of those that released one.
        """
        home, home_slot = self._home, self._home_slot
        heads, occupied, group_of, fresh = self._heads, self._occupied, self._group_of, self._fresh
        serials: list[int] = []
        slots: list[int] = []
        opens: list[int] = []
        closes: list[int] = []
        for index, (number, class_index) in enumerate(zip(objects, classes, strict=True)):
            if class_index >= 0:
                # If no list is occupied, the index is -1: the last list, which is empty as well.
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
                assert zspage is not None  # as _check refuses a free of an object not alive
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
        """Take a zspage off its list, and make it the head of the list of its new group."""
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
    """Return for each row the last row before it that is an event of the same object, or -1."""
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
    """Return an array of shape (count,) that is true in the given rows."""
    marks = np.zeros(count, np.bool_)
    marks[rows] = True
    return marks
