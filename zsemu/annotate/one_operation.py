# SPDX-License-Identifier: GPL-2.0-only
"""Describe one operation on an object in a chosen slot of a zspage of its own, as ``--shape`` does.

The slots beside it hold objects. Nothing is displaced when the operation begins, unless another map
is named that comes before. The text is ``OPERATION:LENGTH/SLOT[:BYTES][,after=OPERATION/SLOT]``:
``read:1632/2`` is the read of an object of 1632 bytes in slot 2 of a zspage of its class.
"""

import re
from dataclasses import dataclass
from typing import Final

from zsemu.errors import ZsemuError
from zsemu.replay.script import ScriptBuilder
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import Geometry

_MAPS: Final = (Operation.READ, Operation.WRITE, Operation.UPDATE)
_EVERY: Final = "|".join(operation.name.lower() for operation in Operation)
_TEXT: Final = re.compile(
    rf"({_EVERY}):(\d{{1,9}})/(\d{{1,9}})(?::(\d{{1,9}}))?"
    rf"(?:,after=({'|'.join(operation.name.lower() for operation in _MAPS)})/(\d{{1,9}}))?"
)


@dataclass(frozen=True)
class Shape:
    """One operation, and what happens in its zspage directly before it."""

    operation: Operation
    length: int
    """length of the object in bytes, which decides its class"""
    slot: int
    mapped: int = 0
    """how many bytes are mapped, from the first byte of the object; 0 for all"""
    after: tuple[Operation, int] | None = None
    """a map that comes directly before: of the object in this slot, or in one beside it"""

    @property
    def maps(self) -> bool:
        """Whether the operation maps the object."""
        return self.operation in _MAPS

    def describe(self, geometry: Geometry) -> str:
        """Say in words what the operation is and where the end of the page falls."""
        class_index = int(geometry.class_index(self.length))
        slots, size = geometry.slots_of(class_index), int(geometry.sizes[class_index])
        words = [f"{self.operation.name.lower()} of"]
        if self.mapped and self.mapped != self.length:
            words.append(f"the first {self.mapped} bytes of")
        words.append(f"an object of {self.length} bytes in slot {self.slot} of class {size}")
        if slots.spans[self.slot]:
            inside = geometry.page_size - int(slots.offset[self.slot])
            words.append(f"({inside} bytes of the slot in its first page, {size - inside} behind)")
        else:
            words.append("(does not span)")
        if self.after:
            words.append(f"after a {self.after[0].name.lower()} in slot {self.after[1]}")
        return " ".join(words)

    def append(self, builder: ScriptBuilder) -> int:
        """Append the operation and all that must precede it; return the number of the operation.

        ZsemuError if the zspage has no such slot, or the object not so many bytes.
        """
        zspage = builder.zspage(int(builder.geometry.class_index(self.length)))
        slots = len(builder.geometry.slots_of(builder.class_of(zspage)))
        self._check(builder.geometry, builder.class_of(zspage))
        objects = {
            slot: builder.allocate(zspage, slot, self.length)
            for slot in range(max(0, self.slot - 1), min(slots, self.slot + 2))
            if slot != self.slot or self.operation != Operation.ALLOCATE
        }
        for number in objects.values():
            builder.use(Operation.WRITE, number)
        # From here on nothing is displaced.
        for number in objects.values():
            builder.settle(number)
        if self.after:
            builder.use(self.after[0], objects[self.after[1]])
        at = len(builder)
        if self.operation == Operation.ALLOCATE:
            builder.allocate(zspage, self.slot, self.length)
        elif self.operation == Operation.FREE:
            builder.free(objects[self.slot])
        else:
            builder.use(self.operation, objects[self.slot], self.mapped)
        return at

    def _check(self, geometry: Geometry, class_index: int) -> None:
        slots = geometry.slots_of(class_index)
        if self.slot >= len(slots):
            spanning = ", ".join(str(slot) for slot in range(len(slots)) if slots.spans[slot])
            raise ZsemuError(
                f"no slot {self.slot}: {self.length} bytes are of class"
                f" {geometry.sizes[class_index]}, whose zspages ({geometry.name},"
                f" {geometry.word_bits} bits) have slots 0 to {len(slots) - 1};"
                f" of these span: {spanning or 'none'}"
            )
        if self.mapped > self.length:
            raise ZsemuError(f"an object of {self.length} bytes has no {self.mapped} to map")
        if self.after:
            there = [slot for slot in range(len(slots)) if abs(slot - self.slot) <= 1]
            if self.operation == Operation.ALLOCATE:
                there.remove(self.slot)
            if self.after[1] not in there:
                choices = ", ".join(map(str, there)) or "none: it is alone in its zspage"
                raise ZsemuError(
                    f"no object in slot {self.after[1]} that could be mapped before:"
                    f" there are those in slots {choices}"
                )


def parse(text: str) -> Shape:
    """Return the shape that a text describes; ZsemuError shows an example if it is none."""
    match = _TEXT.fullmatch(text)
    nothing = match and match[4] and (int(match[4]) == 0 or match[1] in ("allocate", "free"))
    if match is None or nothing:
        raise ZsemuError(
            f"no shape {text!r}: give OPERATION:LENGTH/SLOT, perhaps with :BYTES that are mapped"
            " and ,after=OPERATION/SLOT, such as read:1632/2, write:1632/2:800,"
            f" read:3600/4,after=write/3; operations are {_EVERY.replace('|', ', ')}"
        )
    after = (Operation[match[5].upper()], int(match[6])) if match[5] else None
    return Shape(
        Operation[match[1].upper()], int(match[2]), int(match[3]), int(match[4] or 0), after
    )
