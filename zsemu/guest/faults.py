# SPDX-License-Identifier: GPL-2.0-only
"""Say what a fault was about, as a kernel's oops does: the access, the address, what lies there.

Unicorn tells none of it. So the addresses of the instruction's operands are worked out from the
registers, which a fault leaves as they were, and compared with what the guest has mapped.
"""

import re
from collections.abc import Iterator
from typing import Final, Protocol

import unicorn

from zsemu.guest.image import Image
from zsemu.guest.targets import Target

_TERM: Final = re.compile(
    r"(?P<sign>[+-])? ?#?(?P<number>-?(?:0x[0-9a-f]+|\d+))(?![\w*])"
    r"|(?P<register>[a-z]\w*)(?:\*(?P<scale>\d))?(?:, lsl #(?P<shift>\d+))?"
)
"""a number or a register in a sum, as Capstone writes them for all architectures"""
NOT_MEMORY: Final = "exception that is none of memory"
_LONGEST: Final = 64
"""bytes that an instruction accesses at most"""


class Mapped(Protocol):
    """What must be known of guest memory: that of strategies, or of a kernel's object."""

    image: Image
    target: Target

    def mapped(self, address: int, *, write: bool = False, execute: bool = False) -> bool:
        """Return whether the guest has mapped an address so at boot."""

    def in_window(self, address: int) -> bool:
        """Return whether a virtual address is in a CPU's window, or beside it."""

    def describe_address(self, address: int) -> str:
        """Say in words what lies at a virtual address, which need not be mapped."""


def explain(uc: unicorn.Uc, memory: Mapped, pc: int) -> str:
    """Return what a CPU could not do when the instruction at ``pc`` was the last one begun."""
    target = memory.target
    mask = (1 << target.word_bits) - 1
    fetched = int(uc.reg_read(target.pc)) - target.exception_pc & mask
    if not memory.mapped(fetched, execute=True):
        return f"fetch at {fetched:#x}, {memory.describe_address(fetched)}"
    refused = [
        (memory.in_window(at & mask), access, at & mask)
        for access, address in _operands(uc, memory, pc)
        # It may have begun before the page that is not there.
        for at in (address, (address + _LONGEST - 1) & -_LONGEST)
        if not memory.mapped(at & mask, write=access == "write")
    ]
    if not refused:
        return NOT_MEMORY
    # What a window maps is not looked up: where something else is not mapped, it is that.
    _, access, at = min(refused, key=lambda one: one[0])
    return f"{access} at {at:#x}, {memory.describe_address(at)}"


def _operands(uc: unicorn.Uc, memory: Mapped, pc: int) -> Iterator[tuple[str, int]]:
    """Yield "read" or "write" and the address, of the operands in memory of an instruction."""
    image, rules = memory.image, memory.target.instructions
    if pc not in image.instructions:
        return
    text = image.instructions[pc].text
    stores = dict(rules.classes)["store"].search(text) is not None
    found = list(rules.memory.finditer(text))
    for number, match in enumerate(found):
        # Of two operands the first is stored into: x86's movs.
        yield ("write" if stores and number == 0 else "read"), _address(uc, memory, match)


def _address(uc: unicorn.Uc, memory: Mapped, match: re.Match[str]) -> int:
    """Add up an operand in memory."""
    target, groups = memory.target, match.groupdict()
    address = 0
    if groups.get("base"):
        address += int(uc.reg_read(target.register(groups["base"])))
    for term in _TERM.finditer(groups.get("sum") or ""):
        if term["register"]:
            value = int(uc.reg_read(target.register(term["register"])))
            address += value * int(term["scale"] or 1) << int(term["shift"] or 0)
        else:
            address += int(term["number"], 0) * (-1 if term["sign"] == "-" else 1)
    return address
