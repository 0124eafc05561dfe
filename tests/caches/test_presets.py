# SPDX-License-Identifier: GPL-2.0-only
"""The caches of CPUs that cite a device tree, against that device tree."""

import re
from pathlib import Path

import pytest
from kernel.objects import RealKernel

from zsemu.caches.hierarchy import Hierarchy, Level, find
from zsemu.caches.presets import PRESETS

FOLDER = "linux-6.12/"


def level(text: str, prefix: str) -> Level:
    """Return the first cache in a device tree whose properties have a prefix."""

    def first(name: str) -> int:
        found = re.search(rf"(?<![\w-]){prefix}{name} = <(\w+)>;", text)
        assert found, name
        return int(found[1], 0)

    size, line = first("cache-size"), first("cache-(?:line|block)-size")
    return Level(size, size // (first("cache-sets") * line), line)


def described(tree: Path, source: str) -> Hierarchy:
    text = (tree / source.removeprefix(FOLDER)).read_text()
    return Hierarchy(level(text, "d-"), level(text, ""))


def test_ways_follow_from_sets() -> None:
    text = "d-cache-sets = <128>; cache-sets = <64>; d-cache-size = <0x8000>;"
    for name in ("line", "block"):
        found = level(f"{text} d-cache-{name}-size = <64>; cache-{name}-size = <32>;", "d-")
        assert found == Level(32768, 4, 64)


@pytest.mark.external
def test_device_trees(kernel: RealKernel) -> None:
    cited = {name: one for name, one in PRESETS.items() if one.source.startswith(FOLDER)}
    assert len(cited) == 4
    for name, preset in cited.items():
        assert described(kernel.tree, preset.source) == find(name)
