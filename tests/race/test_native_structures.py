# SPDX-License-Identifier: GPL-2.0-only
"""Structures and numbers of the native search: as Python has them, against the compiler's DWARF."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import dwarf
import pytest

from zsemu.guest import image
from zsemu.race import machine
from zsemu.race import native_structures as ours
from zsemu.race.native_structures import NativeCpu, NativeRace

# Macros leave no trace in debug information; enumerators made of them do.
_MACROS = """
#include "%s"
enum macro {
        M_MAX_BLOCKS = MAX_BLOCKS,
        M_OUTCOMES = OUTCOMES,
        M_LEAF_USED = LEAF_USED,
        M_FAILS = FAILS,
        M_KIND = KIND,
        M_TLB = TLB,
} macro;
enum end an_end; enum mode a_mode; struct step a_step;
"""


def compiled(folder: Path, header: Path) -> dwarf.Types:
    return dwarf.compiled(_MACROS % header, folder)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> dwarf.Types:
    return compiled(tmp_path_factory.mktemp("native"), machine.SOURCE)


def differences(types: dwarf.Types) -> set[str]:
    found = set()
    for name, struct in (("cpu", NativeCpu), ("race", NativeRace)):
        mine, theirs = dwarf.fields(struct), types.structs[name]
        found |= {key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)}
        if types.sizes[name] != ctypes.sizeof(struct):
            found.add(f"sizeof {name}")
    for name, dtype in (("block", ours.BLOCK), ("step", ours.STEP), ("outcome", ours.OUTCOME)):
        if types.sizes[name] != dtype.itemsize or types.structs[name] != dwarf.members(dtype):
            found.add(name)
    return found


def test_structures(native: dwarf.Types) -> None:
    assert differences(native) == set()


def test_constants(native: dwarf.Types) -> None:
    assert native.enums["macro"] == {
        "M_MAX_BLOCKS": ours.MAX_BLOCKS,
        "M_OUTCOMES": ours.OUTCOMES,
        "M_LEAF_USED": ours.LEAF_USED,
        "M_FAILS": ours.FAILS,
        "M_KIND": image.KIND,
        "M_TLB": image.TLB,
    }
    for enum in ("end", "mode"):
        for name, value in native.enums[enum].items():
            assert getattr(ours, name) == value


def test_finds_planted_difference(edit_race: Callable[..., None], tmp_path: Path) -> None:
    edit_race("uint64_t schedules, pruned,", "uint64_t pruned, schedules,")
    assert differences(compiled(tmp_path, machine.SOURCE)) == {"schedules", "pruned"}
