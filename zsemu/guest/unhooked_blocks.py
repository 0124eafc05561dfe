# SPDX-License-Identifier: GPL-2.0-only
"""Find where blocks begin that can be translated without hooks.

Unicorn inserts the calls of hooks when it translates a block, and leaves blocks alone that it has
translated before (unicorn-engine/unicorn#2200). So blocks that need no hook are translated first.
That spares a call for each of their instructions and accesses.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from zsemu.counts import CLASSES
from zsemu.guest.hook_structures import BY_SPAN
from zsemu.guest.image import ENTRY, KIND, STRING, Image
from zsemu.kept import kept

_BRANCH = CLASSES.index("branch")


@lru_cache(maxsize=1)
def unhooked_blocks(image: Image) -> list[int]:
    """Return the addresses at which a block may begin that nobody counts, ascending.

    Of the driver, whose work is nobody's cost, those are left out to which a call returns: hooks
    see by them that a phase has ended. Of the access that is judged by its spans, the entries are
    left out, where it is judged. Where an address is missing, hooks see more, which costs time and
    changes no count.
    """
    return _kept("unhooked-blocks", image, _unhooked_blocks)


def _unhooked_blocks(image: Image) -> list[int]:
    driver = range(image.address("zs_driver_start"), image.address("zs_driver_end"))
    access = range(image.address("zs_by_span_start"), image.address("zs_by_span_end"))
    begins, returns, _ = _begins(image, driver)
    found = begins - returns
    begins, returns, _ = _begins(image, access)
    found |= (begins | returns) - set(map(image.address, BY_SPAN))
    # Each round of a rep-prefixed instruction is a block, and so is what follows.
    for at in _strings(image):
        found |= {at, image.instructions[at].code.stop}
    # What is behind an instruction may be another's, or none.
    own = (one for one in found if one in driver or one in access)
    return sorted(one for one in own if one in image.instructions)


@lru_cache(maxsize=1)
def string_rounds(image: Image) -> list[int]:
    """Return the addresses at which a block is a further round of a rep-prefixed instruction.

    Such an instruction is retired once, however many rounds it has, and all but the first are
    blocks of their own. The first round is at the end of another block, unless that ends with the
    instruction before, or something jumps to it: then it is left out, as all are in a function with
    a jump whose target a register holds. A jump that is not found here would show in every run,
    since block hits must stand for what was observed.
    """
    return _kept("string-rounds", image, _string_rounds)


def _string_rounds(image: Image) -> list[int]:
    goes_on = image.target.instructions.goes_on
    strings = _strings(image)
    behind = {
        address + one.size
        for address, one in (image.instructions.items() if strings else ())
        if goes_on and goes_on.search(one.text)
    }
    return [at for at in strings if at in behind and not _may_be_entered(image, at)]


def _strings(image: Image) -> list[int]:
    """Return the addresses of all rep-prefixed instructions, ascending."""
    found: list[int] = (np.flatnonzero(image.kinds & KIND == STRING) + image.text[0]).tolist()
    return found


def _may_be_entered(image: Image, at: int) -> bool:
    """Whether something may jump to an instruction, or return to it."""
    function = image.function(at)
    if not function or at >= function.address + function.size:
        return True
    code = range(function.address, function.address + function.size)
    begins, returns, anywhere = _begins(image, code)
    return anywhere or at in begins | returns


def _kept(name: str, image: Image, find: Callable[[Image], list[int]]) -> list[int]:
    """Return addresses in an image, from the cache if they are there."""
    found = kept(name, image.digest, lambda: np.array(find(image), np.uint64).tobytes())
    assert found is not None
    return list(map(int, np.frombuffer(found, np.uint64)))


def _begins(image: Image, code: range) -> tuple[set[int], set[int], bool]:
    """Return where blocks may begin in some code, and to where calls return.

    And whether there is a jump that may go anywhere.
    """
    kinds, classes = (
        array[code.start - image.text[0] : code.stop - image.text[0]]
        for array in (image.kinds, image.classes)
    )
    begins = set((np.flatnonzero(kinds & ENTRY) + code.start).tolist())
    returns, anywhere = set[int](), False
    for address in (np.flatnonzero(classes == _BRANCH) + code.start).tolist():
        function, instruction = image.function(address), image.instructions[address]
        named = image.target.reference(instruction.text, instruction.code, {})
        goes_to, behind = named[2] if named else None, instruction.code.stop
        if goes_to is not None and function and 0 <= goes_to - function.address < function.size:
            begins |= {goes_to, behind}
        elif image.target.models.ends.search(instruction.text):
            begins.add(behind)
            anywhere |= goes_to is None and bool(instruction.operands)
        else:
            returns.add(behind)
    return begins, returns, anywhere
