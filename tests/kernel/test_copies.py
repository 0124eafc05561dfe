# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's own memcpy(), given beside its object, takes the place of ours."""

from pathlib import Path

import pytest

from kernel.objects import compiled
from zsemu import run
from zsemu.counts import PARTS
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import compile_flags, compile_to, compiler
from zsemu.guest.targets import target
from zsemu.kernel.object import load
from zsemu.kernel.steps import Step, as_trace
from zsemu.zsmalloc.geometry import geometry

BYTEWISE = """
void *memcpy(void *dst, const void *src, unsigned long n)
{
	volatile char *to = dst;
	const volatile char *from = src;

	while (n--)
		*to++ = *from++;
	return dst;
}
"""


def _copy(folder: Path, name: str, arch: str, text: str = BYTEWISE) -> None:
    source = folder / "copy.c"
    source.write_text(text)
    machine = target(arch)
    flags = compile_flags("zig", machine, 12, "O2")
    command = [*compiler("zig", machine).command, *flags, "-c", str(source)]
    compile_to(folder / name, command, "does not compile")


@pytest.mark.parametrize(("arch", "name"), [("riscv32", "memcpy.o"), ("x86_64", "memcpy_64.o")])
def test_it_is_what_copies(arch: str, name: str, tmp_path: Path) -> None:
    plain = compiled(tmp_path / "ours", arch)
    beside = compiled(tmp_path / "theirs", arch)
    _copy(beside.parent, name, arch)
    steps = [
        Step(action, number, 2500)
        for number in range(10)
        for action in ("allocate", "write", "update", "read")
    ]
    trace = as_trace(steps, geometry("chain-8"))
    document = run(f"ours={plain}", f"theirs={beside}", arch=arch, trace=trace)
    ours, theirs = document.records
    assert document.intact
    kernels = document.provenance.kernels
    assert kernels["ours"][arch].sha256 != kernels["theirs"][arch].sha256
    moved = {}
    for record in (ours, theirs):
        parts = {
            part: record.sum(f"{part}.instructions", phases=("map", "unmap")) for part in PARTS
        }
        moved[record.strategy] = parts
        # Every byte that is copied is stored once, by an instruction of the copy.
        assert record.sum("copy.bytes_stored", phases=("map", "unmap")) > 0
    assert moved["ours"]["own"] == moved["theirs"]["own"]
    stored = theirs.sum("copy.stores", phases=("map", "unmap"))
    assert stored == theirs.sum("copy.bytes_stored", phases=("map", "unmap"))
    assert ours.sum("copy.stores", phases=("map", "unmap")) < stored


def test_one_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = compiled(tmp_path, "riscv32")
    _copy(tmp_path, "memcpy.o", "riscv64")
    with pytest.raises(ZsemuError, match=r"memcpy\.o: no object of riscv32"):
        load(path)
    (tmp_path / "memcpy.o").write_text("no object")
    with pytest.raises(ZsemuError, match="truncated or damaged"):
        load(path)
