# SPDX-License-Identifier: GPL-2.0-only
"""Structures and numbers of the native model: as Python has them, against the compiler's DWARF."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import dwarf
import pytest

from zsemu import counts
from zsemu.caches import native_structures as ours
from zsemu.caches.native_structures import NativeLayout, NativeLevel, NativeModel
from zsemu.guest import hook_structures, memory

_TYPES = """
#include "%s"
enum step_bit a_bit; enum count a_count; enum base a_base;
"""


def compiled(header: Path, folder: Path, types: str = _TYPES) -> dwarf.Types:
    return dwarf.compiled(types % header, folder)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> dwarf.Types:
    types = _TYPES + "enum region a_region;\n"
    return compiled(ours.SOURCE, tmp_path_factory.mktemp("native"), types)


def differences(types: dwarf.Types) -> set[str]:
    found = set()
    for name, struct in (("level", NativeLevel), ("model", NativeModel), ("layout", NativeLayout)):
        if (dwarf.fields(struct), ctypes.sizeof(struct)) != (
            types.structs[name],
            types.sizes[name],
        ):
            found.add(name)
    place = types.structs["place"], types.sizes["place"]
    if place != (dwarf.members(ours.PLACE), ours.PLACE.itemsize):
        found.add("place")
    return found


def test_structures(native: dwarf.Types) -> None:
    assert differences(native) == set()


def test_numbers(native: dwarf.Types) -> None:
    bits = {name: getattr(hook_structures, name) for name in native.enums["step_bit"]}
    assert native.enums["step_bit"] == bits and len(bits) == 5
    for enum, names, last in (
        ("base", ours.BASES, "BASES"),
        ("count", counts.CACHE_COUNTS, "COUNTS"),
    ):
        values = dict(native.enums[enum])
        assert values.pop(last) == len(names)
        assert {name.lower(): value for name, value in values.items()} == {
            name: number for number, name in enumerate(names)
        }
    regions = {name.removeprefix("R_"): at for name, at in native.enums["region"].items()}
    assert regions == {name: getattr(memory, name) for name in regions}
    assert len(regions) == 7


def test_finds_planted_difference(edit_caches: Callable[..., None], tmp_path: Path) -> None:
    edit_caches("uint64_t pfns, words;", "uint64_t words, pfns;")
    edit_caches("uint64_t ways;", "uint32_t ways;")
    assert differences(compiled(ours.SOURCE, tmp_path)) == {"layout", "level", "model"}
