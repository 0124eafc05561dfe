# SPDX-License-Identifier: GPL-2.0-only
"""Replace the addresses in instructions by names that do not change when code moves.

A branch or a load of data holds a distance. One instruction more in between changes the distance,
although the instruction means the same. How the numbers of a target are to be read is stated in
``references`` of arch/<name>/target.toml.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from zsemu.counts import CLASSES
from zsemu.guest.image import Image, Instruction, Symbol

_STORE, _BRANCH = CLASSES.index("store"), CLASSES.index("branch")


@dataclass(frozen=True)
class Named:
    """An instruction of a function with names for addresses."""

    text: str
    """Capstone's text with names for addresses, and ``+0x..`` for those in the function itself"""
    key: str
    """the same text wherever the function lies and however long it is"""
    target: int | None
    """the address in the function that the instruction names; None if it names none"""


class _Reader:
    """Follows through a function which registers hold known addresses."""

    def __init__(self, image: Image, function: Symbol) -> None:
        self._image, self._function = image, function
        self._held: dict[str, int] = {}
        self._at_target: dict[int, dict[str, int]] = {}
        """by address of a branch's target: the addresses that registers hold there"""

    def read(self, instruction: Instruction) -> Named:
        """Return the next instruction with names."""
        # After an early return that a branch jumped over, registers hold what they held there.
        self._held = self._at_target.get(instruction.address, {}) | self._held
        text = instruction.text
        found = self._image.target.reference(text, instruction.code, self._held)
        if found is None:
            self._write(instruction)
            return Named(text, text, None)
        rule, match, address = found
        self._write(instruction)
        if "sets" in rule.pattern.groupindex:
            self._held[match["sets"]] = address
            key = _replaced(match, "~") if rule.base == "start" else text
            return Named(text, key, None)
        start, end = self._function.address, self._function.address + self._function.size
        if start <= address < end and address in self._image.instructions:
            self._at_target.setdefault(address, {}).update(self._held)
            return Named(_replaced(match, f"+{address - start:#x}"), _replaced(match, "+"), address)
        text = _replaced(match, self._name(address))
        return Named(text, text, None)

    def _write(self, instruction: Instruction) -> None:
        """Forget the address in the register that an instruction writes: the first one it names."""
        of_class = self._image.classes[instruction.address - self._image.text[0]]
        if of_class not in (_STORE, _BRANCH):
            self._held.pop(instruction.operands.partition(",")[0], None)

    def _name(self, address: int) -> str:
        """Return the name of an address; a literal in the code is named by what it holds."""
        start, end = self._image.text
        if not start <= address < end or address in self._image.instructions:
            return self._image.name(address)
        base, data = self._image.sections[".text"]
        target = self._image.target
        word = data[address - base : address - base + target.word]
        return f"={self._image.name(int.from_bytes(word, target.byte_order))}"


def _replaced(match: "re.Match[str]", name: str) -> str:
    """Return the text with a name in place of the number; a sign before a space stays."""
    sign = "+ " if match["n"].startswith(("+ ", "- ")) else ""
    first, last = match.span("n")
    return f"{match.string[:first]}{sign}{name}{match.string[last:]}"


def named(image: Image, function: Symbol, code: Iterable[Instruction]) -> list[Named]:
    """Return the instructions of one function, which come in the order of their addresses."""
    reader = _Reader(image, function)
    return [reader.read(instruction) for instruction in code]
