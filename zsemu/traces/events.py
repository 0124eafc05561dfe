# SPDX-License-Identifier: GPL-2.0-only
"""Hold the events of a recording as columns, whichever tool printed them.

A module for each kind of text (so far ftrace_text.py) makes these columns; everything behind it
(repair.py, pairing.py, objects.py) knows only them.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zsemu.traces.probes import PROBES

Ints = NDArray[np.int64]

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
    """Nanoseconds."""
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
    """What recorder.py noted about the kernel: ``kernel`` and ``page_size``."""
    cut: list[int] = field(default_factory=list)
    """The last line, if the text ends before the line does."""
    lost: list[int] = field(default_factory=list)
    """Lines in which the kernel reports that it lost events."""
    lost_events: int = 0
    """How many lost events these lines report; some of the lines give no number."""
    other: list[int] = field(default_factory=list)
    """Lines that hold an event of something other than zsmalloc."""
