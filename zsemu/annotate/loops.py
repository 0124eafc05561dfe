# SPDX-License-Identifier: GPL-2.0-only
"""Find the inner loops of a function in what its instructions did.

A loop is what lies between a branch and an instruction before it to which it goes back and from
which control gets to the branch again. A rep-prefixed instruction is a loop, too. Loops that hold
another one, that were not executed, or that neither load nor store anything are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from zsemu.annotate.listing import Function, Row
from zsemu.counts import CLASSES
from zsemu.guest.image import Image, Instruction

_AGAIN: Final = "another branch goes back into it, and llvm-mca follows none"
_UNEQUAL: Final = "its instructions are not executed equally often, and llvm-mca follows no branch"
_BRANCH, _SYSTEM = CLASSES.index("branch"), CLASSES.index("system")


@dataclass(frozen=True)
class Loop:
    """An inner loop as it was executed."""

    function: str
    body: tuple[Row, ...]
    """the instructions of one iteration, in their order; those that never ran are left out"""
    iterations: int
    code: bytes
    """the body's encoding"""
    trouble: str
    """why llvm-mca cannot say what an iteration takes; empty if it can"""


class _Finder:
    """Finds the loops of one function."""

    def __init__(self, image: Image, function: Function) -> None:
        self._image, self._function = image, function
        self._models = image.target.models
        self._start = image.text[0]
        self._at = {row.offset: index for index, row in enumerate(function.rows)}

    def _instruction(self, row: Row) -> Instruction:
        return self._image.instructions[self._function.address + row.offset]

    def _class(self, row: Row) -> int:
        return int(self._image.classes[self._instruction(row).address - self._start])

    def _code(self, row: Row) -> bytes:
        one = self._instruction(row)
        base, data = self._image.sections[".text"]
        return data[one.address - base : one.address - base + one.size]

    def _goes_to(self, row: Row) -> int | None:
        """Return the index of the row to which one branches; None if it is not in the function."""
        if row.target is None or self._class(row) != _BRANCH:
            return None
        return self._at.get(row.target)

    def _reaches(self, first: int, last: int) -> bool:
        """Say whether control can get from one row to another one without leaving what is between.

        It cannot where a branch goes back to the end of a function that other paths share.
        """
        rows, seen, open_ = self._function.rows, set[int](), [first]
        while open_:
            index = open_.pop()
            if not first <= index <= last or index in seen or not rows[index].counts.executions:
                continue
            seen.add(index)
            target = self._goes_to(rows[index])
            open_ += [] if target is None else [target]
            open_ += [] if self._models.ends.search(rows[index].text) else [index + 1]
        return last in seen

    def _ranges(self) -> list[tuple[int, int]]:
        """Return the first and the last row of each loop, of inner and outer ones."""
        found = []
        for last, row in enumerate(self._function.rows):
            first = last if row.counts.string_iterations else self._goes_to(row)
            if first is not None and first <= last and self._reaches(first, last):
                found.append((first, last))
        return found

    def loops(self) -> list[Loop]:
        """Return the inner loops that load or store something."""
        ranges = self._ranges()
        found = []
        for first, last in ranges:
            others = [one for one in ranges if one != (first, last)]
            if any(first <= a and b <= last for a, b in others):
                continue
            body = [r for r in self._function.rows[first : last + 1] if r.counts.executions]
            if any(row.counts.bytes for row in body):
                again = any(first <= a <= last for a, _ in others)
                found.append(self._loop(body, _AGAIN if again else ""))
        return found

    def _loop(self, body: Sequence[Row], trouble: str) -> Loop:
        closing = body[-1].counts
        return Loop(
            function=self._function.name,
            body=tuple(body),
            iterations=closing.string_iterations or closing.executions,
            code=b"".join(map(self._code, body)),
            trouble=trouble or self._trouble(body),
        )

    def _trouble(self, body: Sequence[Row]) -> str:
        for row in body:
            name, of_class = self._instruction(row).mnemonic, self._class(row)
            if row.counts.string_iterations:
                return f"llvm-mca gives {name} one latency, whatever its rounds"
            if self._models.atomic.search(row.text):
                return f"llvm-mca does not know what {name} waits for"
            if of_class == _SYSTEM:
                return f"llvm-mca does not know what {name} costs"
            if of_class == _BRANCH and row.target is None:
                return f"llvm-mca does not follow {name}"
        if len({row.counts.executions for row in body}) > 1:
            return _UNEQUAL
        return ""


def loops(image: Image, function: Function) -> list[Loop]:
    """Return the inner loops of a function that load or store something, by their addresses."""
    return _Finder(image, function).loops()
