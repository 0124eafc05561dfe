# SPDX-License-Identifier: GPL-2.0-only
"""Make columns of the lines in which a tool printed events.

text_formats.py describes the lines, number_notation.py reads the numbers in them.
"""

from typing import Final, NoReturn

import numpy as np

from zsemu.errors import ZsemuError
from zsemu.traces.events import HEADER, Events, Ints, Recording
from zsemu.traces.number_notation import Numbers
from zsemu.traces.probes import PROBES
from zsemu.traces.text_formats import COMMENT, FORMATS, LOST, TextFormat

KNOWN: Final = (
    f"known are the texts of {', '.join(known.name for known in FORMATS)}, and what the commands of"
    " zsemu trace record write"
)
"""Which texts can be read, for messages."""

# From the names of an event and of its two arguments, empty where it has fewer, to its probe.
_PROBE_OF_NAMES: Final = {
    tuple(name.encode() for name in [*names, "", ""][:3]): number
    for number, probe in enumerate(PROBES)
    for names in probe.spellings()
}

_Row = tuple[bytes, ...]
"""The groups of a line that holds an event, as in TextFormat.line."""


class EventLines:
    """Reads the lines of one recording, which are all of one format."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._numbers = Numbers(recording.path)
        self._format: TextFormat | None = None

    def read(self, block: bytes) -> Events:
        """Return the events in a block of whole lines, and note in the recording its other lines.

        ZsemuError names the line and what was expected there, if it is not of such a text.
        """
        recording = self._recording
        self._format = self._format or _format_of(block)
        # Where no line is an event, none matches the pattern of any format.
        pattern = (self._format or FORMATS[0]).line
        # Without the last newline, as "^" would match behind it once more.
        rows: list[_Row] = pattern.findall(block[:-1])
        probe = np.array([_PROBE_OF_NAMES.get((row[6], row[7], row[9]), -1) for row in rows])
        above, gaps = recording.lines, len(recording.lost)
        (good,) = np.nonzero(probe >= 0)
        if len(good) < len(rows):
            texts = block.split(b"\n")
            for index in np.flatnonzero(probe < 0).tolist():
                self._note_other(texts[index], above + 1 + index)
            rows = [rows[index] for index in good.tolist()]
        recording.lines += len(probe)
        probe, line = probe[good], good + (above + 1)
        return Events(
            probe=probe,
            tid=np.array([int(row[0]) for row in rows], np.int64),
            cpu=np.array([int(row[1]) for row in rows], np.int64),
            time=self._times(rows, line),
            first=self._numbers.column(0, probe, [row[8] for row in rows], line),
            second=self._numbers.column(1, probe, [row[10] for row in rows], line),
            line=line,
            gap=gaps + np.searchsorted(np.array(recording.lost[gaps:], np.int64), line),
        )

    def settle(self, events: Events) -> None:
        """Correct the numbers of all events at the end of the text; see :class:`Numbers`."""
        self._numbers.settle(events)

    def _times(self, rows: list[_Row], line: Ints) -> Ints:
        """Return the times; ZsemuError if only some of the recording's times have a unit."""
        if {len(row[3]) for row in rows} == {6}:
            # What nearly all recordings have, and faster than row by row.
            ticks = np.zeros(len(rows), np.bool_)
            times = np.array([int(row[2] + row[3]) for row in rows], np.int64) * 1000
        else:
            ticks = np.array([bool(row[5]) for row in rows], np.bool_)
            times = np.array([_time(row) for row in rows], np.int64)
        recording = self._recording
        if len(ticks) and recording.ticks is None:
            recording.ticks = bool(ticks[0])
        (odd,) = np.nonzero(ticks != recording.ticks)
        if len(odd):
            raise ZsemuError(
                f"{recording.path}:{line[odd[0]]}: only some of the times have a unit; these are"
                " two recordings in one file, import each by itself"
            )
        return times

    def _note_other(self, text: bytes, line: int) -> None:
        """Note a line that is no event of zsmalloc; ZsemuError if there is no such line."""
        recording = self._recording
        event = self._format and self._format.any_event.match(text)
        name = (event[7] or b"").decode() if event else ""
        if lost := LOST.fullmatch(text):
            recording.lost.append(line)
            recording.lost_events += int(next(filter(None, lost.groups()), b"0"))
        elif event and (expected := _printed(name)):
            self._refuse(line, expected, text[event.start(7) :])
        elif event:
            recording.other.append(line)
        elif text.startswith(HEADER.encode()):
            recording.note_header(text.decode(errors="replace"), line)
        elif not COMMENT.fullmatch(text):
            if self._format is None:
                self._refuse(line, "an event", text, f"; {KNOWN}")
            example = f"{self._format.example!r}, as in the text of {self._format.name}"
            self._refuse(line, example, text)

    def _refuse(self, line: int, expected: str, text: bytes, remedy: str = "") -> NoReturn:
        """Raise ZsemuError for a line that is not what was expected."""
        raise ZsemuError(
            f"{self._recording.path}:{line}: expected {expected},"
            f" not {text[:80].decode(errors='replace')!a}{remedy}"
        )


def _format_of(block: bytes) -> TextFormat | None:
    """Return the format of the first event in a block of lines, or None if there is no event."""
    for text in block.split(b"\n"):
        for known in FORMATS:
            if known.any_event.match(text):
                return known
    return None


def _time(row: _Row) -> int:
    """Return the time of an event in nanoseconds, or in ticks."""
    if row[2]:
        return int(row[2] + row[3].ljust(9, b"0"))
    return int(row[5] or row[4] + b"000")


def _printed(event: str) -> str:
    """Return how an event is printed, with each list of arguments that it can have.

    It is empty if zsmalloc has no such event.
    """
    return " or ".join(
        repr(" ".join([f"{event}: (...)", *(f"{name}=N" for name, _ in probe.arguments)]))
        for probe in PROBES
        if event in probe.events
    )
