# SPDX-License-Identifier: GPL-2.0-only
"""Reading images: names, instructions and kinds, against pyelftools, objdump and hand-made code."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import bare
import capstone
import numpy as np
import pytest
import unicorn
from elftools.elf.elffile import ELFFile

from zsemu.counts import CLASSES, TLB_KINDS
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import build
from zsemu.guest.image import ALIGNED, ENTRY, KIND, PLAIN, STORE_EXCLUSIVE, STRING, TLB, Image
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target

each_target = pytest.mark.parametrize("arch", target_names())


def functions(path: Path) -> list[tuple[str, int, int]]:
    """Return name, address and size of each function, static ones included."""
    with path.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        return [
            (symbol.name, symbol["st_value"], symbol["st_size"])
            for symbol in table.iter_symbols()
            if symbol["st_info"]["type"] == "STT_FUNC"
        ]


@pytest.mark.parametrize("name", strategy_names())
@each_target
def test_where(arch: str, name: str) -> None:
    """Every byte of every function has its name, static ones' too."""
    image = Image(build(target(arch), strategy(name)), target(arch))
    known = functions(image.path)
    assert len(known) > 10
    for function, address, size in known:
        assert size > 0
        for offset in (0, min(1, size - 1), size // 2, size - 1):
            assert image.where(address + offset) == f"{function}+{offset:#x}"
    start, end = image.text
    for outside in (0, start - 1, end, end + 100, image.address("zs_stop")):
        assert image.where(outside) == f"{outside:#x}"
    # A label of the assembler's is a name, too.
    assert image.where(image.address("zs_start_driver")) == "zs_start_driver+0x0"


@each_target
def test_where_two_files_use_a_name(arch: str, tmp_path: Path) -> None:
    """A strategy's static function may have the name of one of the driver's."""
    file = tmp_path / "twice.c"
    file.write_text(
        bare.source("settle(area)").replace(
            "u32 zs_map",
            "static __attribute__((noinline)) void settle(struct zs_area *area)\n"
            "{ area->private[0]++; }\nu32 zs_map",
            1,
        )
    )
    image = Image(build(target(arch), strategy(str(file))), target(arch))
    both = [address for name, address, _ in functions(image.path) if name == "settle"]
    assert len(both) == 2
    assert [image.where(address) for address in both] == ["settle+0x0"] * 2


@each_target
def test_sections_hold_what_is_loaded(arch: str) -> None:
    image = Image(build(target(arch), strategy("pgtable")), target(arch))
    assert list(image.sections) == [".text", ".stop", ".data"]
    assert [address for address, _ in image.sections.values()] == [
        image.text[0],
        image.address("zs_stop"),
        image.address("zs_data_start"),
    ]
    with image.path.open("rb") as stream:
        for name, (_, content) in image.sections.items():
            assert content == ELFFile(stream).get_section_by_name(name).data()


def objdump(path: Path, arch: str) -> dict[int, str]:
    """Return address and text of what GNU binutils take for an instruction."""
    command = [target(arch).build.gcc.removesuffix("gcc") + "objdump", "-d", "-j", ".text"]
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]}: it comes with {target(arch).build.gcc_package}")
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True)
    lines = re.findall(
        r"^\s*([0-9a-f]+):\t(?:[0-9a-f]+ )+ *(?:\t(.*))?$", done.stdout, re.MULTILINE
    )
    # The bytes of a long instruction go on in a line without text.
    return {int(at, 16): re.sub(r"\s+", " ", text) for at, text in lines if text}


@pytest.mark.external
@pytest.mark.parametrize("name", ["pgtable", "swap-lazy"])
@each_target
def test_instructions_are_objdumps(arch: str, name: str) -> None:
    """GNU binutils find the same instructions, and the same literals between them."""
    image = Image(build(target(arch), strategy(name)), target(arch))
    theirs = objdump(image.path, arch)
    compared = 0
    for _, start, size in functions(image.path):
        inside = range(start, start + size)
        data = re.compile(r"^\.(word|short|long|byte|inst)|\(bad\)|<unknown>|^<|undefined")
        expected = {at for at, text in theirs.items() if at in inside and not data.search(text)}
        found = {at for at in image.instructions if at in inside}
        assert found == expected
        if sum(image.instructions[at].size for at in found) == size:  # no literals within
            assert image.count(start, size) == len(expected)
            compared += len(expected)
    assert compared > 300


SEVEN = {
    "x86_64": "nop; push %rax; rep movsb; movabs $1, %rax; rep movsq; .byte 0x66, 0x90; pop %rax",
    "i386": "nop; push %eax; rep movsb; movl $1, 8(%eax); rep movsl; .byte 0x66, 0x90; pop %eax",
    "aarch64": "nop; ldp x0, x1, [x2]; nop; .inst 0xd503201f; dsb sy; isb; tlbi vmalle1",
    "arm": "nop; ldm r0, {r1-r7}; nop; .inst 0xe1a00000; dsb; isb; mcr p15, 0, r0, c8, c7, 0",
    "riscv64": "nop; c.nop; add a0, a0, a1; .insn 0x13; c.addi a0, 1; sfence.vma; ld a0, (a1)",
    "riscv32": "nop; c.nop; add a0, a0, a1; .insn 0x13; c.addi a0, 1; sfence.vma; lw a0, (a1)",
}
PROBE = "nop; .globl zs_probe; zs_probe: %s; .globl zs_probe_end; zs_probe_end:"


@each_target
def test_count(arch: str, tmp_path: Path) -> None:
    image = bare.image(arch, PROBE % SEVEN[arch], tmp_path)
    start, end = image.address("zs_probe"), image.address("zs_probe_end")
    assert image.count(start, end - start) == 7
    assert image.count(start, 0) == 0
    first = image.instructions[start].size
    assert image.count(start + first, end - start - first) == 6
    assert image.where(end - 1).startswith("zs_probe+")


@pytest.mark.parametrize(
    ("arch", "assembly"),
    [
        ("aarch64", ".long 0xd503201f"),
        ("arm", ".long 0xe1a00000"),
        ("riscv32", ".long 0x00000013"),
        ("riscv64", ".insn 0x022180d7"),  # vadd.vv, which Capstone does not know
    ],
)
def test_counting_what_is_no_instruction(arch: str, assembly: str, tmp_path: Path) -> None:
    image = bare.image(arch, PROBE % assembly, tmp_path)
    with pytest.raises(ZsemuError, match=r"zs_probe\+0x0: executed, but not an instruction"):
        image.count(image.address("zs_probe"), 4)
    assert image.disassemble(image.address("zs_probe")) == "?"
    assert image.disassemble(0) == "?"


KINDS: dict[str, dict[str, int | str]] = {
    # Instruction by instruction, the kind that it must be given.
    "x86_64": {
        "rep movsq": STRING,
        "rep stosb": STRING,
        "repne scasb": STRING,
        "movsq": PLAIN,
        "pause": PLAIN,  # rep nop
        "mov %cr3, %rax": PLAIN,
        "mov %rax, %cr3": "all_local",
        "invlpg (%rdi)": "page_local",
        "lock cmpxchg %rax, (%rdi)": PLAIN,
    },
    "i386": {
        "rep movsl": STRING,
        "movsl": PLAIN,
        "mov %cr3, %eax": PLAIN,
        "mov %eax, %cr3": "all_local",
        "invlpg (%eax)": "page_local",
    },
    "aarch64": {
        "stxr w0, x1, [x2]": STORE_EXCLUSIVE,
        "stlxr w0, w1, [x2]": STORE_EXCLUSIVE,
        "stxp w0, x1, x2, [x3]": STORE_EXCLUSIVE,
        "ldxr x1, [x2]": PLAIN,
        "stlr x1, [x2]": PLAIN,
        "str x1, [x2]": PLAIN,
        "dsb ishst": PLAIN,
        "tlbi vaae1, x0": "page_local",
        "tlbi vae1, x0": "page_local",
        "tlbi vale1, x0": "page_local",
        "tlbi vaae1is, x0": "page_broadcast",
        "tlbi vae1is, x0": "page_broadcast",
        "tlbi vaale1is, x0": "page_broadcast",
        "tlbi vmalle1": "all_local",
        "tlbi vmalle1is": "all_broadcast",
        "dc cvac, x0": PLAIN,
    },
    "arm": {
        "strex r0, r1, [r2]": STORE_EXCLUSIVE,
        "strexd r0, r4, r5, [r2]": STORE_EXCLUSIVE,
        "ldrex r1, [r2]": PLAIN,
        "str r1, [r2]": PLAIN,
        "ldr r1, [r2]": PLAIN,
        "ldm r0, {r1-r7}": PLAIN | ALIGNED,
        "stmdb r0!, {r1-r7}": PLAIN | ALIGNED,
        "push {r4, lr}": PLAIN | ALIGNED,
        "ldrd r4, r5, [r0]": PLAIN | ALIGNED,
        "mcr p15, 0, r0, c8, c7, 1": "page_local",
        "mcr p15, 0, r0, c8, c7, 3": "page_local",
        "mcr p15, 0, r0, c8, c3, 1": "page_broadcast",
        "mcr p15, 0, r0, c8, c3, 3": "page_broadcast",
        "mcr p15, 0, r0, c8, c7, 0": "all_local",
        "mcr p15, 0, r0, c8, c3, 0": "all_broadcast",
        "mcr p15, 0, r0, c7, c5, 0": PLAIN,
        "mrc p15, 0, r0, c8, c7, 1": PLAIN,
    },
    "riscv64": {
        "sc.d a0, a1, (a2)": STORE_EXCLUSIVE,
        "sc.w.rl a0, a1, (a2)": STORE_EXCLUSIVE,
        "lr.d a0, (a1)": PLAIN,
        "amoadd.w a0, a1, (a2)": PLAIN,
        "fence rw, rw": PLAIN,
        "sfence.vma": "all_local",
        "sfence.vma zero, a1": "all_local",
        "sfence.vma a0": "page_local",
        "sfence.vma a0, a1": "page_local",
    },
}
KINDS["riscv32"] = {k: v for k, v in KINDS["riscv64"].items() if ".d " not in k}


@pytest.mark.parametrize(
    ("arch", "assembly"), [(arch, text) for arch in target_names() for text in KINDS[arch]]
)
def test_kinds(arch: str, assembly: str, tmp_path: Path) -> None:
    expected = KINDS[arch][assembly]
    if isinstance(expected, str):
        expected = TLB + TLB_KINDS.index(expected)
    if arch.startswith("riscv"):
        expected |= ALIGNED
    image = bare.image(arch, PROBE % assembly, tmp_path)
    at = image.address("zs_probe")
    kind = image.kinds[at - image.text[0]]
    assert kind == expected | ENTRY, image.disassemble(at)
    # Bytes within an instruction have no kind.
    assert not image.kinds[at - image.text[0] + 1] & KIND


CLASSIFIED = {
    ("x86_64", "i386"): {
        "load": "mov eax, dword ptr [ecx]; cmp byte ptr [eax], 1; pop ebx",
        "store": "mov dword ptr [ecx], eax; push eax; "
        "lock cmpxchg dword ptr [ecx], edx; xchg eax, dword ptr [ecx]; add dword ptr [eax], 1",
        "alu": "lea eax, [ecx + 4]; mov eax, ecx; imul eax, ecx; nop dword ptr [eax]; cmp eax, 1",
        "branch": "jne 0x40; call 0x40; ret; jmp dword ptr [eax]; ret 4",
        "system": "invlpg [eax]; mov cr3, eax; mov eax, cr3; mfence; cli; rdmsr",
    },
    ("aarch64",): {
        "load": "ldr x0, [x1]; ldp x0, x1, [x2], #0x10; ldrb w0, [x1, x2]; ldxr x0, [x1]",
        "store": "str x0, [x1]; stp x0, x1, [x2]; stlxr w0, x1, [x2]; ldadd x0, x1, [x2]; "
        "swp x0, x1, [x2]; cas x0, x1, [x2]; dc zva, x0",
        "alu": "add x0, x1, x2; bic x0, x1, x2; bfi x0, x1, #1, #2; csel x0, x1, x2, eq",
        "branch": "b #0x40; b.ne #0x40; bl #0x40; blr x0; br x0; ret; cbz x0, #4; tbnz w0, #1, #4",
        "system": "tlbi vaae1, x0; dsb ish; isb; msr ttbr0_el1, x0; mrs x0, esr_el1; dc civac, x0",
    },
    ("arm",): {
        "load": "ldr r0, [r1]; ldm r0!, {r1, r2}; ldrdeq r0, r1, [r2]; pop {r4, r5}",
        "store": "str r0, [r1]; stm r0!, {r1, r2}; push {r4, lr}; strex r0, r1, [r2]",
        "alu": "add r0, r1, r2; bic r0, r1, r2; bfc r0, #1, #2; movne r0, #1; bfi r0, r1, #0, #4",
        "branch": "b #0x40; bne #0x40; bl #0x40; blx r3; bx lr; bxeq lr; pop {r4, pc}; mov pc, lr",
        "system": "mcr p15, #0, r0, c8, c7, #1; mrc p15, #0, r0, c1, c0, #0; dsb ish; isb sy",
    },
    ("riscv64", "riscv32"): {
        "load": "lw a0, 4(a1); lbu a0, 0(a1); c.lw a0, 0(a1); c.lwsp a0, 4(sp); lr.w a0, (a1)",
        "store": "sw a0, 4(a1); sb a0, 0(a1); c.swsp ra, 4(sp); sc.w a0, a1, (a2)",
        "alu": "add a0, a1, a2; c.li a0, 1; lui a0, 1; sltu a0, a1, a2; srli a0, a0, 2",
        "branch": "beqz a0, 8; c.j 8; jalr ra, a0, 0; ret; bgeu a0, a1, 8; c.jr ra; jal ra, 8",
        "system": "sfence.vma a0, a1; csrw satp, a0; fence rw, rw; mret; ecall",
    },
}
"""by class, instructions as Capstone writes them: what each is, is known from its manual"""


@each_target
def test_classes(arch: str) -> None:
    (table,) = (table for archs, table in CLASSIFIED.items() if arch in archs)
    rules = target(arch).instructions.classes
    for expected, instructions in table.items():
        for text in instructions.split("; "):
            matching = [name for name, pattern in rules if pattern.search(text)]
            assert (matching or ["alu"])[0] == expected, text
    assert set(table) == set(CLASSES)


@each_target
def test_what_is_known_of_instructions_is_kept(
    arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build(target(arch), strategy("pgtable"))
    monkeypatch.setenv("ZSEMU_CACHE", str(tmp_path))
    fresh = Image(path, target(arch))
    assert fresh.kinds.any() and fresh.classes.any()
    # From here on nobody can find out.
    monkeypatch.delattr(Image, "_tell_apart")
    again = Image(path, target(arch))
    np.testing.assert_array_equal(again.kinds, fresh.kinds, strict=True)
    np.testing.assert_array_equal(again.classes, fresh.classes, strict=True)
    for one, other in zip(again.operands, fresh.operands, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
    start = fresh.address("zs_map_object")
    assert again.count(start, 8) == fresh.count(start, 8)


def test_digest_is_of_all_that_decides_on_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = target("arm")
    path = build(arm, strategy("copy"))
    images = [Image(path, arm), Image(build(arm, strategy("swap")), arm)]
    images.append(Image(path, replace(arm, digest="other")))
    for moved, changed in ((4, 0), (0, 1)):
        images.append(Image(path, arm))
        address, content = images[-1].sections[".text"]
        content = bytes([content[0] ^ changed, *content[1:]])
        images[-1].sections[".text"] = address + moved, content
    images.append(Image(path, arm))
    images[-1]._marks.pop()
    images.append(Image(path, arm))
    del images[-1]._functions[0]
    digests = {image.digest for image in images}
    assert len(digests) == len(images)
    assert Image(path, arm).digest == images[0].digest
    for module in (capstone, unicorn):
        with monkeypatch.context() as patch:
            patch.setattr(module, "__version__", "other")
            assert Image(path, arm).digest not in digests
