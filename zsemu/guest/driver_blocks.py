# SPDX-License-Identifier: GPL-2.0-only
"""Find where blocks of the driver's own code begin: that code can be translated without hooks.

Unicorn inserts the calls of hooks when it translates a block, and leaves blocks alone that it has
translated before (unicorn-engine/unicorn#2200). What the driver does is nobody's cost, so its
blocks are translated first. That spares a call for each of its instructions and accesses.
"""

from functools import lru_cache

from zsemu.counts import CLASSES
from zsemu.guest.image import Image, Instruction
from zsemu.guest.targets import Target

_BRANCH = CLASSES.index("branch")


@lru_cache(maxsize=1)
def driver_blocks(image: Image) -> list[int]:
    """Return the addresses in the driver at which a block may begin, ascending.

    Those are left out to which a call returns: hooks see by them that a phase has ended. Where an
    address is missing, hooks see more of the driver, which costs time and changes no count.
    """
    driver = range(image.address("zs_driver_start"), image.address("zs_driver_end"))
    begins, returns = set[int](), set[int]()
    for address, instruction in image.instructions.items():
        function = image.function(address) if address in driver else None
        if function is None:
            continue
        begins.add(function.address)
        if image.classes[address - image.text[0]] != _BRANCH:
            continue
        goes_to, behind = _goes_to(image.target, instruction), address + instruction.size
        if goes_to is not None and 0 <= goes_to - function.address < function.size:
            begins |= {goes_to, behind}
        elif image.target.models.ends.search(instruction.text):
            begins.add(behind)
        else:
            returns.add(behind)
    return sorted(one for one in begins - returns if one in driver and one in image.instructions)


def _goes_to(target: Target, instruction: Instruction) -> int | None:
    """Return the address to which a branch goes; None if a register holds it."""
    address = instruction.address
    bases = {"zero": 0, "start": address, "end": address + instruction.size}
    for rule in target.references:
        match = rule.pattern.search(instruction.text)
        if match and rule.base in bases:
            return rule.address(match, bases[rule.base]) & (1 << target.word_bits) - 1
    return None
