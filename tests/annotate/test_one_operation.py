# SPDX-License-Identifier: GPL-2.0-only
"""One shape: its text, what it does, and what is wrong with it. What it costs: golden/."""

import re

import numpy as np
import pytest

from zsemu.annotate.one_operation import Shape, parse
from zsemu.errors import ZsemuError
from zsemu.guest.structures import Kind
from zsemu.replay.script import ScriptBuilder
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import Geometry, geometry


def chain_8() -> Geometry:
    return geometry("chain-8", page_size=4096, word_bits=64)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("read:1632/2", Shape(Operation.READ, 1632, 2)),
        ("write:1632/2:800", Shape(Operation.WRITE, 1632, 2, 800)),
        ("free:4096/0", Shape(Operation.FREE, 4096, 0)),
        (
            "update:3600/4:7,after=write/3",
            Shape(Operation.UPDATE, 3600, 4, 7, (Operation.WRITE, 3)),
        ),
        (
            "allocate:3600/4,after=read/5",
            Shape(Operation.ALLOCATE, 3600, 4, 0, (Operation.READ, 5)),
        ),
    ],
)
def test_parse(text: str, shape: Shape) -> None:
    assert parse(text) == shape


@pytest.mark.parametrize(
    "text",
    [
        "",
        "read",
        "read:1632",
        "read:/2",
        "map:1632/2",
        "read:1632/2:",
        "read:1632/2:0",
        "read:1632/2:00",
        "read:1632/-2",
        "read:1632/2 ",
        "READ:1632/2",
        "free:1632/2:8",
        "allocate:1632/2:8",
        "read:1632/2,after=free/3",
        "read:1632/2,after=read",
        "read:1632/2,",
        "read:99999999999/2",
    ],
)
def test_what_is_none_is_told_by_examples(text: str) -> None:
    with pytest.raises(ZsemuError, match="read:1632/2, write:1632/2:800"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("read:1632/17", "class 1680, whose zspages .chain-8, 64 bits. have slots 0 to 16"),
        ("read:1632/17", "of these span: 2, 4, 7, 9, 12, 14$"),
        ("read:4096/1", "slots 0 to 0; of these span: none"),
        ("read:0/0", "0 bytes fit no size class"),
        ("read:4097/0", "4097 bytes fit no size class"),
        ("read:1632/2:1633", "1632 bytes has no 1633"),
        ("read:1632/2,after=read/4", "slot 4 .*slots 1, 2, 3$"),
        ("read:1632/0,after=read/16", "slots 0, 1$"),
        ("allocate:1632/2,after=read/2", "slots 1, 3$"),
        ("allocate:4096/0,after=read/0", "none: it is alone"),
    ],
)
def test_errors_say_what_there_is(text: str, says: str) -> None:
    with pytest.raises(ZsemuError) as caught:
        parse(text).append(ScriptBuilder(chain_8()))
    assert re.search(says, str(caught.value))


@pytest.mark.parametrize(
    ("text", "mapped"),
    [("read:1632/2", 1632), ("write:1632/2:800", 800), ("free:1632/2", 1632)],
)
def test_what_it_appends(text: str, mapped: int) -> None:
    """The operation is in its slot, with objects beside it, and nothing is displaced before."""
    builder = ScriptBuilder(chain_8())
    at = parse(text).append(builder)
    work = builder.placed()
    assert work.script
    assert work.trace.operation[at] == Operation[text.partition(":")[0].upper()]
    assert work.trace.length[at] == mapped
    assert work.placed.slot[at] == 2
    assert work.placed.spans[at]
    assert work.geometry.sizes[work.placed.class_index[at]] == 1680
    allocates = work.trace.operation[:at] == Operation.ALLOCATE
    assert work.placed.slot[:at][allocates].tolist() == [1, 2, 3]
    assert (work.script.kind[at - 3 : at] == Kind.SETTLE).all()
    assert len(np.unique(work.placed.zspage)) == 1


def test_after() -> None:
    builder = ScriptBuilder(chain_8())
    at = parse("read:3600/4,after=write/3").append(builder)
    work = builder.placed()
    assert (work.trace.operation[at - 1], work.placed.slot[at - 1]) == (Operation.WRITE, 3)
    assert (work.trace.operation[at], work.placed.slot[at]) == (Operation.READ, 4)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("read:1632/2", "class 1680 (736 bytes of the slot in its first page, 944 behind)"),
        ("write:1632/3:9", "write of the first 9 bytes of an object of 1632 bytes in slot 3"),
        ("write:1632/3:9", "(does not span)"),
        ("free:3600/4,after=read/3", "behind) after a read in slot 3"),
    ],
)
def test_in_words(text: str, says: str) -> None:
    assert says in parse(text).describe(chain_8())
