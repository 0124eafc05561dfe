# SPDX-License-Identifier: GPL-2.0-only
"""Describe two levels of data cache: by their sizes, or by the name of a CPU that has them.

A description is written ``l1=SIZE:WAYS[:LINE],l2=SIZE:WAYS[:LINE]``. ``SIZE`` and ``LINE`` are
bytes, with K, M or G for so many KiB, MiB or GiB; a line has 64 bytes unless it says otherwise.
"""

import re
from dataclasses import dataclass
from typing import Final

from zsemu.caches.presets import PRESETS
from zsemu.counts import LINE
from zsemu.errors import ZsemuError

_UNITS: Final = {"": 0, "K": 10, "M": 20, "G": 30}
_LEVEL: Final = re.compile(r"l(?P<level>[12])=(?P<sizes>[^=,]+)")
_BYTES: Final = re.compile(r"(?P<number>\d+)(?P<unit>[KMG]?)")
_MOST_LINES: Final = 1 << 26
"""lines of a level: half a GiB of memory of the host"""


@dataclass(frozen=True)
class Level:
    """A level of cache."""

    size: int
    """bytes"""
    ways: int
    line: int = LINE
    """bytes"""

    @property
    def lines(self) -> int:
        """Lines that it holds."""
        return self.size // self.line

    @property
    def sets(self) -> int:
        """Sets, each of so many ways."""
        return self.lines // self.ways

    def __str__(self) -> str:
        line = "" if self.line == LINE else f":{self.line}"
        return f"{_in_units(self.size)}:{self.ways}{line}"


@dataclass(frozen=True)
class Hierarchy:
    """Two levels of data cache, whose lines are equally long."""

    l1: Level
    l2: Level

    @property
    def levels(self) -> tuple[Level, Level]:
        """Both."""
        return self.l1, self.l2

    @property
    def line(self) -> int:
        """Bytes of a line."""
        return self.l1.line

    def __str__(self) -> str:
        return f"l1={self.l1},l2={self.l2}"


def _in_units(size: int) -> str:
    for unit, shift in reversed(_UNITS.items()):
        if size and size % (1 << shift) == 0:
            return f"{size >> shift}{unit}"
    return str(size)


def find(text: str) -> Hierarchy:
    """Return the caches that a text names or describes; ZsemuError says what is wrong with it."""
    if text in PRESETS:
        text = PRESETS[text].caches
    levels = {}
    for part in text.split(","):
        found = _LEVEL.fullmatch(part.strip())
        if not found or found["level"] in levels:
            raise _wrong(text)
        levels[found["level"]] = _level(found["sizes"], f"--cache {part.strip()}", text)
    if len(levels) != 2:
        raise _wrong(text)
    l1, l2 = levels["1"], levels["2"]
    if l1.line != l2.line:
        raise ZsemuError(f"--cache {text}: lines of {l1.line} and of {l2.line} bytes: choose one")
    return Hierarchy(l1, l2)


def _wrong(text: str) -> ZsemuError:
    return ZsemuError(
        f"--cache {text}: not l1=SIZE:WAYS[:LINE],l2=SIZE:WAYS[:LINE], such as"
        f" l1=32K:8,l2=512K:8, and none of {', '.join(PRESETS)}"
    )


def _level(sizes: str, where: str, text: str) -> Level:
    parts = sizes.split(":")
    found = [_BYTES.fullmatch(part) for part in parts]
    if not 2 <= len(parts) <= 3 or not all(found) or not parts[1].isdigit():
        raise _wrong(text)
    size, ways, *rest = (int(one["number"]) << _UNITS[one["unit"]] for one in found if one)
    line = rest[0] if rest else LINE
    if not _is_power(line) or not 8 <= line <= 4096:
        raise ZsemuError(f"{where}: a line of {line} bytes; choose a power of two from 8 to 4096")
    sets = size // (ways * line) if ways else 0
    if not _is_power(sets) or sets * ways * line != size:
        raise ZsemuError(
            f"{where}: {size} bytes are not a power of two of sets of {ways} lines of {line} bytes"
        )
    if sets * ways > _MOST_LINES:
        raise ZsemuError(f"{where}: {sets * ways} lines; at most {_MOST_LINES} can be modelled")
    return Level(size, ways, line)


def _is_power(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0
