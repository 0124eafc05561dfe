# SPDX-License-Identifier: GPL-2.0-only
"""Import the text of a recording as a trace.

The steps, each in a module of its own: text_blocks.py reads the text; event_lines.py makes columns
of its lines; repair.py sorts the events by time; pairing.py pairs them; repair.py puts the pairs in
an order that can have happened; objects.py cuts them into objects. import_report.py keeps what was
mended and dropped.
"""

import re
from pathlib import Path

import numpy as np

from zsemu.errors import ZsemuError
from zsemu.traces import objects, repair
from zsemu.traces.events import Recording
from zsemu.traces.import_report import Entries, Report
from zsemu.traces.operation import Operation
from zsemu.traces.pairing import Steps, pair
from zsemu.traces.probes import PROBES
from zsemu.traces.recording import read
from zsemu.traces.trace import Metadata, Trace
from zsemu.zsmalloc.geometry import NAMES, PAGE_SIZES


def import_text(
    path: str | Path,
    *,
    kernel: str | None = None,
    geometry: str | None = None,
    page_size: int | None = None,
    provenance: str = "",
) -> tuple[Trace, Report]:
    """Return the trace in the text of a recording, and what was mended and dropped.

    The path may be that of a file in gzip's, xz's or zstd's format, or "-" for standard input.
    Where the kernel and the page size are not given, they are taken from the header line that the
    recorder wrote; a recording without one is of an "unknown" kernel with pages of 4096 bytes.
    Where the geometry is not given, it is that of the kernel's version, and from 6.3 on that of the
    chain size that the header notes, or of the default. If the version is unknown, the functions
    that were recorded decide: zs_map_object means chain-4, any other chain-8. ZsemuError names the
    file and line of what cannot be read.
    """
    path = Path(path)
    if geometry is not None and geometry not in NAMES:
        raise ZsemuError(f"unknown geometry {geometry!r}; use one of {', '.join(NAMES)}")
    recording, events = read(path)
    entries = Entries()
    events = repair.by_time(events, path, entries)
    entries.add("dropped", "line cut off at the end of the file", recording.cut)
    lost = f"report of lost events, {recording.lost_events} in all"
    entries.add("skipped", lost, recording.lost)
    if (due := recording.header.get("events")) is not None and due != str(len(events)):
        what = f"count of {due} events, of which the recording lacks some"
        entries.add("skipped", what, [recording.header_line])
    entries.add("skipped", "event of something else", recording.other)
    if not recording.in_nanoseconds:
        entries.add("kept", "time of a clock whose unit the recording does not tell", events.line)
    names = {PROBES[probe].name for probe in np.unique(events.probe)}
    kernel = kernel or recording.header.get("kernel", "unknown")
    page_size = _page_size(page_size, recording, path)

    steps = pair(events, path, entries)
    pairs = _maps(steps)
    if len(steps.line):
        window = repair.WINDOW if recording.in_nanoseconds else 0
        steps = objects.cut(repair.by_cause(steps, window, entries), page_size, path, entries)
    if not len(steps.line):
        raise ZsemuError(
            f"{path}: no object in it is of known length; begin to record before zram or zswap is "
            "set up"
        )
    report = Report(
        lines=recording.lines,
        events=len(events),
        pairs=pairs,
        imported=_maps(steps),
        entries=tuple(entries.found),
    )
    geometry = geometry or _geometry(kernel, recording, names)
    metadata = Metadata(kernel, geometry, page_size, provenance, report.notes())
    return _trace(path.name.split(".")[0], metadata, steps), report


def _page_size(given: int | None, recording: Recording, path: Path) -> int:
    """Return the page size that is given or that the recording notes, or 4096."""
    noted = given or recording.header.get("page_size", "4096")
    if str(noted) not in map(str, PAGE_SIZES):
        raise ZsemuError(
            f"{path}: page size {noted} is not one of {', '.join(map(str, PAGE_SIZES))}; "
            "give --page-size"
        )
    return int(noted)


def _geometry(kernel: str, recording: Recording, names: set[str]) -> str:
    """Return the geometry of a kernel; ZsemuError if there is none for its chain size.

    ``names`` are the events that were recorded; they decide if ``kernel`` is no version. Kernels
    before 6.3 have no chain size to configure, and other rules for a chain of four pages.
    """
    chain = recording.header.get("chain_size", "8")
    if version := re.match(r"(\d+)\.(\d+)", kernel):
        release = int(version[1]), int(version[2])
        if release < (4, 1):
            return "2012"
        if release < (6, 3):
            return "chain-4"
    elif "zs_map_object" in names:
        return "chain-4"
    if chain == "4" or f"chain-{chain}" not in NAMES:
        raise ZsemuError(
            f"{recording.path}: the kernel's CONFIG_ZSMALLOC_CHAIN_SIZE is {chain}, for which there"
            f" is no geometry; give the nearest with --geometry: {', '.join(NAMES)}"
        )
    return f"chain-{chain}"


def _maps(steps: Steps) -> int:
    """Return how many of the steps map an object."""
    return int(np.count_nonzero(steps.operation >= Operation.READ))


def _trace(name: str, metadata: Metadata, steps: Steps) -> Trace:
    """Return the trace of steps whose handles are objects, numbered in order of allocation."""
    allocates = steps.operation == Operation.ALLOCATE
    number = np.empty(int(steps.handle.max()) + 1, np.int64)
    number[steps.handle[allocates].astype(np.int64)] = np.arange(np.count_nonzero(allocates))
    return Trace(
        name,
        metadata,
        steps.operation.astype(np.uint8),
        number[steps.handle.astype(np.int64)].astype(np.uint32),
        steps.length.astype(np.uint32),
        steps.cpu.astype(np.uint16),
        steps.begin,
        steps.end,
    )
