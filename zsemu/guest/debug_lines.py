# SPDX-License-Identifier: GPL-2.0-only
"""Source lines: the file and line that an instruction was compiled from, and the text of that line.

They are read from the DWARF of an image. Since images are cached, the paths in it may be those of
another machine or folder. A file is therefore recognised by the end of its path, and its text is
read from where it lies on this machine: with another content, the image would be another one, too.
"""

import bisect
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any, Final

from elftools.elf.elffile import ELFFile

from zsemu.guest.image import Image

_KEPT: Final = 16
"""images whose line tables are kept"""
_ASSEMBLER: Final = 0x8001
"""DW_LANG_Mips_Assembler, which all compilers give for any assembly"""


@dataclass(frozen=True, order=True)
class SourceLine:
    """A line of a source file."""

    path: Path
    """where the file lies on this machine, or the image's own path if that is not known"""
    line: int
    """number, from 1"""
    assembly: bool
    """whether the file is an assembly file"""

    @property
    def name(self) -> str:
        """File and line, without directories."""
        return f"{self.path.name}:{self.line}"


class SourceLines:
    """The lines of one image."""

    def __init__(self, image: Image, sources: Sequence[Path]) -> None:
        """Find the line tables of an image; ``sources`` are the files that it was compiled from."""
        self._sources = sources
        self._texts: dict[Path, list[str]] = {}
        self._code = image.text
        self._ranges: list[tuple[int, int, SourceLine]] = []
        self._dwarf = ELFFile(BytesIO(image.path.read_bytes())).get_dwarf_info()
        # The strategy is linked last, and is what is mostly asked for: to read a table takes long.
        self._unread = list(self._dwarf.iter_CUs())

    def at(self, address: int) -> SourceLine | None:
        """Return the line of the instruction at an address; None if the compiler names none."""
        while (found := self._known(address)) is None and self._unread:
            self._read(self._unread.pop())
        return found if found and found.line else None

    def _known(self, address: int) -> SourceLine | None:
        """Return what the line tables say that have been read."""
        index = bisect.bisect_right(self._ranges, address, key=itemgetter(0)) - 1
        if index < 0:
            return None
        _, end, place = self._ranges[index]
        return place if address < end else None

    def text(self, place: SourceLine) -> str:
        """Return the text of a line, each run of blanks as one; empty if the file is not known."""
        path = place.path
        if path not in self._texts:
            known = path in self._sources
            text = path.read_text(encoding="utf-8", errors="replace") if known else ""
            self._texts[path] = text.split("\n")
        lines = self._texts[path]
        return " ".join(lines[place.line - 1].split()) if place.line <= len(lines) else ""

    def _read(self, unit: Any) -> None:  # noqa: ANN401
        """Read the line table of a unit: first address, address behind the last, and line."""
        program = self._dwarf.line_program_for_CU(unit)
        if program is None:
            return
        attributes = unit.get_top_DIE().attributes
        language = attributes.get("DW_AT_language")
        assembly = language is not None and language.value == _ASSEMBLER
        directory = attributes.get("DW_AT_comp_dir")
        paths = paths_of(program, directory.value.decode() if directory else "")
        files = [self._find(path) for path in paths]
        first = 0 if program.header["version"] >= 5 else 1
        start, end = self._code
        previous = None
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            # Functions that the linker has left out lie outside the code.
            if (
                previous
                and not previous.end_sequence
                and state.address > previous.address
                and start <= previous.address < end
            ):
                place = SourceLine(files[previous.file - first], previous.line, assembly)
                self._ranges.append((previous.address, state.address, place))
            previous = state
        self._ranges.sort()

    def _find(self, path: PurePosixPath) -> Path:
        """Return the source file that shares the longest end with a path in the image."""
        best, most = Path(path), 0
        for source in self._sources:
            same = _common_end(path.parts, source.parts)
            if same > most:
                best, most = source, same
        return best


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many last parts two paths have in common."""
    number = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        number += 1
    return number


def paths_of(program: Any, base: str) -> list[PurePosixPath]:  # noqa: ANN401
    """Return the paths of the files of a line table, whose unit was compiled in ``base``."""
    directories = [path.decode() for path in program["include_directory"]]
    if program.header["version"] < 5:
        # There the unit's own directory is number 0, and not in the table.
        directories.insert(0, "")
    return [
        PurePosixPath(
            posixpath.normpath(
                posixpath.join(base, directories[file.dir_index], file.name.decode())
            )
        )
        for file in program["file_entry"]
    ]


_named: dict[Path, SourceLines] = {}


def where(image: Image, pc: int) -> str:
    """Name an instruction by function and offset, and by its source line if that is known.

    The line tables of an image are read once: a check may ask for thousands of places.
    """
    if image.path not in _named:
        if len(_named) == _KEPT:
            del _named[next(iter(_named))]
        _named[image.path] = SourceLines(image, ())
    line = _named[image.path].at(pc)
    place = image.where(pc)
    return f"{place} ({line.name})" if line else place
