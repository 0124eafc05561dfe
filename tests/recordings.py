# SPDX-License-Identifier: GPL-2.0-only
"""Recordings made up by hand, as ftrace prints them, and their import."""

from pathlib import Path

from zsemu.traces.file import load, save
from zsemu.traces.import_report import Report
from zsemu.traces.importer import import_text
from zsemu.traces.trace import COLUMNS, Trace

ALLOCATE, FREE, READ, WRITE, UPDATE = range(5)
Row = tuple[int, int, int, int, float, float]
"""Operation, object, length, CPU, begin and end in microseconds."""

RW, RO, WO = 0, 1, 2
"""The modes of zs_map_object, as enum zs_mapmode has them."""


def event(us: float, name: str, arguments: str = "", cpu: int = 0, tid: int = 7) -> str:
    """Return the line of one event, at so many microseconds."""
    return f"  task-{tid}  [{cpu:03}] ...1. {us / 1e6:.6f}: {name}: ({name}+0x0/0x10) {arguments}\n"


def malloc(us: float, handle: int, size: int, cpu: int = 0, tid: int = 7) -> str:
    """Return the lines of an allocation: the call, and the return of a handle."""
    return event(us, "zs_malloc", f"size={size}", cpu, tid) + event(
        us, "zs_malloc_ret", f"handle={handle:#x}", cpu, tid
    )


def free(us: float, handle: int, cpu: int = 0, tid: int = 7) -> str:
    """Return the line of a free."""
    return event(us, "zs_free", f"handle={handle:#x}", cpu, tid)


def begin(us: float, handle: int, mode: int, cpu: int = 0, tid: int = 7) -> str:
    """Return the line of a map."""
    return event(us, "zs_map_object", f"handle={handle:#x} mode={mode}", cpu, tid)


def end(us: float, handle: int, cpu: int = 0, tid: int = 7) -> str:
    """Return the line of an unmap."""
    return event(us, "zs_unmap_object", f"handle={handle:#x}", cpu, tid)


def use(us: float, handle: int, mode: int, cpu: int = 0, tid: int = 7) -> str:
    """Return the lines of a map and, a microsecond later, its unmap."""
    return begin(us, handle, mode, cpu, tid) + end(us + 1, handle, cpu, tid)


ONE = malloc(1, 8, 100) + use(2, 8, WO)
ONE_ROWS: list[Row] = [(ALLOCATE, 0, 100, 0, 1, 1), (WRITE, 0, 100, 0, 2, 3)]
"""One object, allocated and written, and the operations of it."""


def rows(trace: Trace) -> list[Row]:
    """Return the operations of a trace."""
    columns = [getattr(trace, name).tolist() for name in COLUMNS]
    return [
        (operation, number, length, cpu, begin / 1000, end / 1000)
        for operation, number, length, cpu, begin, end in zip(*columns, strict=True)
    ]


def import_string(folder: Path, text: str) -> tuple[Trace, Report]:
    """Import a text, and see that what comes of it can be saved and loaded."""
    path = folder / "recording.txt"
    path.write_text(text)
    trace, report = import_text(path)
    save(trace, folder / "recording.npz")
    assert rows(load(folder / "recording.npz")) == rows(trace)
    return trace, report
