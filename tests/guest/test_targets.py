# SPDX-License-Identifier: GPL-2.0-only
"""What target.toml files say, against what the compiler makes of a target."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import dwarf
import pytest
from elftools.elf.elffile import ELFFile

from zsemu.counts import TLB_KINDS
from zsemu.errors import ZsemuError
from zsemu.guest import targets
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import target
from zsemu.paths import ARCH

each_target = pytest.mark.parametrize("arch", targets.names())

# MAX_POSSIBLE_PHYSMEM_BITS, or else MAX_PHYSMEM_BITS, of the kernel: PAE, LPAE-less ARMv7, Sv32.
PHYSICAL_BITS = {"x86_64": 52, "i386": 36, "aarch64": 48, "arm": 32, "riscv64": 56, "riscv32": 34}
MACHINES = {
    "x86_64": "EM_X86_64",
    "i386": "EM_386",
    "aarch64": "EM_AARCH64",
    "arm": "EM_ARM",
    "riscv64": "EM_RISCV",
    "riscv32": "EM_RISCV",
}


def test_names() -> None:
    assert targets.names() == ("x86_64", "i386", "aarch64", "arm", "riscv64", "riscv32")


@pytest.mark.parametrize(
    "name", ["riscv", "strategies", "x86", "", "../arch/arm", "ARM", "arm-words", "x86_64-"]
)
def test_unknown_names_list_the_valid_ones(name: str) -> None:
    with pytest.raises(ZsemuError) as caught:
        target(name)
    assert str(caught.value) == (
        f"no architecture {name!r}: there are x86_64, x86_64-movsb, x86_64-words, i386, aarch64,"
        " arm, riscv64, riscv32"
    )


def test_a_variant_copies_otherwise_and_is_else_the_same() -> None:
    for name, of in targets.variants().items():
        one, other = target(name), target(of)
        assert one.folder == other.folder == of
        assert other.copy == "copy.S" != one.copy
        assert (ARCH / of / one.copy).is_file()
        assert other == replace(
            one,
            name=of,
            digest=other.digest,
            copy=other.copy,
            string_copy=other.string_copy,
            description=other.description,
        )
        assert one.description != other.description


@pytest.mark.parametrize("arch", targets.known())
def test_the_copy_primitive_is_what_the_data_says(arch: str) -> None:
    """A repeated string instruction in its source, or none; and it is the one that is linked."""
    machine = target(arch)
    source = (ARCH / machine.folder / machine.copy).read_text()
    assert machine.string_copy == bool(re.search(r"^\trep movs", source, re.MULTILINE))
    image = Image(build(machine, strategy("copy")), machine)
    # The access has one of its own.
    for name in ("zs_copy", "zs_access_copy"):
        code = [
            one.text
            for one in image.instructions.values()
            if image.where(one.address).startswith(f"{name}+")
        ]
        assert len(code) > 2
        assert machine.string_copy == any(text.startswith("rep movs") for text in code)
        assert ("\trep movsq" in source) == any("movsq" in text for text in code)


@each_target
def test_agrees_with_the_compiler(arch: str, tmp_path: Path) -> None:
    machine = target(arch)
    file = tmp_path / "pte.c"
    file.write_text(
        (ARCH / "strategies" / "sg.c").read_text()
        + "\nstatic const unsigned char shifts[] = PGTABLE_SHIFTS, bits[] = PGTABLE_BITS;\n"
        "enum pte { SIZE = sizeof(pte_t), LEVELS = PGTABLE_LEVELS, SHIFT = MMU_PAGE_SHIFT } pte;\n"
        '_Static_assert(sizeof(shifts) == PGTABLE_LEVELS, "");\n'
        '_Static_assert(sizeof(bits) == PGTABLE_LEVELS, "");\n'
    )
    for shift in machine.page_shifts:
        image = build(machine, strategy(str(file)), page_shift=shift)
        values = dwarf.read(image).enums["pte"]
        assert values["SIZE"] == machine.pte_size
        assert values["SHIFT"] == shift
        with image.open("rb") as stream:
            elf = ELFFile(stream)
            assert elf["e_machine"] == MACHINES[arch]
            assert elf.elfclass == machine.word_bits == machine.word * 8
            assert elf.little_endian == (machine.byte_order == "little")


@each_target
def test_addresses(arch: str) -> None:
    machine = target(arch)
    assert machine.physical_bits == PHYSICAL_BITS[arch]
    # One table of last-level entries holds the windows, so they begin where such a table does.
    for shift in machine.page_shifts:
        leaf = (1 << shift) // machine.pte_size << shift
        assert machine.window % leaf == 0
    assert machine.direct_map % (1 << max(machine.page_shifts)) == 0
    assert max(machine.window, machine.direct_map) < 1 << (39 if machine.word == 8 else 32)


@each_target
def test_broadcast_invalidates_are_looked_for_first(arch: str) -> None:
    kinds = [kind.endswith("broadcast") for kind, _ in target(arch).instructions.tlb]
    assert kinds == sorted(kinds, reverse=True)
    assert {kind for kind, _ in target(arch).instructions.tlb} <= set(TLB_KINDS)


@each_target
def test_constants_are_unicorns(arch: str) -> None:
    machine = target(arch)
    assert not machine.cpu_model.startswith("UC_")
    # Unicorn's numbers are small and start anew for each architecture: the names decide.
    text = (ARCH / arch / "target.toml").read_text()
    family = {"x86_64": "X86", "i386": "X86", "aarch64": "ARM64", "arm": "ARM"}.get(arch, "RISCV")
    bits = arch.removeprefix("riscv") if family == "RISCV" else ""
    assert f'arch = "UC_ARCH_{family}"' in text
    assert f'cpu = "UC_CPU_{family}{bits}_' in text
    assert f'pc = "UC_{family}_REG_' in text


def test_unknown_constant() -> None:
    with pytest.raises(ZsemuError, match="no constant UC_CPU_X86_ABACUS"):
        targets.unicorn_constant("UC_CPU_X86_ABACUS")


def test_no_two_targets_are_the_same() -> None:
    found = sorted((target(n).build.triple, n) for n in targets.names())
    assert all(a != b for (a, _), (b, _) in pairwise(found))
