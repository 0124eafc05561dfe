# SPDX-License-Identifier: GPL-2.0-only
"""A planted bug: a shipped strategy, its edits, the check that must find it, a showing case."""

from dataclasses import dataclass
from pathlib import Path

from faulty.cases import Case
from zsemu.guest.targets import names
from zsemu.paths import ARCH


@dataclass(frozen=True)
class Faulty:
    """One defect."""

    name: str
    base: str
    """the shipped strategy that is edited"""
    edits: tuple[tuple[str, str], ...]
    """(old, new), each old text exactly once in the file"""
    finds: str
    """the check that must find it: a kind of violation, or the promise that is broken"""
    case: Case
    """the smallest that shows it"""
    archs: tuple[str, ...] = names()
    """where it can occur"""
    in_traces: bool = False
    """an ordinary trace shows it, too: tests/test_replay.py"""

    def write(self, directory: Path) -> Path:
        """Write the strategy and return its path."""
        text = (ARCH / "strategies" / f"{self.base}.c").read_text()
        for old, new in self.edits:
            assert text.count(old) == 1, f"{self.name}: {old!r} is {text.count(old)} times there"
            text = text.replace(old, new)
        path = directory / f"{self.name}.c"
        path.write_text(text)
        return path
