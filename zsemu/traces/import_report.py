# SPDX-License-Identifier: GPL-2.0-only
"""Report what an import mended, dropped, skipped and kept as it is, and in which lines."""

from dataclasses import dataclass, field
from typing import Final

from zsemu.traces.events import Ints

_SHOWN: Final = 5
"""How many line numbers an entry of the report keeps."""


@dataclass(frozen=True)
class Entry:
    """One kind of thing that the importer mended, dropped, skipped, or had to keep as it is."""

    how: str
    """What the importer did: "mended", "dropped", "skipped" or "kept"."""
    what: str
    """What it did that to."""
    count: int
    """How often."""
    lines: tuple[int, ...]
    """The first few lines of the recording where it happened, counted from 1."""

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.lines) else ""
        where = f" (line {', '.join(map(str, self.lines))}{more})" if self.lines else ""
        return f"{self.how} {self.count}: {self.what}{where}"


@dataclass(frozen=True)
class Report:
    """What the importer found and did.

    ``pairs`` is always ``imported`` plus the map/unmap pairs that ``entries`` count as dropped.
    """

    lines: int
    """Lines of the recording."""
    events: int
    """How many of them are events of zsmalloc."""
    pairs: int
    """Pairs of map and unmap in the recording; a zs_obj_write counts as one."""
    imported: int
    """How many of these pairs are in the trace."""
    entries: tuple[Entry, ...]

    def notes(self) -> tuple[str, ...]:
        """Return the report as lines of text, for the ``notes`` of trace.Metadata."""
        return (
            f"{self.lines} lines, {self.events} events, {self.pairs} map/unmap pairs, "
            f"{self.imported} imported",
            *map(str, self.entries),
        )


@dataclass
class Entries:
    """Collects the entries of a report while the importer works."""

    found: list[Entry] = field(default_factory=list)

    def add(self, how: str, what: str, lines: Ints | list[int]) -> None:
        """Add an entry for something that happened at some lines; nothing if there are no lines."""
        if len(lines):
            first = tuple(sorted(int(line) for line in lines)[:_SHOWN])
            self.found.append(Entry(how, what, len(lines), first))
