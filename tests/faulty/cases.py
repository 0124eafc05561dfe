# SPDX-License-Identifier: GPL-2.0-only
"""Showing cases: the few operations that show a planted bug, on any architecture.

Unless a case says otherwise the geometry is chain-8 with 4 KiB pages, and the objects are of

==========  ==========  ==================================================================
length      class       slots
==========  ==========  ==================================================================
``APART``   1680        2 spans, the smaller part of it (736 bytes) in its first page; 4
                        spans, the smaller part (208) in its second; 1, 3, 5 beside them
                        do not
``CHAIN``   3632        1 to 7 span, each the neighbour of the next
``SMALL``   720 or 704  0 to 4 lie in the first page
==========  ==========  ==================================================================

on all architectures alike. Every case ends with all that is alive being read back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from zsemu.guest.targets import target
from zsemu.replay.placed_trace import PlacedTrace
from zsemu.replay.script import ScriptBuilder
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import geometry

READ, WRITE, UPDATE = Operation.READ, Operation.WRITE, Operation.UPDATE

APART, CHAIN, SMALL = 1632, 3600, 700


@dataclass(frozen=True)
class Case:
    """Some operations."""

    script: Callable[[ScriptBuilder], None]
    geometry: str
    page_size: int

    @property
    def name(self) -> str:
        """What it is called here."""
        return self.script.__name__

    @property
    def page_shift(self) -> int:
        """Of the pages that zsmalloc sees."""
        return self.page_size.bit_length() - 1

    def work(self, arch: str) -> PlacedTrace:
        """Return the operations as a kernel for ``arch`` would place them."""
        return _work(self, arch)


@cache
def _work(case: Case, arch: str) -> PlacedTrace:
    machine = target(arch)
    builder = ScriptBuilder(
        geometry(
            case.geometry,
            page_size=case.page_size,
            word_bits=machine.word_bits,
            physical_bits=machine.physical_bits,
        )
    )
    case.script(builder)
    return builder.placed()


CASES: list[Case] = []


def _case(
    geometry: str = "chain-8", page_size: int = 4096
) -> Callable[[Callable[[ScriptBuilder], None]], Case]:
    def made(script: Callable[[ScriptBuilder], None]) -> Case:
        CASES.append(Case(script, geometry, page_size))
        return CASES[-1]

    return made


def _fill(builder: ScriptBuilder, length: int, slots: list[int]) -> list[int]:
    """Write objects into some slots of a new zspage, of the class that ``length`` gets."""
    zspage = builder.zspage(int(builder.geometry.class_index(length)))
    objects = [builder.allocate(zspage, slot, builder.capacity(zspage)) for slot in slots]
    for object_ in objects:
        builder.use(WRITE, object_)
    return objects


def _odd(builder: ScriptBuilder) -> int:
    """Return a length that is no multiple of a word, of an object that spans in slot 2."""
    return builder.geometry.page_size // 5


@_case()
def once(builder: ScriptBuilder) -> None:
    """One spanning object is written on CPU 0 and read on CPU 1."""
    (object_,) = _fill(builder, APART, [2])
    builder.use(READ, object_, cpu=1)


@_case()
def updated(builder: ScriptBuilder) -> None:
    """One spanning object is written on CPU 0 and updated on CPU 1."""
    (object_,) = _fill(builder, APART, [2])
    builder.use(UPDATE, object_, cpu=1)


@_case()
def partly_updated(builder: ScriptBuilder) -> None:
    """The first odd bytes of a spanning object are updated, and all of it is read."""
    (object_,) = _fill(builder, APART, [2])
    builder.use(UPDATE, object_, _odd(builder))
    builder.use(READ, object_)


@_case()
def read_twice(builder: ScriptBuilder) -> None:
    """One CPU reads a spanning object twice."""
    (object_,) = _fill(builder, APART, [2])
    builder.use(READ, object_)
    builder.use(READ, object_)


@_case()
def just_reaches_over(builder: ScriptBuilder) -> None:
    """The object in slot 2 has two bytes in its second page."""
    zspage = builder.zspage(int(builder.geometry.class_index(APART)))
    slots = builder.geometry.slots_of(builder.class_of(zspage))
    header = int(builder.geometry.headers[builder.class_of(zspage)])
    length = builder.geometry.page_size - int(slots.offset[2]) - header + 2
    builder.use(WRITE, builder.allocate(zspage, 2, length))


@_case()
def whole(builder: ScriptBuilder) -> None:
    """The first odd bytes of an object that does not span are written and read."""
    (object_,) = _fill(builder, APART, [1])
    builder.use(WRITE, object_, 101)
    builder.use(READ, object_, 101)


@_case()
def between(builder: ScriptBuilder) -> None:
    """A spanning object between two others is used in all modes and lengths, on two CPUs."""
    _, object_, _ = _fill(builder, APART, [1, 2, 3])
    odd = _odd(builder)
    for cpu, operation, length in (
        (1, UPDATE, 0),
        (0, READ, 0),
        (1, WRITE, odd),
        (0, UPDATE, odd),
        (1, READ, odd),
        (0, WRITE, 1),
        (1, READ, 1),
    ):
        builder.use(operation, object_, length, cpu)


@_case()
def short_tail(builder: ScriptBuilder) -> None:
    """As once, between two others, where the smaller part is the one in the second page."""
    _, object_, _ = _fill(builder, APART, [3, 4, 5])
    builder.use(READ, object_)


@_case()
def behind_free(builder: ScriptBuilder) -> None:
    """The slot behind a spanning object that was used and freed is allocated."""
    (object_,) = _fill(builder, APART, [2])
    builder.free(object_)
    builder.allocate(0, 3, builder.capacity(0))


@_case()
def shorter(builder: ScriptBuilder) -> None:
    """The first odd bytes of a spanning object are written after all of it was."""
    (object_,) = _fill(builder, APART, [2])
    builder.use(WRITE, object_, _odd(builder))


@_case()
def after_another(builder: ScriptBuilder) -> None:
    """One byte of a spanning object is written after another one was mapped."""
    object_, _ = _fill(builder, APART, [2, 4])
    builder.use(WRITE, object_, 1)


@_case(geometry="2012")
def after_another_2012(builder: ScriptBuilder) -> None:
    """As after_another, with no headers, and one spanning slot in a zspage: 2 in class 1632."""
    (object_,) = _fill(builder, APART, [2])
    _fill(builder, APART, [2])
    builder.use(WRITE, object_, 1)


@_case(page_size=16384)
def ends_before_its_slot(builder: ScriptBuilder) -> None:
    """The slot spans, what is written does not: 820 bytes in slot 18 of class 864.

    The example of 20250507054312.4135983-1. With the size classes of i386 and riscv32 no object
    ends before its slot spans; there one byte is written.
    """
    length = 820
    class_index = int(builder.geometry.class_index(length))
    slots = builder.geometry.slots_of(class_index)
    end = slots.offset + builder.geometry.headers[class_index] + length
    ends_before = np.flatnonzero(slots.spans & (end <= builder.geometry.page_size))
    slot = int([*ends_before, *np.flatnonzero(slots.spans)][0])
    object_ = builder.allocate(builder.zspage(class_index), slot, length)
    builder.use(WRITE, object_, length if len(ends_before) else 1)


@_case()
def chain(builder: ScriptBuilder) -> None:
    """Four spanning objects, each the neighbour of the next, are used up, down and across."""
    _, second, third, last = _fill(builder, CHAIN, [1, 2, 3, 4])
    for object_ in (third, second, last):
        builder.use(READ, object_)


@_case()
def neighbour(builder: ScriptBuilder) -> None:
    """A spanning object is read, then the one behind it."""
    for object_ in _fill(builder, APART, [2, 3]):
        builder.use(READ, object_)


@_case()
def compaction(builder: ScriptBuilder) -> None:
    """A spanning object moves to the same slot of another zspage."""
    (object_,) = _fill(builder, APART, [2])
    _fill(builder, APART, [1])
    builder.compact(object_, 1, 2)
    builder.use(READ, object_)


@_case()
def migration(builder: ScriptBuilder) -> None:
    """CPU 1 migrates the page in which an object starts that CPU 0 has used, and will."""
    object_, behind = _fill(builder, APART, [2, 3])
    builder.use(READ, object_)
    builder.migrate(0, 0, cpu=1)
    builder.use(READ, behind)
    builder.use(UPDATE, object_)
    builder.use(READ, object_, cpu=1)


@_case()
def small(builder: ScriptBuilder) -> None:
    """The first slot of a page of many is written."""
    _fill(builder, SMALL, [0])


@_case()
def last_before_another(builder: ScriptBuilder) -> None:
    """The last object of a zspage is read, and behind it lies another zspage."""
    *_, last = _fill(builder, APART, [14, 16])
    _fill(builder, APART, [2])
    builder.use(READ, last)
