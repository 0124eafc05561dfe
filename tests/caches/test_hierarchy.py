# SPDX-License-Identifier: GPL-2.0-only
"""How caches are described, and what cannot be."""

import pytest

from zsemu.caches.hierarchy import Hierarchy, Level, find
from zsemu.caches.presets import PRESETS
from zsemu.errors import ZsemuError


def test_a_description_and_what_it_is_written_as() -> None:
    assert find("l1=32K:8,l2=1M:16") == Hierarchy(Level(32768, 8), Level(1 << 20, 16))
    assert find(" l2=512K:8:32, l1=4K:2:32") == Hierarchy(Level(4096, 2, 32), Level(524288, 8, 32))
    for text in ("l1=32K:8,l2=1M:16", "l1=384:3:32,l2=640:5:32", "l1=1G:16,l2=1G:16"):
        assert str(find(text)) == text
    assert (find("l1=32K:8,l2=1M:16").l1.sets, find("l1=32K:8,l2=1M:16").l1.lines) == (64, 512)


def test_presets_are_descriptions_with_a_source() -> None:
    for name, preset in PRESETS.items():
        assert str(find(name)) == preset.caches
        assert preset.source and preset.what


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not l1=SIZE:WAYS"),
        ("pentium", "none of skylake, zen,"),
        ("l1=32K:8", "not l1=SIZE:WAYS"),
        ("l1=32K:8,l1=32K:8", "not l1=SIZE:WAYS"),
        ("l1=32K:8,l2=512K:8,l3=8M:16", "not l1=SIZE:WAYS"),
        ("l1=32K,l2=512K:8", "not l1=SIZE:WAYS"),
        ("l1=32K:8K,l2=512K:8", "not l1=SIZE:WAYS"),
        ("l1=32K:0,l2=512K:8", "32768 bytes are not a power of two of sets of 0 lines"),
        ("l1=48K:8,l2=512K:8", "49152 bytes are not a power of two of sets of 8 lines of 64"),
        ("l1=32:8,l2=512K:8", "32 bytes are not a power of two of sets"),
        ("l1=32K:8,l2=512K:8:128", "lines of 64 and of 128 bytes: choose one"),
        ("l1=32K:8:48,l2=512K:8", "a line of 48 bytes; choose a power of two from 8 to 4096"),
        ("l1=32K:8,l2=64G:1", "at most 67108864 can be modelled"),
    ],
)
def test_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ZsemuError, match=says):
        find(text)
