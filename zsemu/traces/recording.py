# SPDX-License-Identifier: GPL-2.0-only
"""Read a recording: its text by text_blocks.py, the lines of it by event_lines.py."""

from pathlib import Path

from zsemu.errors import ZsemuError
from zsemu.traces.event_lines import KNOWN, EventLines
from zsemu.traces.events import Events, Recording, concatenate
from zsemu.traces.text_blocks import blocks


def read(path: Path) -> tuple[Recording, Events]:
    """Return what the text of a recording holds; the events in the order of their lines.

    ZsemuError names the file, and the line and what was expected there, if a line other than the
    last is not of such a text, or if no line is an event of zsmalloc.
    """
    recording = Recording(path)
    lines, parts = EventLines(recording), []
    for block in blocks(path):
        if block.endswith(b"\n"):
            parts.append(lines.read(block))
        else:
            # Nobody can tell whether it is complete: a handle that is cut short is still a handle.
            recording.lines += 1
            recording.cut.append(recording.lines)
    if not any(len(part) for part in parts):
        raise ZsemuError(
            f"{path}: none of its {recording.lines} lines is an event of zsmalloc; {KNOWN}"
        )
    events = concatenate(parts)
    lines.settle(events)
    return recording, events
