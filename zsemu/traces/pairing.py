# SPDX-License-Identifier: GPL-2.0-only
"""Pair the events of a recording, so that each allocation and each map is one step.

The event of ``zs_malloc`` and that of its return are paired by task; the events of map and unmap by
task and handle. No pair is formed across a place where the kernel lost events.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.traces.events import Events, Ints
from zsemu.traces.import_report import Entries
from zsemu.traces.operation import Operation
from zsemu.traces.probes import PROBES, Role

Bools = NDArray[np.bool_]

_MODES = (Operation.UPDATE, Operation.READ, Operation.WRITE)
"""What a map does, by the number of its mode: enum zs_mapmode has RW, RO, WO."""


@dataclass(frozen=True)
class Steps:
    """What happens to handles: columns of shape (n,), in order of time."""

    operation: Ints
    """As in :class:`Operation`."""
    handle: NDArray[np.uint64]
    """The kernel's handle; behind objects.py the serial number of an object."""
    cpu: Ints
    begin: Ints
    """Nanoseconds at the return of zs_malloc, at the map or at the free."""
    end: Ints
    """Nanoseconds at the unmap; else equal to ``begin``."""
    length: Ints
    """Bytes: of an allocation those asked for, of a map its mem_len; 0 if unknown."""
    line: Ints
    """Line of the event in the recording, counted from 1."""
    position: Ints
    """Four times the step's place in the order, so that others can be put directly before it (-2,
    -1) and behind it (+1)."""

    def take(self, index: Ints) -> "Steps":
        """Return some of the steps, by their indices, shape (m,)."""
        return Steps(**{name: values[index] for name, values in vars(self).items()})


def _pairs(opens: Bools, *keys: NDArray[np.generic]) -> tuple[Ints, Ints]:
    """Pair each opening event with the next event of equal keys, if that closes.

    All arrays have shape (n,) and are in order of time. The indices of the openings and of their
    closings are returned, both of shape (pairs,), in order of the openings.
    """
    order = np.lexsort(keys)
    same = np.ones(max(len(order) - 1, 0), np.bool_)
    for key in keys:
        same &= key[order[1:]] == key[order[:-1]]
    (at,) = np.nonzero(same & opens[order[:-1]] & ~opens[order[1:]])
    first, second = order[at], order[at + 1]
    by_time = np.argsort(first)
    return first[by_time], second[by_time]


def _rest(count: int, used: Ints) -> Ints:
    """Return the numbers below ``count`` that are not in ``used``, ascending."""
    unused = np.ones(count, np.bool_)
    unused[used] = False
    return np.flatnonzero(unused)


def _allocations(events: Events, entries: Entries) -> tuple[Ints, Ints]:
    """Return which events are returns of zs_malloc with a handle, and the sizes it was asked for.

    Both have shape (allocations,). A size is 0 if the event of the call is missing.
    """
    (mallocs,) = np.nonzero(events.role <= Role.MALLOC_RETURN)
    part = events.take(mallocs)
    entry, back = _pairs(part.role == Role.MALLOC, part.tid, part.gap)
    handle = part.first
    # A zs_malloc that fails returns NULL up to 5.19, later an error pointer: one of the last 4095
    # addresses, of 32 bits or of 64.
    error = (handle >= 2**64 - 4095) | (handle >= 2**32 - 4095) & (handle < 2**32)
    failed = (part.role == Role.MALLOC_RETURN) & ((handle == 0) | error)
    entries.add("dropped", "zs_malloc that failed", part.line[failed])
    size = np.zeros(len(part.line), np.int64)
    # objects.py refuses a size that is larger than a page; here it must only fit the column.
    size[back] = np.minimum(part.first[entry], np.uint64(2**62)).astype(np.int64)
    lone = _rest(len(part.line), np.concatenate([entry, back]))
    begun = lone[part.role[lone] == Role.MALLOC]
    entries.add("dropped", "zs_malloc that did not return", part.line[begun])
    (given,) = np.nonzero((part.role == Role.MALLOC_RETURN) & ~failed)
    return mallocs[given], size[given]


def _maps(events: Events, entries: Entries) -> tuple[Ints, Ints]:
    """Return which events begin a map and which end it, both of shape (maps,)."""
    (ends,) = np.nonzero((events.role == Role.BEGIN) | (events.role == Role.END))
    part = events.take(ends)
    begin, end = _pairs(part.role == Role.BEGIN, part.first, part.tid, part.gap)
    lone = _rest(len(ends), np.concatenate([begin, end]))
    opened = part.role[lone] == Role.BEGIN
    entries.add("dropped", "map that does not end", part.line[lone[opened]])
    entries.add("dropped", "unmap without its map", part.line[lone[~opened]])

    (writes,) = np.nonzero(events.role == Role.WRITE)
    (both,) = np.nonzero((events.role == Role.WRITE) | (events.role == Role.WRITE_RETURN))
    part = events.take(both)
    call, back = _pairs(part.role == Role.WRITE, part.tid, part.gap)
    # A write whose return was not recorded ends when it begins.
    over = np.arange(len(events))
    over[both[call]] = both[back]
    return np.concatenate([ends[begin], writes]), np.concatenate([ends[end], over[writes]])


def pair(events: Events, path: Path, entries: Entries) -> Steps:
    """Pair the events, and return what happens to handles.

    ``events`` are in order of time. Events that find no partner go into ``entries``. ZsemuError
    names the line of a map whose mode the kernel does not know.
    """
    given, size = _allocations(events, entries)
    begin, end = _maps(events, entries)
    (frees,) = np.nonzero(events.role == Role.FREE)

    has_mode = np.array(["mode" in dict(probe.arguments) for probe in PROBES])[events.probe]
    (unknown,) = np.nonzero(has_mode & (events.second >= len(_MODES)))
    if len(unknown):
        raise ZsemuError(
            f"{path}:{events.line[unknown].min()}: expected mode 0 (RW), 1 (RO) or 2 (WO), "
            f"not {events.second[unknown[np.argmin(events.line[unknown])]]}"
        )
    mode = np.array(_MODES)[np.where(has_mode, events.second, np.uint64(0)).astype(np.int64)]
    new = np.where(events.role == Role.WRITE, Operation.WRITE, Operation.READ)
    kind = np.where(has_mode, mode, new)
    used = np.where(has_mode, np.uint64(0), np.minimum(events.second, np.uint64(2**62)))

    index = np.concatenate([given, begin, frees])
    over = np.concatenate([given, end, frees])
    operation = np.concatenate(
        [np.full(len(given), Operation.ALLOCATE), kind[begin], np.full(len(frees), Operation.FREE)]
    )
    length = np.concatenate([size, used[begin].astype(np.int64), np.zeros(len(frees), np.int64)])
    order = np.argsort(index)
    index, over = index[order], over[order]
    return Steps(
        operation[order],
        events.first[index],
        events.cpu[index],
        events.time[index],
        np.maximum(events.time[over], events.time[index]),
        length[order],
        events.line[index],
        4 * np.arange(len(index)),
    )
