# SPDX-License-Identifier: GPL-2.0-only
"""The guest's copy and swap primitives, run alone in Unicorn.

What they do to memory is compared with NumPy doing the same; how they do it is judged from every
access that Unicorn reports, because the figures of all strategies rest on it: each byte is loaded
once and stored once, in words, and nothing else is touched. The same checks then have to find
faults planted in copies of the sources.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import capstone
import numpy as np
import pytest
import unicorn
from capstone.arm_const import ARM_CC_AL, ARM_CC_INVALID, ARM_INS_B, ARM_INS_BX
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray
from unicorn import arm64_const, arm_const, riscv_const, x86_const

from zsemu.guest.compiler import compiler
from zsemu.guest.targets import Target, target, variants
from zsemu.paths import ARCH

# Unicorn carries type information, but too little of it for a strict check.
uc: Any = unicorn

CODE, RETURN, STACK, A, B = (0x100000 * i for i in range(1, 6))
REGION = 0x10000
GUARD = 64  # bytes around each range that must stay as they are
INSTRUCTION_BUDGET = 100_000  # 4096 bytes one by one take a third of it


@dataclass(frozen=True)
class Abi:
    """What a call looks like, in Unicorn's register numbers."""

    arguments: tuple[int, int, int]
    stack_pointer: int
    link: int | None  # holds the return address; None: the stack does
    preserved: tuple[int, ...]  # the caller's
    unaligned: bool  # whether words may be accessed at any address


def _abi(
    module: object,
    prefix: str,
    arguments: str,
    stack_pointer: str,
    link: str | None,
    preserved: str,
    *,
    unaligned: bool,
) -> Abi:
    def number(name: str) -> int:
        return int(getattr(module, prefix + name))

    first, second, third = map(number, arguments.split())
    return Abi(
        arguments=(first, second, third),
        stack_pointer=number(stack_pointer),
        link=number(link) if link else None,
        preserved=tuple(map(number, preserved.split())),
        unaligned=unaligned,
    )


_X86 = (x86_const, "UC_X86_REG_")
_ARM64 = (arm64_const, "UC_ARM64_REG_")
_ARM = (arm_const, "UC_ARM_REG_")
_RISCV = (riscv_const, "UC_RISCV_REG_")
_ARM64_PRESERVED = "X18 X19 X20 X21 X22 X23 X24 X25 X26 X27 X28 X29"
_RISCV_PRESERVED = "GP TP S0 S1 S2 S3 S4 S5 S6 S7 S8 S9 S10 S11"
_RISCV_ABI = _abi(*_RISCV, "A0 A1 A2", "SP", "RA", _RISCV_PRESERVED, unaligned=False)
ABI = {
    "x86_64": _abi(*_X86, "RDI RSI RDX", "RSP", None, "RBX RBP R12 R13 R14 R15", unaligned=True),
    # -mregparm=3
    "i386": _abi(*_X86, "EAX EDX ECX", "ESP", None, "EBX ESI EDI EBP", unaligned=True),
    "aarch64": _abi(*_ARM64, "X0 X1 X2", "SP", "LR", _ARM64_PRESERVED, unaligned=True),
    "arm": _abi(*_ARM, "R0 R1 R2", "SP", "LR", "R4 R5 R6 R7 R8 R9 R10 R11", unaligned=False),
    "riscv64": _RISCV_ABI,
    "riscv32": _RISCV_ABI,
}
VARIANTS = [(of, Path(target(name).copy).stem) for name, of in variants().items()]
"""architecture, and the file of another copy primitive without its suffix"""
LIKE_A_KERNEL = {"copy-movsb": {"width"}, "copy-words": {"unrolling"}}
"""the rules that a kernel's own choice breaks: it moves bytes, or has short rounds"""
each_primitive = pytest.mark.parametrize(
    ("name", "function"),
    [*((name, function) for name in ABI for function in ("copy", "swap")), *VARIANTS],
)


def build(
    target: Target, function: str, output: Path, *, cc: str = "zig", arch: Path = ARCH
) -> bytes:
    """Return the machine code of a primitive. It refers to nothing, so it needs no linking."""
    flags = target.build.gcc_flags if cc == "gcc" else ()
    source = arch / target.name / f"{function}.S"
    flags = (*flags, f"-I{ARCH}", "-Wall", "-Werror")
    command = [*compiler(cc, target).command, *flags, "-c", str(source)]
    subprocess.run([*command, "-o", str(output)], check=True)
    with output.open("rb") as stream:
        elf: Any = ELFFile(stream)
        # Without it, a linker takes the file to need an executable stack.
        assert elf.get_section_by_name(".note.GNU-stack") is not None
        called = f"zs_{function.partition('-')[0]}"
        (symbol,) = elf.get_section_by_name(".symtab").get_symbol_by_name(called)
        assert symbol["st_info"] == {"bind": "STB_GLOBAL", "type": "STT_FUNC"}
        text = elf.get_section(symbol["st_shndx"])
        start, size = symbol["st_value"], symbol["st_size"]
        code = bytes(text.data()[start : start + size])
    assert len(code) == size > 0
    return code


class Run(NamedTuple):
    """What one call did. Accesses are rows of address, size (bytes) and program counter."""

    returned: bool
    registers_kept: bool
    instructions: NDArray[np.int64]  # as hardware counts: a rep-prefixed one is one
    loads: NDArray[np.int64]
    stores: NDArray[np.int64]
    a: NDArray[np.uint8]  # the range and its guards, afterwards
    b: NDArray[np.uint8]


@dataclass
class Guest:
    """A machine without MMU that holds one function."""

    target: Target
    code: bytes
    watched: bool = True
    """whether instructions and accesses are recorded"""
    _pcs: list[int] = field(default_factory=list)
    _loads: list[tuple[int, int, int]] = field(default_factory=list)
    _stores: list[tuple[int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.abi = ABI[self.target.name]
        self.uc = uc.Uc(self.target.unicorn_arch, self.target.unicorn_mode)
        self.uc.ctl_set_cpu_model(self.target.unicorn_cpu)
        self.uc.ctl_set_tcg_buffer_size(32 << 20)
        for address in (CODE, RETURN):
            self.uc.mem_map(address, REGION, uc.UC_PROT_READ | uc.UC_PROT_EXEC)
        for address in (STACK, A, B):
            self.uc.mem_map(address, REGION, uc.UC_PROT_READ | uc.UC_PROT_WRITE)
        self.uc.mem_write(CODE, self.code)
        if self.watched:
            self.uc.hook_add(uc.UC_HOOK_CODE, self._on_instruction)
            self.uc.hook_add(uc.UC_HOOK_MEM_READ | uc.UC_HOOK_MEM_WRITE, self._on_access)

    def _on_instruction(self, _uc: object, address: int, _size: int, _data: object) -> None:
        self._pcs.append(address)
        if len(self._pcs) > INSTRUCTION_BUDGET:
            self.uc.emu_stop()

    def _on_access(
        self, _uc: object, kind: int, address: int, size: int, _value: int, _data: object
    ) -> None:
        row = (address, size, self._pcs[-1])
        (self._stores if kind == uc.UC_MEM_WRITE else self._loads).append(row)

    def enter(self, *arguments: int) -> bool:
        """Run the function and say whether it returned."""
        machine, abi, stack = self.uc, self.abi, STACK + REGION // 2
        for register, value in zip(abi.arguments, arguments, strict=True):
            machine.reg_write(register, value)
        if abi.link is None:
            machine.mem_write(stack, RETURN.to_bytes(self.target.word, "little"))
        else:
            machine.reg_write(abi.link, RETURN)
        machine.reg_write(abi.stack_pointer, stack)
        try:
            machine.emu_start(CODE, RETURN)
        except uc.UcError:
            return False
        return bool(machine.reg_read(self.target.pc) == RETURN)

    def call(self, first: int, second: int, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> Run:
        """Call with the addresses ``first`` and ``second`` and the length of ``a`` less guards.

        ``a`` and ``b`` are what lies there, from ``GUARD`` bytes before to ``GUARD`` behind.
        """
        machine, abi, word = self.uc, self.abi, self.target.word
        machine.mem_write(first - GUARD, a.tobytes())
        machine.mem_write(second - GUARD, b.tobytes())
        for register in abi.preserved:
            machine.reg_write(register, 0x5A5A0000 + register)
        for record in (self._pcs, self._loads, self._stores):
            record.clear()
        returned = self.enter(first, second, len(a) - 2 * GUARD)
        after = STACK + REGION // 2 + (word if abi.link is None else 0)
        pcs = np.array(self._pcs, np.int64)
        return Run(
            returned=returned,
            registers_kept=machine.reg_read(abi.stack_pointer) == after
            and all(machine.reg_read(r) == 0x5A5A0000 + r for r in abi.preserved),
            # Unicorn reports a rep-prefixed instruction once a round and once at its end.
            instructions=pcs[np.diff(pcs, prepend=0) != 0],
            loads=np.array(self._loads, np.int64).reshape(-1, 3),
            stores=np.array(self._stores, np.int64).reshape(-1, 3),
            a=np.frombuffer(machine.mem_read(first - GUARD, len(a)), np.uint8),
            b=np.frombuffer(machine.mem_read(second - GUARD, len(b)), np.uint8),
        )


def bytes_of(accesses: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the address of every byte accessed, sorted; one accessed twice is there twice."""
    address, size = accesses[:, 0], accesses[:, 1]
    within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    return np.sort(np.repeat(address, size) + within)


def outside_stack(accesses: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leave out saved registers and the return address: they are no part of what is moved."""
    return accesses[(accesses[:, 0] < STACK) | (accesses[:, 0] >= STACK + REGION)]


def faults(guest: Guest, function: str, cases: Iterable[tuple[int, int, int]]) -> set[str]:
    """Return the rules broken by calls with these (alignment of a, alignment of b, n).

    ``return``, ``registers``: it does not come back, or not with the caller's registers.
    ``content``: the ranges or their guards differ from what NumPy makes of them.
    ``loads``, ``stores``: not every byte exactly once, or other bytes too.
    ``width``: not all whole words as words, although the pointers allow it.
    ``alignment``: an access not aligned to its size, on a target that forbids that (stricter than
    ARM, which forbids it only to ldm, stm, ldrd and strd).
    ``unrolling``: per four accesses, more than one instruction besides those that make them.
    """
    word, unaligned = guest.target.word, guest.abi.unaligned
    random = np.random.default_rng(2012)
    found: set[str] = set()
    for align_a, align_b, n in cases:
        first, second = A + GUARD + align_a, B + GUARD + align_b
        a, b = random.integers(0, 256, (2, n + 2 * GUARD), np.uint8)
        run = guest.call(first, second, a, b)

        inner = slice(GUARD, GUARD + n)
        after_a, after_b = a.copy(), b.copy()
        after_a[inner] = b[inner]
        to_load, to_store = np.arange(second, second + n), np.arange(first, first + n)
        words = n // word
        if function == "swap":
            after_b[inner] = a[inner]
            to_load = to_store = np.concatenate([to_store, to_load])
            words *= 2

        loads, stores = outside_stack(run.loads), outside_stack(run.stores)
        accesses = np.concatenate([loads, stores])
        aligned = (align_a | align_b) % word == 0
        besides = ~np.isin(run.instructions, np.concatenate([run.loads, run.stores])[:, 2])
        broken = {
            "return": not run.returned,
            "registers": not run.registers_kept,
            "content": not (np.array_equal(run.a, after_a) and np.array_equal(run.b, after_b)),
            "loads": not np.array_equal(bytes_of(loads), to_load),
            "stores": not np.array_equal(bytes_of(stores), to_store),
            "width": (aligned or unaligned)
            and any(np.count_nonzero(kind[:, 1] == word) != words for kind in (loads, stores)),
            "alignment": not unaligned and bool((accesses[:, 0] % accesses[:, 1]).any()),
            # Of a short call, what surrounds the loop is the larger part.
            "unrolling": aligned and n >= 1632 and 4 * np.count_nonzero(besides) > len(accesses),
        }
        found |= {rule for rule, is_broken in broken.items() if is_broken}
    return found


# Every length up to several blocks, with every rest; then zsmapbench's object and its two parts,
# two such objects, and a page with and without a rest.
LENGTHS = [(0, 0, n) for n in (*range(201), 800, 832, 1632, 3264, 4095, 4096)]
ALIGNMENTS = [
    *((a, b, n) for a in range(16) for b in range(16) for n in (0, 1, 2, 7, 15, 48, 103)),
    *((a, b, 1632) for a, b in ((1, 0), (0, 2), (3, 3), (4, 0), (4, 4), (8, 12))),
]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], bytes]:
    folder = tmp_path_factory.mktemp("primitives")
    built: dict[tuple[str, str], bytes] = {}

    def get(name: str, function: str) -> bytes:
        if (name, function) not in built:
            output = folder / f"{name}-{function}.o"
            built[name, function] = build(target(name), function, output)
        return built[name, function]

    return get


@each_primitive
def test_every_length(name: str, function: str, code: Callable[[str, str], bytes]) -> None:
    found = faults(Guest(target(name), code(name, function)), function, LENGTHS)
    assert found == LIKE_A_KERNEL.get(function, set())


@each_primitive
def test_every_alignment(name: str, function: str, code: Callable[[str, str], bytes]) -> None:
    found = faults(Guest(target(name), code(name, function)), function, ALIGNMENTS)
    # Its lengths are short, or its addresses not aligned: no loop is judged.
    assert found == LIKE_A_KERNEL.get(function, set()) - {"unrolling"}


@pytest.mark.external
@each_primitive
def test_assembled_by_gcc(name: str, function: str, tmp_path: Path) -> None:
    gcc = target(name).build.gcc
    if shutil.which(gcc) is None:
        pytest.skip(f"no {gcc}: it is in Debian's {target(name).build.gcc_package}")
    guest = Guest(target(name), build(target(name), function, tmp_path / "gcc.o", cc="gcc"))
    found = faults(guest, function, LENGTHS + ALIGNMENTS[::7])
    assert found == LIKE_A_KERNEL.get(function, set())


def wrong_lengths(guest: Guest) -> list[int]:
    """Return the lengths up to a page of which a copy does not leave what NumPy makes of it.

    Of odd lengths the source, of even ones the destination ends where nothing is mapped, so that
    a load or a store behind it faults. Every alignment of both occurs.
    """
    random = np.random.default_rng(1995)
    page = random.integers(0, 256, 4096, np.uint8).tobytes()
    wrong = []
    for n in range(4097):
        # One of the two ranges ends where what is mapped ends, the other so many bytes before.
        far = int(random.integers(16))
        behind = far if n % 2 else 0
        first, second = A + REGION - n - behind, B + REGION - n - (far - behind)
        guest.uc.mem_write(first - GUARD, bytes(GUARD + n + behind))
        guest.uc.mem_write(second, page[:n])
        returned = guest.enter(first, second, n)
        left = bytes(guest.uc.mem_read(first - GUARD, GUARD + n + behind))
        expected = bytes(GUARD) + page[:n] + bytes(behind)
        if not returned or left != expected or guest.uc.mem_read(second, n) != page[:n]:
            wrong.append(n)
    return wrong


@pytest.mark.parametrize(("name", "function"), [*VARIANTS, ("x86_64", "copy")])
def test_every_length_up_to_a_page(
    name: str, function: str, code: Callable[[str, str], bytes]
) -> None:
    assert wrong_lengths(Guest(target(name), code(name, function), watched=False)) == []


def test_finds_a_load_behind_the_end(tmp_path: Path) -> None:
    """Of the lengths that leave a last byte, every one whose source ends where memory does."""
    old, new = "movzbl (%rsi), %eax", "movzwl (%rsi), %eax"
    _, code = plant("x86_64", "x86_64/copy-words.S", old, new, tmp_path)
    assert wrong_lengths(Guest(target("x86_64"), code, watched=False)) == list(range(1, 4097, 2))


def disassemble(target: Target, code: bytes) -> list[Any]:
    decoder = capstone.Cs(target.capstone_arch, target.capstone_mode)
    decoder.detail = True
    found = list(decoder.disasm(code, CODE))
    # Capstone stops in silence at what it does not know, which may be what is looked for.
    assert sum(instruction.size for instruction in found) == len(code)
    return found


def vector_instructions(target: Target, code: bytes) -> list[str]:
    texts = [f"{i.mnemonic} {i.op_str}" for i in disassemble(target, code)]
    return [text for text in texts if target.instructions.vector.search(text)]


def predicated(code: bytes) -> list[str]:
    """Return the mnemonics of conditional A32 instructions other than branches."""
    return [
        i.mnemonic
        for i in disassemble(target("arm"), code)
        if i.cc not in (ARM_CC_AL, ARM_CC_INVALID) and i.id not in (ARM_INS_B, ARM_INS_BX)
    ]


@each_primitive
def test_general_registers_only(
    name: str, function: str, code: Callable[[str, str], bytes]
) -> None:
    assert vector_instructions(target(name), code(name, function)) == []


@pytest.mark.parametrize("function", ["copy", "swap"])
def test_arm_predicates_only_branches(function: str, code: Callable[[str, str], bytes]) -> None:
    assert predicated(code("arm", function)) == []


def plant(name: str, file: str, old: str, new: str, folder: Path) -> tuple[str, bytes]:
    """Build from copies of the sources, ``new`` for ``old`` in ``file``: the function, its code.

    Blanks stand for any white space of the source.
    """
    for directory in {name, Path(file).parts[0]}:
        shutil.copytree(ARCH / directory, folder / directory)
    source = folder / file
    lines = [" ".join(line.split()) for line in source.read_text().splitlines()]
    assert old in lines, f"{file} has no line {old!r} any more: plant the fault another way"
    source.write_text("\n".join(new if line == old else line for line in lines) + "\n")
    function = source.stem if source.suffix == ".S" else source.name[:4]
    return function, build(target(name), function, folder / "planted.o", arch=folder)


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "broken"),
    [
        # A byte too few.
        ("x86_64", "x86_64/copy.S", "and $7, %edx", "and $6, %edx", "content loads stores"),
        ("aarch64", "aarch64/copy.S", "tbz x2, #0, .Lout", "b .Lout", "content loads stores"),
        # The right places, but not the right bytes in them.
        ("arm", "arm/swap.S", "strb ip, [r0], #1", "strb r3, [r0], #1", "content"),
        # The right bytes in the end, but one beyond them loaded, or one of them stored twice.
        ("aarch64", "aarch64/copy.S", "ldrb w3, [x1]", "ldrh w3, [x1]", "loads"),
        ("i386", "i386/swap.S", "mov %bl, (%edx)", "mov %bl, (%edx); mov %bl, (%edx)", "stores"),
        # Bytes where words would do; a loop with too little in a round.
        ("riscv32", "riscv/swap-common.h", "bnez t0, .Lbytes", "j .Lbytes", "unrolling width"),
        ("x86_64", "x86_64/copy.S", "rep movsq", "shl $3, %rcx; rep movsb", "width"),
        (
            "x86_64",
            "x86_64/copy-words.S",
            "mov 24(%rsi), %r9",
            "mov 16(%rsi), %r9",
            "content loads unrolling",
        ),
        (
            "aarch64",
            "aarch64/swap.S",
            "b.hs .Lblock",
            ".rept 8; nop; .endr; b.hs .Lblock",
            "unrolling",
        ),
        # Words at odd addresses.
        ("riscv64", "riscv/copy-common.h", "or t0, a0, a1", "mv t0, a0", "alignment"),
        ("arm", "arm/copy.S", "orr r3, r0, r1", "mov r3, r1", "alignment"),
        # The caller's registers, the stack, the way back, and no way back.
        ("arm", "arm/swap.S", "pop {r4-r8, lr}", "pop {r3-r7, lr}", "registers"),
        ("i386", "i386/copy.S", "pop %edi", "add $4, %esp", "registers"),
        (
            "riscv64",
            "riscv/swap-common.h",
            "or t0, a0, a1",
            "addi sp, sp, -16; or t0, a0, a1",
            "registers",
        ),
        ("aarch64", "aarch64/swap.S", "ret", "b .", "return"),
        ("riscv64", "riscv/copy-common.h", "ret", "li ra, 0; ret", "return"),
    ],
)
def test_finds_planted_fault(
    name: str, file: str, old: str, new: str, broken: str, tmp_path: Path
) -> None:
    function, code = plant(name, file, old, new, tmp_path)
    cases = [(0, 0, 103), (0, 0, 1632), (0, 1, 67), (1, 0, 67)]
    assert faults(Guest(target(name), code), function, cases) == set(broken.split())


@pytest.mark.parametrize(
    ("name", "file", "ret", "vector"),
    [
        ("x86_64", "x86_64/swap.S", "ret", "movups (%rsi), %xmm0"),
        ("i386", "i386/swap.S", "ret", "movups (%edx), %xmm0"),
        ("aarch64", "aarch64/swap.S", "ret", ".arch_extension fp; ldr q0, [x1]"),
        ("arm", "arm/swap.S", "bx lr", ".fpu neon; vld1.8 {d0}, [r1]"),
        ("riscv64", "riscv/swap-common.h", "ret", ".option arch, +d; fld fa0, (a1)"),
        ("riscv32", "riscv/swap-common.h", "ret", ".option arch, +f; flw fa0, (a1)"),
    ],
)
def test_finds_planted_vector_instruction(
    name: str, file: str, ret: str, vector: str, tmp_path: Path
) -> None:
    _, code = plant(name, file, ret, f"{vector}; {ret}", tmp_path)
    assert len(vector_instructions(target(name), code)) == 1


@pytest.mark.parametrize("instruction", ["ldrne r3, [r1]", "stmeq r0!, {r3, ip}", "movhs r3, r2"])
def test_finds_planted_predicate(instruction: str, tmp_path: Path) -> None:
    _, code = plant("arm", "arm/copy.S", "bx lr", f"{instruction}; bx lr", tmp_path)
    assert predicated(code) == [instruction.split()[0]]
