# SPDX-License-Identifier: GPL-2.0-only
"""Read the lines that ftrace prints: those of ``trace_pipe`` and of ``trace-cmd report``.

Only this module knows these lines. The text of another tool gets a module of its own beside this
one, which makes the same columns (:class:`zsemu.traces.events.Events`).
"""

import re
from typing import Final

import numpy as np

from zsemu.errors import ZsemuError
from zsemu.traces.events import Events, Recording
from zsemu.traces.probes import PROBES

HEADER: Final = "# zsemu:"
"""The line in which recorder.py notes ``kernel=6.1.0 page_size=4096`` begins with this comment."""

# From the names of an event and of its two arguments (empty where it has fewer) to its probe.
_PROBE_OF_NAMES = {
    tuple(
        name.encode() for name in [probe.name, *(name for name, _ in probe.arguments), "", ""][:3]
    ): number
    for number, probe in enumerate(PROBES)
}
_NUMBER = rb"(0x[\da-fA-F]{1,16}|0|[1-9]\d{0,18})"
# "  task-tid  [cpu] flags  seconds.fraction: event: ...": the kernel's print_trace_line() with its
# default options, or with record-tgid. trace-cmd leaves out the flags.
_TASK = (
    rb" *.{0,64}?-(\d{1,9}) +(?:\( *[\d-]+\) +)?\[(\d{1,4})\](?: +[^\s:\d][^\s:]*)?"
    rb" +(\d{1,9})\.(\d{6})(\d{3})?: +"
)
_NAMES = "|".join(probe.name for probe in PROBES).encode()
_LINE = re.compile(
    rb"^(?:" + _TASK + rb"(" + _NAMES + rb"): +\([^()\n]*\)"
    rb"(?: (size|handle)=" + _NUMBER + rb")?(?: (mode|mem_len)=" + _NUMBER + rb")?[ \r]*|.*)$",
    re.MULTILINE,
)
_OTHER_EVENT = re.compile(_TASK + rb"(?!(?:" + _NAMES + rb"):)\S.*")
_LOST = re.compile(rb" *CPU: ?\d+ \[(?:LOST )?(\d*) ?EVENTS(?: DROPPED)?\][ \r]*")
_COMMENT = re.compile(rb"[ \r]*|#.*|(?:version = |cpus=)\d+[ \r]*|CPU \d+ is empty[ \r]*")


def parse(recording: Recording, block: bytes) -> Events:
    """Return the events in a block of whole lines, and note in the recording its other lines.

    ZsemuError names the line and what was expected there, if it is not of such a text.
    """
    # Without the last newline, as "^" would match behind it once more.
    rows = _LINE.findall(block[:-1])
    probe = np.array([_PROBE_OF_NAMES.get((row[5], row[6], row[8]), -1) for row in rows])
    above, gaps = recording.lines, len(recording.lost)
    (good,) = np.nonzero(probe >= 0)
    if len(good) < len(rows):
        texts = block.split(b"\n")
        for index in np.flatnonzero(probe < 0).tolist():
            _note_other(recording, texts[index], above + 1 + index)
        rows = [rows[index] for index in good.tolist()]
    recording.lines += len(probe)
    line = good + (above + 1)
    return Events(
        probe=probe[good],
        tid=np.array([int(row[0]) for row in rows], np.int64),
        cpu=np.array([int(row[1]) for row in rows], np.int64),
        time=np.array([int(row[2] + row[3] + (row[4] or b"000")) for row in rows], np.int64),
        first=np.array([int(row[7] or b"0", 0) for row in rows], np.uint64),
        second=np.array([int(row[9] or b"0", 0) for row in rows], np.uint64),
        line=line,
        gap=gaps + np.searchsorted(np.array(recording.lost[gaps:], np.int64), line),
    )


def _note_other(recording: Recording, text: bytes, line: int) -> None:
    """Note a line that is no event of zsmalloc; ZsemuError if ftrace prints no such line."""
    if lost := _LOST.fullmatch(text):
        recording.lost.append(line)
        recording.lost_events += int(lost[1] or b"0")
    elif _OTHER_EVENT.match(text):
        recording.other.append(line)
    elif text.startswith(HEADER.encode()):
        for word in text.decode(errors="replace").removeprefix(HEADER).split():
            name, _, value = word.partition("=")
            recording.header[name] = value
    elif not _COMMENT.fullmatch(text):
        raise ZsemuError(
            f"{recording.path}:{line}: expected an event as trace_pipe or trace-cmd report prints "
            "it, 'task-1 [000] ...1. 1.000000: zs_free: (zs_free+0x0) handle=0x1', "
            f"not {text[:80].decode(errors='replace')!a}"
        )
