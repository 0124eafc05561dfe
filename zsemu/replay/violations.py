# SPDX-License-Identifier: GPL-2.0-only
"""Describe a violation, something that a strategy did and must not do, so that it can be found."""

from dataclasses import asdict, dataclass
from typing import Final, Protocol

KEPT: Final = 20
"""violations reported in full; the others are only counted"""

WRONG_BYTES: Final = "wrong bytes"
HEADER: Final = "header changed"
LINK: Final = "free-list link changed"
STRAY: Final = "stray store"
STRAY_LOAD: Final = "stray load"
FAULT: Final = "fault"
ENDLESS: Final = "endless loop"
HALTS: Final = "halts"
"""the CPU waits for an interrupt, which never comes"""
SPANS: Final = "wrong spans"
MISALIGNED: Final = "unaligned access"
STALE: Final = "missing TLB invalidate"
PROMISE: Final = "broken promise"
PLACEMENT: Final = "placement"
"""a kernel's allocator puts an object elsewhere than the model of zsemu.zsmalloc"""
ALLOCATOR: Final = "allocator"
"""a kernel's allocator fails, or breaks a list, a lock, a reference count or another rule"""

ENDS: Final = (FAULT, ENDLESS, HALTS, SPANS)
"""kinds after which a replay cannot go on"""

FINAL_READ: Final = "final read"
"""the action where an object is found broken when it is read back at the end"""


@dataclass(frozen=True)
class Violation:
    """One violation. ``expected`` and ``found`` are bytes in hexadecimal."""

    kind: str
    operation: int
    """number of the operation in the trace, from 0"""
    action: str
    """what it was: allocate, free, read, write, update; 'final read' for the read-back"""
    object_number: int
    class_size: int
    slot: int
    offset: int
    """of the slot in the page in which it starts"""
    detail: str
    """what happened, in words"""
    expected: str
    found: str
    pc: str
    """function+offset of the instruction that did it, and its source line; empty if unknown"""
    instruction: str
    calls: tuple[str, ...] = ()
    """where it was called from, in the same way, the innermost first"""

    @property
    def subject(self) -> str:
        """What did it, in words; an operation behind the trace's end is of no object."""
        if self.object_number < 0:
            return self.action
        where = f"class {self.class_size}, slot {self.slot} at offset {self.offset}"
        return f"{self.action} of object {self.object_number}, {where}"

    def as_dict(self) -> dict[str, object]:
        """Return it as results have it."""
        return {key.removesuffix("_number"): value for key, value in asdict(self).items()}

    def __str__(self) -> str:
        text = f"{self.kind}: operation {self.operation} ({self.subject}): {self.detail}"
        if self.expected or self.found:
            text += f"; expected {self.expected or '-'}, found {self.found or '-'}"
        if self.pc:
            text += f"; at {self.pc}: {self.instruction}"
        if self.calls:
            text += f"; called at {', '.join(self.calls)}"
        return text


class Told(Protocol):
    """What tells of a violation: its kind, and what happened in words."""

    @property
    def kind(self) -> str:
        """Its kind."""

    @property
    def detail(self) -> str:
        """What happened; of a broken promise, behind the promise's name."""


def check_of(told: Told) -> str:
    """Return which check a violation fails: its kind, or the promise that is broken."""
    if told.kind == PROMISE:
        return told.detail.partition(":")[0]
    return told.kind
