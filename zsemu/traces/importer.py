# SPDX-License-Identifier: GPL-2.0-only
"""Importing: from the text of an ftrace recording to a trace.

:mod:`zsemu.traces.events` reads the text. The events are put in order in four steps:

1. They are sorted by time. Those of one CPU are in order already; ``trace_pipe`` prints an event
   late when it found its CPU's buffer empty a moment before.
2. ``zs_malloc`` and its return are paired by task, map and unmap by task and handle. No pair
   reaches across lost events.
3. Where two CPUs' clocks leave the order of a handle's events open (equal times, or clocks apart by
   up to :data:`WINDOW`), an order in which the handle exists is chosen: a map waits for its
   allocation (a read for the first write after it too), or goes before the free that it follows; a
   free goes before the allocation that returned its handle again.
4. Every handle's events are cut into objects, each from its allocation to its free. An object of
   unknown length is dropped with all that is done to it; the length is known from ``zs_malloc``, or
   else is the greatest ``mem_len`` seen.
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.traces.events import PROBES, Events, Ints, Role, read
from zsemu.traces.operation import Operation
from zsemu.traces.trace import Metadata, Trace
from zsemu.zsmalloc.geometry import NAMES, PAGE_SIZES

Bools = NDArray[np.bool_]

WINDOW: Final = 10_000_000
"""Nanoseconds by which two CPUs' clocks may differ: a tick at 100 Hz. ftrace's default clock
("local") is not in sync across CPUs."""

_MODES = (Operation.UPDATE, Operation.READ, Operation.WRITE)
"""By enum zs_mapmode: RW, RO, WO."""

_SHOWN = 5
"""Line numbers that the report keeps of each kind."""


@dataclass(frozen=True)
class Entry:
    """One kind of thing that the importer mended, dropped or passed over."""

    how: str
    """mended, dropped or skipped"""
    what: str
    count: int
    lines: tuple[int, ...]
    """The first few lines of the recording where it happened, counted from 1."""

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.lines) else ""
        where = f" (line {', '.join(map(str, self.lines))}{more})" if self.lines else ""
        return f"{self.how} {self.count}: {self.what}{where}"


@dataclass(frozen=True)
class Report:
    """What the importer found and did.

    ``pairs`` is always ``imported`` plus the pairs named in entries as dropped.
    """

    lines: int
    """Lines of the recording."""
    events: int
    """Those that are events of zsmalloc."""
    pairs: int
    """Pairs of map and unmap in the recording; a zs_obj_write counts as one."""
    imported: int
    """Those of them that are in the trace."""
    entries: tuple[Entry, ...]

    def notes(self) -> tuple[str, ...]:
        """Return the report as lines of text, for :class:`zsemu.trace.Metadata`."""
        return (
            f"{self.lines} lines, {self.events} events, {self.pairs} map/unmap pairs, "
            f"{self.imported} imported",
            *map(str, self.entries),
        )


@dataclass
class _Entries:
    """The report's entries as they are found."""

    found: list[Entry] = field(default_factory=list)

    def add(self, how: str, what: str, lines: Ints | list[int]) -> None:
        if len(lines):
            first = tuple(sorted(int(line) for line in lines)[:_SHOWN])
            self.found.append(Entry(how, what, len(lines), first))


def _pairs(opens: Bools, *keys: NDArray[np.generic]) -> tuple[Ints, Ints]:
    """Pair each opening event with the next event of equal keys, if that closes.

    All arrays have shape (n,), in order of time; returned are the indices of openings and of their
    closings, both of shape (pairs,), in order of the openings.
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
    """Return the numbers below count that are not in used."""
    unused = np.ones(count, np.bool_)
    unused[used] = False
    return np.flatnonzero(unused)


@dataclass(frozen=True)
class _Steps:
    """What happens to handles: columns of shape (n,), in order of time."""

    operation: Ints
    handle: NDArray[np.uint64]
    cpu: Ints
    begin: Ints
    end: Ints
    length: Ints
    """asked for on allocate, else mem_len; 0 if unknown"""
    line: Ints
    position: Ints
    """four times the place in the order; what is put before or behind takes a place between"""

    def take(self, index: Ints) -> "_Steps":
        return _Steps(**{name: values[index] for name, values in vars(self).items()})


def _allocations(events: Events, entries: _Entries) -> tuple[Ints, Ints]:
    """Return the returns of zs_malloc that gave a handle, and the sizes asked for (0: unknown)."""
    (mallocs,) = np.nonzero(events.role <= Role.MALLOC_RETURN)
    part = events.take(mallocs)
    entry, back = _pairs(part.role == Role.MALLOC, part.tid, part.gap)
    handle = part.first
    # NULL up to 5.19, then error pointers: the last 4095 addresses, of 32 bits or of 64.
    error = (handle >= 2**64 - 4095) | (handle >= 2**32 - 4095) & (handle < 2**32)
    failed = (part.role == Role.MALLOC_RETURN) & ((handle == 0) | error)
    entries.add("dropped", "zs_malloc that failed", part.line[failed])
    size = np.zeros(len(part.line), np.int64)
    # A size beyond any page is refused later; here it must only fit.
    size[back] = np.minimum(part.first[entry], np.uint64(2**62)).astype(np.int64)
    lone = _rest(len(part.line), np.concatenate([entry, back]))
    begun = lone[part.role[lone] == Role.MALLOC]
    entries.add("dropped", "zs_malloc that did not return", part.line[begun])
    (given,) = np.nonzero((part.role == Role.MALLOC_RETURN) & ~failed)
    return mallocs[given], size[given]


def _maps(events: Events, entries: _Entries) -> tuple[Ints, Ints]:
    """Return the events that begin a map, and those that end it."""
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


def _steps(events: Events, path: Path, entries: _Entries) -> _Steps:
    """Pair the events and return what happens to handles."""
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
    return _Steps(
        operation[order],
        events.first[index],
        events.cpu[index],
        events.time[index],
        np.maximum(events.time[over], events.time[index]),
        length[order],
        events.line[index],
        4 * np.arange(len(index)),
    )


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


def _starts(handle: NDArray[np.uint64]) -> Bools:
    starts = np.ones(len(handle), np.bool_)
    starts[1:] = handle[1:] != handle[:-1]
    return starts


def _by_handle(steps: _Steps) -> _Steps:
    return steps.take(np.lexsort((steps.line, steps.position, steps.handle)))


def _causal(steps: _Steps, entries: _Entries) -> _Steps:
    """Choose among orders that the clocks leave open one in which handles exist when used."""
    steps = _by_handle(steps)
    operation, starts = steps.operation, _starts(steps.handle)
    allocates, frees = operation == Operation.ALLOCATE, operation == Operation.FREE
    maps = ~(allocates | frees)
    before, after = _previous(~maps, starts), _next(~maps, starts)
    moved, begin = steps.position.copy(), steps.begin.copy()

    def close(rows: Ints, others: Ints) -> Bools:
        apart: Bools = steps.cpu[rows] != steps.cpu[others]
        near: Bools = np.abs(steps.begin[rows] - steps.begin[others]) <= WINDOW
        return apart & near

    # zs_malloc_ret, zs_malloc_ret, zs_free of one handle: the free is the first one's if the handle
    # is used afterwards, or never seen again.
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
    # Maps that lie in the life of no object.
    lost = maps & ~((before >= 0) & (allocates[before] | late[before]))

    (rows,) = np.nonzero(lost & (after >= 0))
    rows = rows[allocates[after[rows]] & close(rows, after[rows])]
    lost[rows] = False
    target = after[rows]
    written = (operation == Operation.WRITE) | (operation == Operation.UPDATE)
    first = _next(written, starts)[target]
    wait = (operation[rows] == Operation.READ) & (first >= 0)
    wait[wait] = after[first[wait]] == after[target[wait]]
    wait[wait] = np.abs(begin[first[wait]] - begin[rows[wait]]) <= WINDOW
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


def _objects(steps: _Steps, page_size: int, path: Path, entries: _Entries) -> _Steps:
    """Cut each handle's steps into objects; drop what is unknown, add what is missing.

    The ``handle`` of what is returned is the serial number of an object.
    """
    operation = steps.operation
    allocates, frees = operation == Operation.ALLOCATE, operation == Operation.FREE
    first_of_handle = _starts(steps.handle)
    starts = first_of_handle | allocates
    starts[1:] |= frees[:-1]
    object_ = np.cumsum(starts) - 1
    (first,) = np.nonzero(starts)
    last = np.append(first[1:], len(starts)) - 1

    asked = np.where(allocates[first], steps.length[first], 0)
    longest = np.maximum.reduceat(np.where(allocates, 0, steps.length), first)
    whole = np.where(asked > 0, asked, longest)
    (long,) = np.nonzero(whole > page_size)
    if len(long):
        rows = first[long]
        at = int(np.argmin(steps.line[rows]))
        raise ZsemuError(
            f"{path}:{steps.line[rows[at]]}: an object of {whole[long[at]]} bytes is larger than "
            f"a page of {page_size}; give the page size of the recording kernel with --page-size"
        )

    known = (whole > 0)[object_]
    maps = ~(allocates | frees)
    unasked = allocates[first] & (asked == 0)
    entries.add(
        "dropped", "zs_malloc_ret without its zs_malloc", steps.line[first[unasked & (whole == 0)]]
    )
    entries.add(
        "mended",
        "zs_malloc_ret without its zs_malloc, length taken from mem_len",
        steps.line[first[unasked & (whole > 0)]],
    )
    what = "an object of unknown length, allocated before the recording or in lost events"
    entries.add("dropped", f"map/unmap pair of {what}", steps.line[maps & ~known])
    entries.add("dropped", f"zs_free of {what}", steps.line[frees & ~known])
    over = maps & known & (steps.length > whole[object_])
    entries.add("dropped", "map/unmap pair longer than its object", steps.line[over])

    (found,) = np.nonzero((whole > 0) & ~allocates[first])
    added = steps.take(first[found])
    entries.add(
        "mended",
        "allocation before the recording or in lost events, length taken from mem_len",
        added.line,
    )
    born = replace(
        added,
        operation=np.full(len(found), Operation.ALLOCATE),
        handle=found.astype(np.uint64),
        end=added.begin,
        position=added.position - 1,
    )
    follows = np.append(~first_of_handle[first[1:]], False)
    (lost,) = np.nonzero((whole > 0) & follows & ~frees[last])
    added = steps.take(first[(lost + 1) % len(first)])
    entries.add("mended", "handle returned again, its zs_free is missing", added.line)
    died = replace(
        added,
        operation=np.full(len(lost), Operation.FREE),
        handle=lost.astype(np.uint64),
        end=added.begin,
        position=added.position - 1,
    )

    (kept,) = np.nonzero(known & ~over)
    parts = [replace(steps.take(kept), handle=object_[kept].astype(np.uint64)), born, died]
    steps = _Steps(
        **{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(steps)}
    )
    length = whole[steps.handle.astype(np.int64)]
    short = (steps.operation >= Operation.READ) & (steps.length > 0)
    steps = replace(steps, length=np.where(short, steps.length, length))
    return steps.take(np.lexsort((steps.line, steps.position)))


def _sorted(events: Events, path: Path, entries: _Entries) -> Events:
    """Return the events in order of time."""
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


def _geometry(kernel: str, names: set[str]) -> str:
    """Return the geometry of a kernel in its default configuration."""
    if version := re.match(r"(\d+)\.(\d+)", kernel):
        release = int(version[1]), int(version[2])
        if release < (4, 1):
            return "2012"
        return "chain-4" if release < (6, 3) else "chain-8"
    return "chain-4" if "zs_map_object" in names else "chain-8"


def import_text(
    path: str | Path,
    *,
    kernel: str | None = None,
    geometry: str | None = None,
    page_size: int | None = None,
    provenance: str = "",
) -> tuple[Trace, Report]:
    """Return the trace in the text of a recording, and what was mended and dropped.

    Kernel and page size are those of the recording's own header line if they are not given, else
    "unknown" and 4096; the geometry is that of the kernel with its default configuration, and
    without a version what it is for the API that occurs. ZsemuError names file and line of what
    cannot be read.
    """
    path = Path(path)
    if geometry is not None and geometry not in NAMES:
        raise ZsemuError(f"unknown geometry {geometry!r}; use one of {', '.join(NAMES)}")
    recording, events = read(path)
    entries = _Entries()
    events = _sorted(events, path, entries)
    entries.add("dropped", "line cut off at the end of the file", recording.cut)
    lost = f"report of lost events, {recording.lost_events} in all"
    entries.add("skipped", lost, recording.lost)
    entries.add("skipped", "event of something else", recording.other)

    names = {PROBES[probe].name for probe in np.unique(events.probe)}
    kernel = kernel or recording.header.get("kernel", "unknown")
    noted = page_size or recording.header.get("page_size", "4096")
    if str(noted) not in map(str, PAGE_SIZES):
        raise ZsemuError(
            f"{path}: page size {noted} is not one of {', '.join(map(str, PAGE_SIZES))}; "
            "give --page-size"
        )
    page_size = int(noted)

    steps = _steps(events, path, entries)
    pairs = int(np.count_nonzero(steps.operation >= Operation.READ))
    if len(steps.line):
        steps = _objects(_causal(steps, entries), page_size, path, entries)
    if not len(steps.line):
        raise ZsemuError(
            f"{path}: no object in it is of known length; begin to record before zram or zswap is "
            "set up"
        )

    allocates = steps.operation == Operation.ALLOCATE
    number = np.empty(int(steps.handle.max()) + 1, np.int64)
    number[steps.handle[allocates].astype(np.int64)] = np.arange(np.count_nonzero(allocates))
    report = Report(
        lines=recording.lines,
        events=len(events),
        pairs=pairs,
        imported=int(np.count_nonzero(steps.operation >= Operation.READ)),
        entries=tuple(entries.found),
    )
    trace = Trace(
        path.name.split(".")[0],
        Metadata(
            kernel,
            geometry or _geometry(kernel, names),
            page_size,
            provenance,
            report.notes(),
        ),
        steps.operation.astype(np.uint8),
        number[steps.handle.astype(np.int64)].astype(np.uint32),
        steps.length.astype(np.uint32),
        steps.cpu.astype(np.uint16),
        steps.begin,
        steps.end,
    )
    return trace, report
