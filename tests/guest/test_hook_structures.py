# SPDX-License-Identifier: GPL-2.0-only
"""Structures and numbers of the native hooks: as Python has them, against the compiler's DWARF."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import dwarf
import pytest

from zsemu import counts
from zsemu.counts import TLB_KINDS
from zsemu.guest import hook_structures, hooks, image, structures
from zsemu.guest.alternation import NativeAlternation
from zsemu.guest.hook_structures import NativeHooks
from zsemu.guest.strategies import PROMISES

# Macros leave no trace in debug information; enumerators made of them do.
# The sizes of arrays are seen in the structures.
MACROS = """
#include "%s"
enum macro {
        M_SCOPES = SCOPES,
        M_ZSPAGE_SIZE = ZSPAGE_SIZE,
        M_ZSPAGE_PFNS = ZSPAGE_PFNS,
        M_ZSPAGE_WORDS = ZSPAGE_WORDS,
        M_ALIGNED = ALIGNED,
        M_ENTRY = ENTRY,
        M_KIND = KIND,
        M_PROFILE = PROFILE,
} macro;
enum column a_column; enum region a_region; enum kind a_kind; enum what a_what; enum phase a_phase;
int rest = COLUMNS;
"""


def compiled(folder: Path) -> dwarf.Types:
    """Return the types of the hooks as they lie in hooks.SOURCES."""
    return dwarf.compiled(MACROS % (hooks.SOURCES / "hooks.c"), folder)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> dwarf.Types:
    return compiled(tmp_path_factory.mktemp("native"))


def differences(types: dwarf.Types) -> set[str]:
    found = set()
    for struct, dtype in [
        ("expected", hook_structures.EXPECTED),
        ("finding", hook_structures.FINDING),
        ("block", hook_structures.BLOCK),
    ]:
        if types.structs[struct] != dwarf.members(dtype) or types.sizes[struct] != dtype.itemsize:
            found.add(struct)
    for whole, structure in (("hooks", NativeHooks), ("alternation", NativeAlternation)):
        ours, theirs = dwarf.fields(structure), types.structs[whole]
        found |= {one for one in ours.keys() | theirs.keys() if ours.get(one) != theirs.get(one)}
        if types.sizes[whole] != ctypes.sizeof(structure):
            found.add(f"sizeof {whole}")
    return found


def test_structures(native: dwarf.Types) -> None:
    assert differences(native) == set()
    assert len(dwarf.fields(NativeHooks)) > 60


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (
            "uint64_t text, text_size;",
            "uint64_t text_size, text;",
            {"image.text", "image.text_size"},
        ),
        ("uint64_t low, high;", "uint64_t high, low;", {"expected"}),
        (
            "void *first, *last, *current, *stop_at;",
            "void *first, *last, *stop_at, *current;",
            {"current", "stop_at"},
        ),
    ],
)
def test_finds_planted_difference(
    old: str, new: str, found: set[str], edit_hooks: Callable[..., None], tmp_path: Path
) -> None:
    edit_hooks(old, new)
    assert differences(compiled(tmp_path)) == found


def in_order(values: dict[str, int]) -> list[str]:
    """Return the names of an enum whose values are 0, 1, 2 and so on, in their order."""
    assert sorted(values.values()) == list(range(len(values)))
    return [name.lower() for name in sorted(values, key=values.__getitem__)]


def test_macros(native: dwarf.Types) -> None:
    assert native.enums["macro"] == {
        "M_SCOPES": counts.SCOPE_COLUMNS,
        "M_ZSPAGE_SIZE": structures.ZSPAGE_SIZE,
        "M_ZSPAGE_PFNS": structures.ZSPAGE_PFNS,
        "M_ZSPAGE_WORDS": structures.ZSPAGE_WORDS,
        "M_ALIGNED": image.ALIGNED,
        "M_ENTRY": image.ENTRY,
        "M_KIND": image.KIND,
        "M_PROFILE": len(counts.PROFILE),
    }


def test_constants(native: dwarf.Types) -> None:
    phases = dict(native.enums["phase"])
    assert (
        phases.pop("PHASES")
        == phases.pop("DRIVER")
        == hook_structures.DRIVER_PHASE
        == len(counts.PHASES)
    )
    assert in_order(phases) == list(counts.PHASES)

    columns, regions = dict(native.enums["column"]), dict(native.enums["region"])
    assert columns.pop("REGIONS") == len(columns)
    plain = [name for name in counts.COLUMNS if "." not in name]
    assert in_order(columns) == plain == list(counts.COLUMNS[: len(plain)])

    del regions["ZSPAGE"]
    assert regions.pop("NR_REGIONS") == len(regions)
    assert in_order(regions) == list(counts.REGIONS)
    assert counts.COLUMNS[len(plain) :] == tuple(
        f"{region}.{traffic}"
        for region in in_order(regions)
        for traffic in ("loads", "stores", "bytes_loaded", "bytes_stored")
    )

    checks = dict(native.enums[""])
    assert checks.pop("COLUMNS") == len(counts.ROW)
    assert {name.lower(): value for name, value in checks.items()} == {
        name: counts.ROW.index(name) for name in counts.CHECKS
    }

    kinds = ["plain", "string", "store_exclusive", "block_zero", "tlb"]
    assert in_order(native.enums["kind"]) == kinds
    assert [getattr(image, name.upper()) for name in kinds] == list(range(len(kinds)))
    assert native.enums["reason"] == {
        name: getattr(hook_structures, name)
        for name in ("TOO_LONG", "TOO_MANY_BLOCKS", "TOO_MUCH_MEMORY", "NO_OPERATION")
    }
    what = dict(native.enums["what"])
    assert what.pop("WHATS") == hook_structures.NR_WHATS == len(what)
    assert what == {
        "STRAY": hook_structures.STRAY,
        "STRAY_LOAD": hook_structures.STRAY_LOAD,
        "MISALIGNED": hook_structures.MISALIGNED,
        "STALE": hook_structures.STALE,
        **{
            name.upper().replace("-", "_"): hook_structures.PROMISE + i
            for i, name in enumerate(PROMISES)
        },
    }
    tlb = [f"TLB_{kind.upper()}" for kind in TLB_KINDS]
    first = native.enums["column"][tlb[0]]
    assert [native.enums["column"][name] - first for name in tlb] == [0, 1, 2, 3]
