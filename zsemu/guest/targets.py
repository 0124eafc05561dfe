# SPDX-License-Identifier: GPL-2.0-only
"""The architectures: each is what its ``arch/<name>/target.toml`` says, as data.

Where a kernel chooses its memcpy() by the CPU, an architecture has variants: each is a Target of
its own, ``<architecture>-<variant>``, which copies with another primitive and is else the same.

Unicorn and Capstone, which take long to load, are loaded when their constants are looked up: what
there is, and what it is called, is known without them.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, Final, Literal

from zsemu.counts import TLB_KINDS
from zsemu.errors import ZsemuError
from zsemu.paths import ARCH

_UNICORN_CONSTANTS: Final = ("unicorn", "x86", "arm", "arm64", "riscv")
"""the modules of Unicorn's, each with ``_const`` at its end"""


@dataclass(frozen=True)
class Instructions:
    """Which instructions are special: regular expressions over Capstone's ``mnemonic operands``.

    None where an architecture has no such instructions.
    """

    string: re.Pattern[str] | None
    """instructions with a repeat prefix, which retire once, however many rounds they make"""
    goes_on: re.Pattern[str] | None
    """instructions that may stand before such a one, and behind which Unicorn ends no block"""
    store_exclusive: re.Pattern[str] | None
    """store-exclusives, for which Unicorn reports a load that the guest does not make"""
    block_zero: re.Pattern[str] | None
    """stores of a whole block of zeroes, which Unicorn reports byte by byte"""
    vector: re.Pattern[str]
    """instructions or operands that kernel code must not use"""
    tlb: tuple[tuple[str, re.Pattern[str]], ...]
    """pairs (one of TLB_KINDS, expression). Broadcasts stand first, as other patterns match them"""
    tlb_operand: re.Pattern[str]
    """operand of an invalidate of one page; its groups are register, sign and displacement"""
    tlb_operand_shift: int
    """how many bits the address in that register is shifted right"""
    aligned: re.Pattern[str] | None
    """instructions whose accesses must be aligned"""
    memory: re.Pattern[str]
    """an operand in memory; its groups are a register, ``base``, and ``sum``, numbers and registers
    that are added up"""
    classes: tuple[tuple[str, re.Pattern[str]], ...]
    """pairs (one of CLASSES, expression): the first that matches decides; if none does, alu"""


@dataclass(frozen=True)
class Reference:
    """A way in which an instruction names an address."""

    pattern: re.Pattern[str]
    """over ``mnemonic operands``. Its group ``n`` is a number, ``register`` the register that the
    number is added to, and ``sets`` the register that holds the sum from here on"""
    base: Literal["zero", "start", "end", "register"]
    """what the number is added to: nothing, the instruction's own address, the address behind the
    instruction, or what a register holds"""
    shift: int
    """by which the number is shifted left before it is added"""
    plus: int
    """constant that is added, too"""


@dataclass(frozen=True)
class Build:
    """The compiler options of a target, beyond those that all targets share."""

    flags: tuple[str, ...]
    """of zig and clang"""
    gcc_flags: tuple[str, ...]
    triple: str
    """of zig"""
    cpu: str
    """of zig: general registers only"""
    clang: tuple[str, ...]
    """options that select the target in clang"""
    gcc: str
    """name of the cross compiler, as Debian has it"""
    gcc_package: str


@dataclass(frozen=True)
class SchedulingModels:
    """The CPUs of a target whose pipelines LLVM models, for llvm-mca."""

    triple: str
    """of LLVM"""
    cpus: tuple[tuple[str, str], ...]
    """pairs of a CPU, as LLVM names it, and how it issues instructions: in order, out of order"""
    atomic: re.Pattern[str]
    """over ``mnemonic operands``: accesses that may wait for other CPUs, as no model knows"""
    ends: re.Pattern[str]
    """over the same: instructions behind which the next one in memory is never executed"""


@dataclass(frozen=True)
class Target:
    """One architecture, or a variant of one."""

    name: str
    digest: str
    """SHA-256, in hexadecimal, of all that ``target.toml`` says of it"""
    folder: str
    """the folder in ``arch/``: the name of the architecture"""
    copy: str
    """the file there that has the copy primitive"""
    string_copy: bool
    """whether one instruction of that primitive moves any number of bytes"""
    description: str
    word_bits: int
    byte_order: Literal["little", "big"]
    physical_bits: int
    """MAX_POSSIBLE_PHYSMEM_BITS of its kernel: decides the number of index bits of a handle"""
    pte_size: int
    """bytes of a page-table entry"""
    pte_present: int
    """mask: an entry is present if any of these bits is set"""
    page_shifts: tuple[int, ...]
    """page sizes that its MMU has, as shifts"""
    direct_map: int
    """virtual address of the physical address 0"""
    window: int
    """virtual address of the per-CPU windows"""
    cpu_model: str
    """Unicorn's name of the CPU"""
    unicorn_arch: int
    unicorn_mode: int
    unicorn_cpu: int
    pc: int
    """Unicorn's number of the program counter"""
    exception_pc: int
    """what Unicorn has added to the program counter when an exception ends the run"""
    registers: str
    """what Unicorn's constants of this architecture's registers begin with"""
    set_page_size: bool
    """whether Unicorn must be told the page size"""
    coprocessor: tuple[tuple[int, ...], ...]
    """system registers to write before the start: crn, crm, op0, op1, op2, value"""
    capstone_arch: int
    capstone_mode: int
    instructions: Instructions
    references: tuple[Reference, ...]
    """of which the first that matches says what an instruction refers to"""
    build: Build
    models: SchedulingModels

    def register(self, name: str) -> int:
        """Return Unicorn's number of the register that Capstone calls ``name``."""
        return unicorn_constant(self.registers + name.upper())

    def reference(
        self, text: str, code: range, held: Mapping[str, int]
    ) -> tuple[Reference, re.Match[str], int] | None:
        """Return how an instruction names an address, the match, and the address; None if not.

        ``text`` is what Capstone writes, ``code`` the addresses of its bytes, and ``held`` are the
        addresses that registers are known to hold.
        """
        bases = {"zero": 0, "start": code.start, "end": code.stop}
        for rule in self.references:
            match = rule.pattern.search(text)
            if match is None:
                continue
            base = held.get(match["register"]) if rule.base == "register" else bases[rule.base]
            if base is None:
                continue
            number = int(match["n"].replace("#", "").replace(" ", ""), 0)
            mask = (1 << self.word_bits) - 1
            return rule, match, base + (number << rule.shift) + rule.plus & mask
        return None

    @property
    def page_sizes(self) -> tuple[int, ...]:
        """Bytes of the pages that its MMU has."""
        return tuple(1 << shift for shift in self.page_shifts)

    @property
    def word(self) -> int:
        """Bytes of a machine word."""
        return self.word_bits // 8


def _constants(of: str) -> ModuleType:
    return import_module(f"unicorn.{of}_const")


def unicorn_constant(name: str) -> int:
    """Return the value of a constant of Unicorn's; ZsemuError if it has none of that name."""
    for module in map(_constants, _UNICORN_CONSTANTS):
        if hasattr(module, name):
            return int(getattr(module, name))
    raise ZsemuError(f"Unicorn has no constant {name}; see arch/*/target.toml")


def _pattern(text: str) -> re.Pattern[str] | None:
    return re.compile(text) if text else None


def _instructions(data: dict[str, Any]) -> Instructions:
    tlb = [(kind, data.get(f"tlb_{kind}", "")) for kind in TLB_KINDS]
    tlb.sort(key=lambda pair: not pair[0].endswith("broadcast"))
    return Instructions(
        string=_pattern(data["string"]),
        goes_on=_pattern(data.get("goes_on", "")),
        store_exclusive=_pattern(data["store_exclusive"]),
        block_zero=_pattern(data.get("block_zero", "")),
        vector=re.compile(data["vector"]),
        tlb_operand=re.compile(data["tlb_operand"]),
        tlb_operand_shift=int(data.get("tlb_operand_shift", 0)),
        aligned=_pattern(data["aligned"]),
        memory=re.compile(data["memory"]),
        tlb=tuple((kind, re.compile(text)) for kind, text in tlb if text),
        classes=tuple(
            (name, re.compile(data[name])) for name in ("branch", "system", "store", "load")
        ),
    )


def _reference(data: dict[str, Any]) -> Reference:
    return Reference(
        re.compile(data["pattern"]), data["from"], data.get("shift", 0), data.get("plus", 0)
    )


def _mode(module: ModuleType, names: list[str]) -> int:
    mode = 0
    for name in names:
        mode |= int(getattr(module, name))
    return mode


@cache
def names() -> tuple[str, ...]:
    """Return the architectures' names: the 64-bit one of each family before its 32-bit one."""
    order = ("x86_64", "i386", "aarch64", "arm", "riscv64", "riscv32")
    found = {path.parent.name for path in ARCH.glob("*/target.toml")}
    return tuple(sorted(found, key=lambda n: (order.index(n) if n in order else len(order), n)))


def _read(folder: str) -> dict[str, Any]:
    with (ARCH / folder / "target.toml").open("rb") as stream:
        return tomllib.load(stream)


@cache
def variants() -> dict[str, str]:
    """Return the names of variants and the architectures that they are of."""
    return {
        f"{name}-{variant}": name for name in names() for variant in _read(name).get("variants", ())
    }


def known() -> tuple[str, ...]:
    """Return the names of all architectures, each before its variants."""
    return tuple(
        each
        for name in names()
        for each in (name, *(v for v, of in variants().items() if of == name))
    )


def _data(name: str) -> dict[str, Any]:
    folder = name if name in names() else variants().get(name)
    if not folder:
        raise ZsemuError(f"no architecture {name!r}: there are {', '.join(known())}")
    data = {"folder": folder, "copy": "copy.S"} | _read(folder)
    if folder != name:
        data |= data["variants"][name.removeprefix(f"{folder}-")]
    return data


def cpu_model(name: str) -> str:
    """Return which of Unicorn's CPU models an architecture has; ZsemuError if there is no such."""
    return _cpu_model(_data(name))


def _cpu_model(data: dict[str, Any]) -> str:
    model: str = data["unicorn"]["cpu"]
    return model.removeprefix("UC_CPU_")


@cache
def target(name: str) -> Target:
    """Read an architecture or a variant; ZsemuError names the valid ones if there is no such."""
    capstone, data = import_module("capstone"), _data(name)
    engine, decoder, build, mca = data["unicorn"], data["capstone"], data["build"], data["mca"]
    return Target(
        name=name,
        digest=hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest(),
        folder=data["folder"],
        copy=data["copy"],
        string_copy=data.get("string_copy", False),
        description=data["description"],
        word_bits=data["word_bits"],
        byte_order=data["byte_order"],
        physical_bits=data["physical_bits"],
        pte_size=data["pte_size"],
        pte_present=data["pte_present"],
        page_shifts=tuple(data["page_shifts"]),
        direct_map=data["direct_map"],
        window=data["window"],
        cpu_model=_cpu_model(data),
        unicorn_arch=unicorn_constant(engine["arch"]),
        unicorn_mode=_mode(_constants("unicorn"), engine["mode"]),
        unicorn_cpu=unicorn_constant(engine["cpu"]),
        pc=unicorn_constant(engine["pc"]),
        exception_pc=engine.get("exception_pc", 0),
        registers=engine["registers"],
        set_page_size=engine.get("set_page_size", False),
        coprocessor=tuple(tuple(row) for row in engine.get("coprocessor", [])),
        capstone_arch=int(getattr(capstone, decoder["arch"])),
        capstone_mode=_mode(capstone, decoder["mode"]),
        instructions=_instructions(data["instructions"]),
        references=tuple(_reference(each) for each in data.get("references", ())),
        build=Build(
            flags=tuple(build["flags"]),
            gcc_flags=tuple(build["gcc_flags"]),
            triple=build["triple"],
            cpu=build["cpu"],
            clang=tuple(build["clang"]),
            gcc=build["gcc"],
            gcc_package=build["gcc_package"],
        ),
        models=SchedulingModels(
            triple=mca["triple"],
            cpus=tuple(mca["cpus"].items()),
            atomic=re.compile(mca["atomic"]),
            ends=re.compile(mca["ends"]),
        ),
    )
