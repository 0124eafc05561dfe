# SPDX-License-Identifier: GPL-2.0-only
"""What instructions refer to: against objdump, and on code that moves."""

import re
import shutil
import subprocess
from pathlib import Path

import bare
import pytest

from zsemu.annotate.references import Named, named
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import COMPILERS, build, compiler
from zsemu.guest.image import Image, Symbol
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target

each_target = pytest.mark.parametrize("arch", target_names())
FUNCTIONS = ("zs_map_object", "zs_unmap_object", "zs_settle", "zs_copy", "zs_swap")


def words(image: Image, symbol: Symbol) -> dict[int, Named]:
    """Return the instructions of a function in words, by address."""
    code = [
        found
        for address, found in sorted(image.instructions.items())
        if symbol.address <= address < symbol.address + symbol.size
    ]
    return dict(zip((one.address for one in code), named(image, symbol, code), strict=True))


def objdump(image: Image) -> dict[int, tuple[str, int]]:
    """Return by address what GNU binutils say an instruction refers to: a symbol, and an offset."""
    command = [image.target.build.gcc.removesuffix("gcc") + "objdump", "-d", "-j", ".text"]
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]}: it comes with {image.target.build.gcc_package}")
    told = subprocess.run(
        [*command, str(image.path)], capture_output=True, text=True, check=True
    ).stdout
    found = re.findall(r"^\s*([0-9a-f]+):\t[^\n]*<(\w+)(?:\+0x([0-9a-f]+))?>", told, re.MULTILINE)
    # Behind the data there is nothing: there it takes a negative number for an address.
    return {
        int(at, 16): (name, int(offset or "0", 16))
        for at, name, offset in found
        if name != "zs_data_end"
    }


@pytest.mark.external
@pytest.mark.parametrize("cc", COMPILERS)
@pytest.mark.parametrize("name", ["copy-modes", "swap-lazy"])
@each_target
def test_as_objdump_has_them(arch: str, name: str, cc: str) -> None:
    machine = target(arch)
    try:
        compiler(cc, machine)
    except ZsemuError as error:
        pytest.skip(str(error))
    image = Image(build(machine, strategy(name), cc=cc), machine)
    theirs = objdump(image)
    compared = 0
    for function in FUNCTIONS:
        symbol = image.symbols.get(function)
        if not symbol or not symbol.address:
            continue
        for address, found in words(image, symbol).items():
            if address not in theirs or "adrp" in found.text:
                continue
            where, offset = theirs[address]
            if where == function:
                assert found.target == symbol.address + offset, found.text
                assert found.text.endswith(f"+{offset:#x}")
                assert found.key.endswith("+")
            else:
                assert found.target is None
                expected = f"{where}+{offset:#x}" if offset else where
                assert re.search(rf"(^|[ =(\[]){re.escape(expected)}($|[](])", found.text)
                assert found.key == found.text
            compared += 1
    assert compared >= 10


# An instruction that refers to what is before it, to what is behind, to data, and to a function;
# in arm's literal the number of another.
CODE = {
    "x86_64": "1: nop; jmp 1b; je 2f; mov zs_direct_map(%rip), %rax; call zs_copy; 2: nop",
    "i386": "1: nop; jmp 1b; je 2f; mov zs_direct_map, %eax; call zs_copy; 2: nop",
    "aarch64": "1: nop; b 1b; cbz x3, 2f; adrp x4, zs_direct_map;"
    " ldr x5, [x4, :lo12:zs_direct_map]; bl zs_copy; 2: nop",
    "arm": "1: nop; b 1b; beq 2f; ldr r3, 3f; bl zs_copy; b 2f; 3: .word zs_direct_map; 2: nop",
    **dict.fromkeys(
        ("riscv64", "riscv32"),
        "1: nop; j 1b; beqz a3, 2f; lla a4, zs_direct_map; call zs_copy; 2: nop",
    ),
}
DATA = {
    "x86_64": "mov rax, qword ptr [rip + zs_direct_map]",
    "i386": "mov eax, dword ptr [zs_direct_map]",
    "aarch64": "ldr x5, [x4, zs_direct_map]",
    "arm": "ldr r3, [pc, =zs_direct_map]",
    "riscv64": "addi a4, a4, zs_direct_map",
    "riscv32": "addi a4, a4, zs_direct_map",
}


def probe(arch: str, before: str, folder: Path) -> list[Named]:
    """Return CODE with something before it, from its first branch on."""
    folder.mkdir()
    image = bare.image(arch, f"{before} .globl zs_probe; zs_probe: {CODE[arch]}", folder)
    function = image.symbols["zs_map_object"]
    inside = words(image, Symbol(function.name, function.address, function.size))
    return [found for at, found in inside.items() if at >= image.address("zs_probe")]


@each_target
def test_the_same_wherever_it_lies(arch: str, tmp_path: Path) -> None:
    here = probe(arch, "", tmp_path / "here")
    there = probe(arch, "nop; nop; nop; nop;", tmp_path / "there")
    assert [found.key for found in here] == [found.key for found in there]
    assert [found.text for found in here] != [found.text for found in there]
    texts = [found.text for found in here]
    assert DATA[arch] in texts
    assert any(re.search(r"\bzs_copy$", text) for text in texts)
    # A branch to the first of them, and one to the last.
    targets = [found.target for found in here if found.target is not None]
    moved = [found.target for found in there if found.target is not None]
    assert len(targets) == len(moved) >= 2
    assert len({b - a for a, b in zip(targets, moved, strict=True)}) == 1
    assert min(targets) < max(targets)


@pytest.mark.parametrize(
    ("code", "known"),
    [
        ("auipc a4, 0x20; li a4, 5; lw a5, 4(a4)", False),
        ("auipc a4, 0x20; sw a4, 0(a0); lw a5, 4(a4)", True),
        # An early end, in which what a function saved is restored.
        ("auipc a4, 0x20; beqz a0, 2f; li a4, 5; j 3f; 2: lw a5, 4(a4); 3: nop", True),
    ],
)
@pytest.mark.parametrize("arch", ["riscv64", "riscv32"])
def test_a_register_holds_an_address_until_it_is_written(
    arch: str, code: str, known: bool, tmp_path: Path
) -> None:
    image = bare.image(arch, code, tmp_path)
    texts = [found.text for found in words(image, image.symbols["zs_map_object"]).values()]
    (load,) = [text for text in texts if re.search(r"\bc?\.?lw a5", text)]
    assert load.endswith(" 4(a4)") != known
