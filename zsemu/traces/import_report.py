# SPDX-License-Identifier: GPL-2.0-only
"""The report of an import: what was mended, dropped and passed over, with the lines where."""

from dataclasses import dataclass, field
from typing import Final

from zsemu.traces.events import Ints

_SHOWN: Final = 5
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
        """Return the report as lines of text, for trace.Metadata."""
        return (
            f"{self.lines} lines, {self.events} events, {self.pairs} map/unmap pairs, "
            f"{self.imported} imported",
            *map(str, self.entries),
        )


@dataclass
class Entries:
    """The entries of a report as they are found."""

    found: list[Entry] = field(default_factory=list)

    def add(self, how: str, what: str, lines: Ints | list[int]) -> None:
        """Add what happened at some lines of the recording, unless there are none."""
        if len(lines):
            first = tuple(sorted(int(line) for line in lines)[:_SHOWN])
            self.found.append(Entry(how, what, len(lines), first))
