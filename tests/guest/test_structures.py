# SPDX-License-Identifier: GPL-2.0-only
"""Memory layouts that C and Python share, as the compiler's debug information has them."""

import ctypes
import subprocess
from pathlib import Path

import dwarf
import numpy as np
import pytest

from zsemu import counts
from zsemu.counts import TLB_KINDS
from zsemu.errors import ZsemuError
from zsemu.guest import hooks, image, structures
from zsemu.guest.compiler import COMPILERS, build, compiler, zig
from zsemu.guest.strategies import PROMISES, strategy
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.paths import ARCH
from zsemu.traces.operation import Operation

STRUCTS = {
    "zs_range": "range",
    "zs_boot": "boot",
    "zspage": "zspage",
    "zs_area": "area",
    "zs_op": "op",
    "zs_batch": "batch",
}
# Macros leave no trace in debug information; enumerators made of them do.
MACROS = """
#include "driver.h"
enum macro {
        M_MAX_PAGES = ZS_MAX_PAGES,
        M_MAX_RANGES = ZS_MAX_RANGES,
        M_OPENS = ZS_OPENS,
        M_CHECK = ZS_CHECK,
        M_STOP_NEVER = ZS_STOP_NEVER,
} macro;
"""


def members(struct: np.dtype[np.void]) -> dict[str, tuple[int, int]]:
    """Return offset and size of each field."""
    assert struct.fields
    return {name: (entry[1], entry[0].itemsize) for name, entry in struct.fields.items()}


def differences(types: dwarf.Types, layout: structures.Layout) -> list[str]:
    """Compare each structure of the guest with what the host takes it to be."""
    found = []
    for struct, ours in STRUCTS.items():
        dtype: np.dtype[np.void] = getattr(layout, ours)
        theirs = {
            # A NumPy name has no dot: loc.slot is slot, to.slot is to_slot.
            name.removeprefix("loc.").replace(".", "_"): at
            for name, at in types.structs[struct].items()
        }
        private = theirs.pop("private", None)
        if private:  # four words in C, four fields in NumPy
            theirs |= {
                f"private{i}": (private[0] + i * private[1] // 4, private[1] // 4) for i in range(4)
            }
        mine = members(dtype)
        for name in theirs.keys() | mine.keys():
            if theirs.get(name) != mine.get(name):
                found.append(f"{struct}.{name}")
        if types.sizes[struct] != dtype.itemsize:
            found.append(f"sizeof {struct}")
    return sorted(found)


@pytest.mark.parametrize(
    "cc",
    [pytest.param(cc, marks=pytest.mark.external if cc != "zig" else ()) for cc in COMPILERS],
)
@pytest.mark.parametrize("arch", target_names())
def test_guest_structures(arch: str, cc: str) -> None:
    machine = target(arch)
    if cc != "zig":
        try:
            compiler(cc, machine)
        except ZsemuError as error:
            pytest.skip(str(error))
    types = dwarf.read(build(machine, strategy("swap-lazy"), cc=cc))
    assert differences(types, structures.layout(machine)) == []
    word = structures.layout(machine).word
    assert (word.itemsize, word.byteorder) == (machine.word, "=")  # little, as this host is


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("u32 cpu;", "unsigned short cpu;", ["zs_op.cpu"]),
        (
            "u32 shape;\n\tu32 flags;",
            "u32 flags;\n\tu32 shape;",
            ["zs_op.flags", "zs_op.shape"],
        ),
        ("unsigned long write;\n\tunsigned long exec;", "unsigned long write, exec, more;", None),
        ("unsigned long area_stride;", "unsigned char area_stride;", ["zs_batch.area_stride"]),
        ("} __attribute__((aligned(64)));", "} __attribute__((aligned(512)));", ["sizeof zs_op"]),
    ],
)
@pytest.mark.parametrize("arch", ["x86_64", "arm"])
def test_finds_planted_difference(
    arch: str, old: str, new: str, found: list[str] | None, tmp_path: Path
) -> None:
    """A copy of driver.h with one change, compiled without the driver."""
    header = (ARCH / "driver.h").read_text()
    assert header.count(old) == 1, f"driver.h has no {old!r} any more: plant it another way"
    (tmp_path / "driver.h").write_text(header.replace(old, new))
    file = tmp_path / "planted.c"
    file.write_text(
        '#include "driver.h"\nstruct zs_boot boot;\nstruct zs_batch batch;\nstruct zspage page;\n'
    )
    machine = target(arch)
    command = [*compiler("zig", machine).command, "-DPAGE_SHIFT=12", "-g", "-c", str(file)]
    command += [f"-I{ARCH}", f"-I{ARCH / arch}", "-o", str(tmp_path / "planted.o")]
    subprocess.run(command, check=True)
    here = differences(dwarf.read(tmp_path / "planted.o"), structures.layout(machine))
    if found is None:
        assert {"zs_range.more", "sizeof zs_range", "sizeof zs_boot"} <= set(here)
    else:
        assert here == found


def test_guest_constants(tmp_path: Path) -> None:
    file = tmp_path / "macros.c"
    file.write_text(MACROS + (ARCH / "strategies" / "sg.c").read_text())
    enums = dwarf.read(build(target("x86_64"), strategy(str(file)))).enums
    kinds = (*Operation, *structures.Kind)
    assert enums["zs_kind"] == {f"ZS_{kind.name}": kind.value for kind in kinds}
    # As include/linux/zsmalloc.h had them from 3.6 to 6.14: strategies are written for that.
    assert enums["zs_mapmode"] == {"ZS_MM_RW": 0, "ZS_MM_RO": 1, "ZS_MM_WO": 2}
    assert enums["zs_mapmode"] == {f"ZS_MM_{mode.name}": mode.value for mode in structures.Mode}
    assert enums["macro"] == {
        "M_MAX_PAGES": structures.MAX_PAGES,
        "M_MAX_RANGES": structures.MAX_RANGES,
        "M_OPENS": structures.Flag.OPENS,
        "M_CHECK": structures.Flag.CHECK,
        "M_STOP_NEVER": structures.StopAt.NEVER,
    }


def test_a_zspage_has_room(tmp_path: Path) -> None:
    zspage = structures.layout(target("x86_64")).zspage
    assert zspage.itemsize == structures.ZSPAGE_SIZE
    assert members(zspage)["word"][0] == structures.ZSPAGE_WORDS


# --- The host's own C --------------------------------------------------------------------------

# The sizes of arrays are seen in the structures.
HOOK_MACROS = """
#include "%s"
enum macro {
        M_SCOPES = SCOPES,
        M_ZSPAGE_SIZE = ZSPAGE_SIZE,
        M_ZSPAGE_WORDS = ZSPAGE_WORDS,
        M_ALIGNED = ALIGNED,
        M_PROFILE = PROFILE,
} macro;
enum column a_column; enum region a_region; enum kind a_kind; enum what a_what; enum phase a_phase;
int rest = COLUMNS;
"""


def compiled_hooks(folder: Path, source: Path = hooks._SOURCE) -> dwarf.Types:
    file, binary = folder / "hooks.c", folder / "hooks.o"
    file.write_text(HOOK_MACROS % source)
    command = [*zig(), "cc", "-g", "-fPIC", "-c", str(file), "-o", str(binary)]
    subprocess.run(command, check=True)
    return dwarf.read(binary)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> dwarf.Types:
    return compiled_hooks(tmp_path_factory.mktemp("native"))


def hook_differences(types: dwarf.Types) -> set[str]:
    found = set()
    for struct, dtype in [
        ("expected", hooks.EXPECTED),
        ("finding", hooks.FINDING),
        ("block", hooks._BLOCK),
    ]:
        if types.structs[struct] != members(dtype) or types.sizes[struct] != dtype.itemsize:
            found.add(struct)
    ours = {
        name: (getattr(hooks._Hooks, name).offset, getattr(hooks._Hooks, name).size)
        for name, *_ in hooks._Hooks._fields_
    }
    found |= {
        f"hooks.{name}"
        for name in ours.keys() | types.structs["hooks"].keys()
        if ours.get(name) != types.structs["hooks"].get(name)
    }
    if types.sizes["hooks"] != ctypes.sizeof(hooks._Hooks):
        found.add("sizeof hooks")
    return found


def test_hook_structures(native: dwarf.Types) -> None:
    assert hook_differences(native) == set()


def test_finds_planted_hook_difference(tmp_path: Path) -> None:
    text = hooks._SOURCE.read_text()
    old = "uint64_t text, text_size;"
    assert text.count(old) == 1
    changed = tmp_path / "changed.c"
    changed.write_text(text.replace(old, "uint64_t text_size, text;"))
    assert hook_differences(compiled_hooks(tmp_path, changed)) == {"hooks.text", "hooks.text_size"}


def test_hook_constants(native: dwarf.Types) -> None:
    def in_order(values: dict[str, int]) -> list[str]:
        assert sorted(values.values()) == list(range(len(values)))
        return [name.lower() for name in sorted(values, key=values.__getitem__)]

    macros = native.enums["macro"]
    assert macros == {
        "M_SCOPES": counts.SCOPE_COLUMNS,
        "M_ZSPAGE_SIZE": structures.ZSPAGE_SIZE,
        "M_ZSPAGE_WORDS": structures.ZSPAGE_WORDS,
        "M_ALIGNED": image.ALIGNED,
        "M_PROFILE": len(counts.PROFILE),
    }

    phases = dict(native.enums["phase"])
    assert phases.pop("PHASES") == phases.pop("DRIVER") == hooks.DRIVER_PHASE == len(counts.PHASES)
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
        name: getattr(hooks, name) for name in ("TOO_LONG", "TOO_MANY_BLOCKS", "TOO_MUCH_MEMORY")
    }
    what = dict(native.enums["what"])
    assert what.pop("WHATS") == hooks._WHATS == len(what)
    assert what == {
        "STRAY": hooks.STRAY,
        "MISALIGNED": hooks.MISALIGNED,
        "STALE": hooks.STALE,
        **{name.upper().replace("-", "_"): hooks.PROMISE + i for i, name in enumerate(PROMISES)},
    }
    tlb = [f"TLB_{kind.upper()}" for kind in TLB_KINDS]
    first = native.enums["column"][tlb[0]]
    assert [native.enums["column"][name] - first for name in tlb] == [0, 1, 2, 3]
