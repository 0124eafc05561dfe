# SPDX-License-Identifier: GPL-2.0-only
"""The four parts of a scene's script: what sets it up, each CPU's, and the host's."""

from dataclasses import dataclass

from zsemu.race.schedule import CPUS


@dataclass(frozen=True)
class Parts:
    """Where the parts of a script begin; each ends where the next begins."""

    a: int
    b: int
    reader: int
    end: int

    def owner(self, row: int) -> str:
        """Return whose an operation is: ``CPU A``, ``CPU B``, or empty: the host's."""
        return "" if row >= self.reader else f"CPU {CPUS[row >= self.b]}"
