# SPDX-License-Identifier: GPL-2.0-only
"""Guest structures: as Python has them, against the compiler's debug information."""

import subprocess
from pathlib import Path

import dwarf
import numpy as np
import pytest

from zsemu.errors import ZsemuError
from zsemu.guest import structures
from zsemu.guest.compiler import COMPILERS, build, compiler
from zsemu.guest.strategies import strategy
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
        mine = dwarf.members(dtype)
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
    assert header.count(old) == 1, f"driver.h has no {old!r}: plant it another way"
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
    assert dwarf.members(zspage)["pfn"][0] == structures.ZSPAGE_PFNS
    assert dwarf.members(zspage)["word"][0] == structures.ZSPAGE_WORDS
