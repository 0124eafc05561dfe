# SPDX-License-Identifier: GPL-2.0-only
"""Hold the events of a recording as columns, whichever tool printed them.

event_lines.py makes these columns of text; everything behind it (repair.py, pairing.py, objects.py)
knows only them.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.traces.probes import PROBES

Ints = NDArray[np.int64]

HEADER: Final = "# zsemu:"
"""A line that begins so holds what the recording itself says, ``name=value`` after
``name=value``."""

_ROLES = np.array([probe.role for probe in PROBES])


@dataclass(frozen=True)
class Events:
    """Columns of shape (n,), one row an event."""

    probe: Ints
    """Index into :data:`PROBES`."""
    tid: Ints
    """The task that ran."""
    cpu: Ints
    """The CPU that it ran on."""
    time: Ints
    """Nanoseconds; or ticks, see :attr:`Recording.ticks`."""
    first: NDArray[np.uint64]
    """The event's first argument: the handle or size; 0 if it has none."""
    second: NDArray[np.uint64]
    """Its second argument: mode or mem_len; 0 if it has none."""
    line: Ints
    """The line of the text, counted from 1."""
    gap: Ints
    """How many reports of lost events stand in the lines before this one."""

    def take(self, index: Ints) -> "Events":
        """Return the rows of the given numbers."""
        return Events(**{name: values[index] for name, values in vars(self).items()})

    def __len__(self) -> int:
        return len(self.line)

    @property
    def role(self) -> Ints:
        """What each event means, as in :class:`Role`, shape (n,)."""
        return _ROLES[self.probe]


def concatenate(parts: list[Events]) -> Events:
    """Return the rows of all parts, one behind the other."""
    return Events(
        **{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])}
    )


@dataclass
class Recording:
    """What the text of a recording holds beside events; lines are numbers counted from 1."""

    path: Path
    lines: int = 0
    """Number of all lines that have been read."""
    header: dict[str, str] = field(default_factory=dict)
    """What recorder.py noted: ``kernel`` and ``page_size``, ``chain_size`` where the kernel's
    configuration could be read, ``time_unit`` if it is "ns", and at the end ``events``, the number
    of events that the kernel counted."""
    header_line: int = 0
    """The last line that notes such a thing."""
    cut: list[int] = field(default_factory=list)
    """The last line, if the text ends before the line does."""
    lost: list[int] = field(default_factory=list)
    """Lines in which the kernel reports that it lost events."""
    lost_events: int = 0
    """How many lost events these lines report; some of the lines give no number."""
    other: list[int] = field(default_factory=list)
    """Lines that hold an event of something other than zsmalloc."""
    ticks: bool | None = None
    """Whether times are whole numbers, as of the trace clocks ``counter`` and ``x86-tsc``; None
    before the first event."""

    @property
    def in_nanoseconds(self) -> bool:
        """Whether the unit of the times is known."""
        return not self.ticks or self.header.get("time_unit") == "ns"

    def note_header(self, text: str, line: int) -> None:
        """Note what a line says that begins with :data:`HEADER`."""
        self.header_line = line
        for word in text.removeprefix(HEADER).split():
            name, _, value = word.partition("=")
            self.header[name] = value
