# SPDX-License-Identifier: GPL-2.0-only
"""Describe the kprobes on zsmalloc that a recording is made with, and what their events mean.

recorder.py defines these kprobes in the running kernel; the importer takes their events to pieces
by the same table, :data:`PROBES`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import product
from typing import Final


class Role(IntEnum):
    """What an event means."""

    MALLOC = 0
    MALLOC_RETURN = 1
    FREE = 2
    BEGIN = 3
    """A map begins: zs_map_object, or a read of the API from 6.15."""
    END = 4
    """A map ends."""
    WRITE = 5
    """zs_obj_write, which maps and unmaps in one call."""
    WRITE_RETURN = 6


@dataclass(frozen=True)
class Probe:
    """One kprobe: the event's name, and the arguments that the event prints, in their order."""

    name: str
    role: Role
    arguments: tuple[tuple[str, int], ...]
    """Name and number of each argument, counted from 1; 0 is the return value."""

    @property
    def returns(self) -> bool:
        """Whether the event is the function's return."""
        return self.role in (Role.MALLOC_RETURN, Role.WRITE_RETURN)

    @property
    def function(self) -> str:
        """The function in mm/zsmalloc.c."""
        return self.name.removesuffix("_ret")

    @property
    def events(self) -> tuple[str, ...]:
        """The event's names: the one above and, of a return, the one that ``perf probe`` gives it.

        Source: get_new_event_name() in tools/perf/util/probe-event.c of 6.12.
        """
        return (self.name, f"{self.function}__return") if self.returns else (self.name,)

    def spellings(self) -> Iterator[tuple[str, ...]]:
        """Yield each way in which a tool may name the event and, behind it, its arguments.

        ``perf probe`` can take an argument's name from the kernel's source. What is given no name,
        such as a return value, is called arg1 (kernel/trace/trace_probe.c of 6.12).
        """
        arguments = [
            (name, *(["arg1"] if number == 0 else []), *_IN_SOURCE.get(name, ()))
            for name, number in self.arguments
        ]
        yield from product(self.events, *arguments)


_HANDLE = ("handle", 2)
# What the parameter is called in mm/zsmalloc.c, where that is another name.
_IN_SOURCE = {"mode": ("mm",)}

PROBES: Final = (
    Probe("zs_malloc", Role.MALLOC, (("size", 2),)),
    Probe("zs_malloc_ret", Role.MALLOC_RETURN, (("handle", 0),)),
    Probe("zs_free", Role.FREE, (_HANDLE,)),
    # Up to 6.14.
    Probe("zs_map_object", Role.BEGIN, (_HANDLE, ("mode", 3))),
    Probe("zs_unmap_object", Role.END, (_HANDLE,)),
    # From 6.15; with mem_len since 0be909f114c4 (January 2026). Before, a read does not say how
    # long it is.
    Probe("zs_obj_read_begin", Role.BEGIN, (_HANDLE,)),
    Probe("zs_obj_read_begin", Role.BEGIN, (_HANDLE, ("mem_len", 3))),
    Probe("zs_obj_read_end", Role.END, (_HANDLE,)),
    Probe("zs_obj_write", Role.WRITE, (_HANDLE, ("mem_len", 4))),
    Probe("zs_obj_write_ret", Role.WRITE_RETURN, ()),
    # From January 2026 (dc2e4982cb01).
    Probe("zs_obj_read_sg_begin", Role.BEGIN, (_HANDLE, ("mem_len", 4))),
    Probe("zs_obj_read_sg_end", Role.END, (_HANDLE,)),
)
