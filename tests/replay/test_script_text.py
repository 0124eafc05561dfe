# SPDX-License-Identifier: GPL-2.0-only
"""A case that is printed can be read again, and does the same."""

from pathlib import Path

import numpy as np
import pytest

from zsemu.errors import ZsemuError
from zsemu.guest.structures import Mode
from zsemu.guest.targets import target
from zsemu.replay import script_text
from zsemu.replay.script import ScriptBuilder
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import geometry


def example() -> ScriptBuilder:
    builder = ScriptBuilder(geometry("chain-8"), "scattered")
    index = builder.geometry.sizes.tolist().index(3072)
    first, second = builder.zspage(index), builder.zspage(index)
    objects = [builder.allocate(first, slot, 3000 + slot, slot % 2) for slot in (1, 2, 0)]
    other = builder.allocate(second, 3, 100)
    for number in (*objects, other):
        builder.use(Operation.WRITE, number)
    builder.use(Operation.UPDATE, objects[0], 7, cpu=1)
    builder.hold(objects[1], Mode.RO, 2)
    builder.release(2, cpu=1)
    builder.compact(objects[2], second, 0)
    builder.migrate(first, 1)
    builder.settle(objects[0])
    builder.free(objects[1])
    builder.use(Operation.READ, objects[2])
    return builder


def test_read_again(tmp_path: Path) -> None:
    path = tmp_path / "case.txt"
    path.write_text("# a comment\n\n" + "\n".join(example().lines()) + "\n")
    again = script_text.read(path, target("x86_64"))
    assert again.lines() == example().lines()
    ours, theirs = again.placed(), example().placed()
    for name in ("operation", "object", "length", "cpu"):
        np.testing.assert_array_equal(getattr(ours.trace, name), getattr(theirs.trace, name))
    for name in ("zspage", "slot", "page", "offset", "class_index", "opens"):
        np.testing.assert_array_equal(getattr(ours.placed, name), getattr(theirs.placed, name))
    assert ours.script is not None
    assert theirs.script is not None
    for name in ("kind", "mode", "held", "partner", "target"):
        np.testing.assert_array_equal(getattr(ours.script, name), getattr(theirs.script, name))
    assert ours.page_order == "scattered"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "geometry"),
        ("zspage 0 class 3072", ":1: expected 'geometry"),
        ("geometry chain-9 page-size 4096 ascending", ":1: not possible"),
        ("geometry chain-8 page-size 4096 sideways", ":1: expected"),
        ("geometry chain-8 page-size 4096 ascending\nzspage 0 class 3", ":2: expected a size"),
        ("geometry chain-8 page-size 4096 ascending\ncpu 0: jump 3", ":2: expected one of"),
        ("geometry chain-8 page-size 4096 ascending\ncpu 0: read 3", ":2: expected 'read"),
        ("geometry chain-8 page-size 4096 ascending\ncpu 0: read 3 9", ":2: not possible"),
        ("geometry chain-8 page-size 4096 ascending", "no operation"),
    ],
)
def test_what_cannot_be_read(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "case.txt"
    path.write_text(text)
    with pytest.raises(ZsemuError) as caught:
        script_text.read(path, target("x86_64"))
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
