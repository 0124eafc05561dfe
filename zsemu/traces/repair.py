# SPDX-License-Identifier: GPL-2.0-only
"""Put the events of several CPUs in an order that can have happened.

1. :func:`by_time` sorts the events by their times. The events of one CPU are in order already. The
   text may hold an event of one CPU behind a later one of another: ``trace_pipe`` prints it late if
   it found that CPU's buffer empty a moment before.
2. :func:`by_cause` repairs what the times leave wrong. The clocks of two CPUs may differ by up to
   :data:`WINDOW`, so that a handle seems to be used before it is allocated or after it is freed.
   Then the steps are moved: a map to behind the allocation of its handle (a read to behind the
   first write after it), or to before the free that it follows; a free to before the allocation
   that returned its handle again. The trace clocks that do not count nanoseconds are the same on
   all CPUs, and leave the order open only where times are equal.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.traces.events import Events, Ints
from zsemu.traces.import_report import Entries
from zsemu.traces.operation import Operation
from zsemu.traces.pairing import Bools, Steps

WINDOW: Final = 10_000_000
"""Nanoseconds by which the clocks of two CPUs may differ: a tick at 100 Hz. ftrace's default clock
("local") is not synchronous across CPUs."""


def by_time(events: Events, path: Path, entries: Entries) -> Events:
    """Return the events in order of time; ZsemuError if the time goes back on one CPU."""
    by_cpu = np.argsort(events.cpu, kind="stable")
    cpu, time = events.cpu[by_cpu], events.time[by_cpu]
    (back,) = np.nonzero((cpu[1:] == cpu[:-1]) & (time[1:] < time[:-1]))
    if len(back):
        raise ZsemuError(
            f"{path}:{events.line[by_cpu[back + 1]].min()}: the time goes back on one CPU; these "
            "are two recordings in one file, import each by itself"
        )
    late = events.time < np.maximum.accumulate(events.time)
    entries.add("mended", "event printed after a later one of another CPU", events.line[late])
    return events.take(np.argsort(events.time, kind="stable"))


def _next(marked: Bools, starts: Bools) -> Ints:
    """Return for each row the next marked one behind it before the next start, or -1."""
    row = np.arange(len(marked))
    group = np.cumsum(starts)
    ahead = np.minimum.accumulate(np.where(marked, row, len(row))[::-1])[::-1]
    after = np.append(ahead[1:], len(row))
    inside = after < len(row)
    inside[inside] = group[after[inside]] == group[row[inside]]
    return np.where(inside, after, -1)


def _previous(marked: Bools, starts: Bools) -> Ints:
    """Return for each row the last marked one before it since the last start, or -1."""
    after = _next(marked[::-1], np.append(starts[1:], True)[::-1])[::-1]
    return np.where(after >= 0, len(marked) - 1 - after, -1)


def first_of_handle(handle: NDArray[np.uint64]) -> Bools:
    """Return which rows are the first of their handle, shape (n,); rows are sorted by handle."""
    starts = np.ones(len(handle), np.bool_)
    starts[1:] = handle[1:] != handle[:-1]
    return starts


def _by_handle(steps: Steps) -> Steps:
    """Return the steps sorted by handle, those of one handle in their order."""
    return steps.take(np.lexsort((steps.line, steps.position, steps.handle)))


def by_cause(steps: Steps, window: int, entries: Entries) -> Steps:
    """Move steps, within what the clocks leave open, so that every handle exists when it is used.

    ``window`` is by how much the clocks of two CPUs may differ. The steps are returned sorted by
    handle, those of one handle in their repaired order.
    """
    steps = _by_handle(steps)
    operation, starts = steps.operation, first_of_handle(steps.handle)
    allocates, frees = operation == Operation.ALLOCATE, operation == Operation.FREE
    maps = ~(allocates | frees)
    before, after = _previous(~maps, starts), _next(~maps, starts)
    moved, begin = steps.position.copy(), steps.begin.copy()

    def close(rows: Ints, others: Ints) -> Bools:
        """Return whether the clocks leave open which of two steps came first."""
        apart: Bools = steps.cpu[rows] != steps.cpu[others]
        near: Bools = np.abs(steps.begin[rows] - steps.begin[others]) <= window
        return apart & near

    # Where a handle has the events zs_malloc_ret, zs_malloc_ret, zs_free, the free belongs to the
    # first allocation, unless the next event of the handle is one more allocation.
    (rows,) = np.nonzero(allocates & (before >= 0) & allocates[before] & (after >= 0))
    rows = rows[frees[after[rows]] & close(rows, after[rows])]
    behind = after[rows] + 1
    again = behind < len(starts)
    again[again] = ~starts[behind[again]] & allocates[behind[again]]
    rows = rows[~again]
    target = after[rows]
    moved[target], begin[target] = steps.position[rows] - 1, steps.begin[rows]
    entries.add("mended", "zs_free after its handle was returned again", steps.line[target])
    late = np.zeros(len(maps), np.bool_)
    late[target] = True
    # Which maps lie in the life of no object.
    lost = maps & ~((before >= 0) & (allocates[before] | late[before]))

    (rows,) = np.nonzero(lost & (after >= 0))
    rows = rows[allocates[after[rows]] & close(rows, after[rows])]
    lost[rows] = False
    target = after[rows]
    written = (operation == Operation.WRITE) | (operation == Operation.UPDATE)
    first = _next(written, starts)[target]
    wait = (operation[rows] == Operation.READ) & (first >= 0)
    wait[wait] = after[first[wait]] == after[target[wait]]
    wait[wait] = np.abs(begin[first[wait]] - begin[rows[wait]]) <= window
    target = np.where(wait, first, target)
    moved[rows], begin[rows] = steps.position[target] + 1, steps.begin[target]
    entries.add("mended", "map before the zs_malloc_ret of its handle", steps.line[rows])

    (rows,) = np.nonzero(lost & (before >= 0))
    rows = rows[close(rows, before[rows])]
    target = before[rows]
    moved[rows], begin[rows] = steps.position[target] - 2, steps.begin[target]
    entries.add("mended", "map after the zs_free of its handle", steps.line[rows])

    end = np.where(maps, np.maximum(begin, steps.end), begin)
    return _by_handle(replace(steps, position=moved, begin=begin, end=end))
