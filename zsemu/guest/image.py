# SPDX-License-Identifier: GPL-2.0-only
"""A compiled image: the sections to load, the symbols, and what each instruction is.

To disassemble an image takes longer than to replay a thousand operations, so what is found of its
instructions is kept (zsemu.kept). Their texts are not: few ask for them.
"""

import bisect
import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import capstone
import numpy as np
import unicorn
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray

from zsemu.counts import CLASSES, TLB_KINDS
from zsemu.errors import ZsemuError
from zsemu.guest import elf_symbols
from zsemu.guest.targets import Target
from zsemu.kept import kept

PLAIN, STRING, STORE_EXCLUSIVE, BLOCK_ZERO, TLB = range(5)
"""kinds of instruction, as native/hooks.h has them; TLB + i invalidates TLB_KINDS[i]"""
ALIGNED: Final = 0x80
ENTRY: Final = 0x40
KIND: Final = 0x3F
"""added to the kind of an instruction whose accesses must be aligned"""

_INSTRUCTION: Final = np.dtype(
    [
        ("address", np.uint64),
        ("displacement", np.int64),
        ("register", np.uint16),
        ("size", np.uint8),
        ("kind", np.uint8),
        ("class", np.uint8),
    ]
)
"""what is kept of an instruction: see Image.kinds, classes and operands"""


@dataclass(frozen=True)
class Instruction:
    """One instruction of an image."""

    address: int
    size: int
    """bytes"""
    mnemonic: str
    operands: str

    @property
    def text(self) -> str:
        """Mnemonic and operands as Capstone writes them."""
        return f"{self.mnemonic} {self.operands}".strip()

    @property
    def code(self) -> range:
        """The addresses of its bytes."""
        return range(self.address, self.address + self.size)


@dataclass(frozen=True)
class Symbol:
    """A name in the image."""

    name: str
    address: int
    size: int
    """bytes; 0 for a bare label"""


class Image:
    """An ELF image that zsemu.guest.compiler has built for one target."""

    def __init__(self, path: Path, target: Target) -> None:
        """Read sections and symbols."""
        self.path = path
        self.target = target
        self.symbols: dict[str, Symbol] = {}
        """the global ones by name: two files may each have a static function of the same name"""
        self.sections: dict[str, tuple[int, bytes]] = {}
        """address and content of what must be loaded, by name"""
        self._names: list[Symbol] = []
        self._marks: list[tuple[int, bool]] = []
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            sections = list(elf.iter_sections())
            for section in sections:
                if section["sh_flags"] & 2 and section["sh_size"]:  # SHF_ALLOC
                    self.sections[section.name] = (section["sh_addr"], section.data())
            for entry in elf_symbols.read(elf, sections):
                symbol = Symbol(entry.name, entry.value, entry.size)
                if entry.name.startswith("$"):
                    # Mapping symbols of the Arm and RISC-V ABIs: from here on, data or code.
                    self._marks.append((symbol.address, not entry.name.startswith("$d")))
                    continue
                is_global = entry.binding != elf_symbols.LOCAL
                if is_global:
                    self.symbols[entry.name] = symbol
                if is_global or entry.type == elf_symbols.FUNCTION:
                    self._names.append(symbol)

    def has(self, name: str) -> bool:
        """Return whether an optional function is there; a weak symbol without one has address 0."""
        return name in self.symbols and self.symbols[name].address != 0

    def address(self, name: str) -> int:
        """Return the address of a symbol that must be there."""
        return self.symbols[name].address

    @property
    def text(self) -> tuple[int, int]:
        """Address of the first byte of the code, and address behind its last byte."""
        return self.address("zs_text_start"), self.address("zs_text_end")

    @cached_property
    def _functions(self) -> list[Symbol]:
        start, end = self.text
        bare = {
            f"zs_{name}_{where}"
            for name in ("text", "driver", "by_span")
            for where in ("start", "end")
        }
        inside = [
            symbol
            for symbol in self._names
            if start <= symbol.address < end and symbol.name not in bare
        ]
        return sorted(inside, key=lambda symbol: (symbol.address, symbol.size))

    @cached_property
    def _begins(self) -> list[int]:
        return [symbol.address for symbol in self._functions]

    def function(self, address: int) -> Symbol | None:
        """Return the function that holds an address; None if that is outside the code."""
        start, end = self.text
        index = bisect.bisect_right(self._begins, address) - 1
        return self._functions[index] if start <= address < end and index >= 0 else None

    def where(self, address: int) -> str:
        """Name an address as ``function+0xoffset``, or as hexadecimal outside the code."""
        symbol = self.function(address)
        return f"{symbol.name}+{address - symbol.address:#x}" if symbol else f"{address:#x}"

    def name(self, address: int) -> str:
        """Name an address of code or data by its symbol, as hexadecimal if there is none."""
        symbol = self.function(address) or next(
            (s for s in self.symbols.values() if s.address <= address < s.address + s.size), None
        )
        if symbol is None:
            return f"{address:#x}"
        offset = address - symbol.address
        return f"{symbol.name}+{offset:#x}" if offset else symbol.name

    @cached_property
    def instructions(self) -> dict[int, Instruction]:
        """All instructions of the code by address; literal pools and padding are left out."""
        decoder = capstone.Cs(self.target.capstone_arch, self.target.capstone_mode)
        decoder.skipdata = True
        start, end = self.text
        base, data = self.sections[".text"]
        # A label has no size: what it stands for ends within 64 bytes, and padding follows.
        used = min(end, max(s.address + (s.size or 64) for s in self._functions))
        marks = sorted((m for m in self._marks if start <= m[0] < used), key=lambda m: m[0])
        found = {}
        for (first, is_code), (behind, _) in pairwise([(start, True), *marks, (used, False)]):
            if not is_code:
                continue
            code = data[first - base : behind - base]
            for address, size, mnemonic, operands in decoder.disasm_lite(code, first):
                if mnemonic != ".byte":
                    found[address] = Instruction(address, size, mnemonic, operands)
        return found

    def disassemble(self, address: int) -> str:
        """Return the instruction at ``address``, or ``?`` if there is none."""
        found = self.instructions.get(address)
        return found.text if found else "?"

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of what is loaded, and of what decides on its instructions."""
        versions = f"{capstone.__version__} {unicorn.__version__}"
        rules = f"{self.target.digest} {self.target.instructions} {versions}"
        digest = hashlib.sha256(rules.encode())
        for address, content in self.sections.values():
            digest.update(f" {address} {len(content)} ".encode() + content)
        # Functions, and where there is data among the code.
        digest.update(f"{self._functions} {self._marks}".encode())
        return digest.hexdigest()

    @cached_property
    def _table(self) -> NDArray[np.void]:
        """All instructions in the order of their addresses, dtype _INSTRUCTION."""
        kept_ = kept("instructions", self.digest, lambda: self._tell_apart().tobytes())
        assert kept_ is not None
        return np.frombuffer(kept_, _INSTRUCTION)

    def _tell_apart(self) -> NDArray[np.void]:
        """Disassemble the code, and say of each instruction what it is."""
        rows = []
        for found in self.instructions.values():
            text = found.text
            kind = self._kind(text)
            to_one_page = kind & KIND in (TLB, TLB + 1)
            register, displacement = self._operand(text) if to_one_page else (0, 0)
            rows.append(
                (found.address, displacement, register, found.size, kind, self._class(text))
            )
        return np.array(rows, _INSTRUCTION)

    def _kind(self, text: str) -> int:
        rules, kind = self.target.instructions, PLAIN
        if rules.string and rules.string.search(text):
            kind = STRING
        elif rules.store_exclusive and rules.store_exclusive.search(text):
            kind = STORE_EXCLUSIVE
        elif rules.block_zero and rules.block_zero.search(text):
            kind = BLOCK_ZERO
        else:
            for name, pattern in rules.tlb:
                if pattern.search(text):
                    kind = TLB + TLB_KINDS.index(name)
                    break
        return kind | ALIGNED if rules.aligned and rules.aligned.search(text) else kind

    def _class(self, text: str) -> int:
        for name, pattern in self.target.instructions.classes:
            if pattern.search(text):
                return CLASSES.index(name)
        return CLASSES.index("alu")

    def _operand(self, text: str) -> tuple[int, int]:
        """Return the operand of an invalidate of one page, as ``operands`` has it."""
        pattern = self.target.instructions.tlb_operand
        match, displacement = pattern.search(text), 0
        if match is None:
            return 0, 0
        if pattern.groups > 1 and match[3]:
            displacement = int(match[3], 0) * (-1 if match[2] == "-" else 1)
        return self.target.register(match[1]), displacement

    def _by_byte(self, field: str, otherwise: int = 0) -> NDArray[Any]:
        """Spread what is known of each instruction: by byte of the code at which it begins."""
        start, end = self.text
        found = np.full(end - start, otherwise, _INSTRUCTION[field])
        found[self._table["address"].astype(np.int64) - start] = self._table[field]
        return found

    @cached_property
    def kinds(self) -> NDArray[np.uint8]:
        """Kind of the instruction that begins at each byte of the code, shape (bytes of code,).

        ALIGNED is added where it must access aligned, and ENTRY where a function begins.
        """
        kinds = self._by_byte("kind")
        kinds[[symbol.address - self.text[0] for symbol in self._functions]] |= ENTRY
        return kinds

    @cached_property
    def classes(self) -> NDArray[np.uint8]:
        """Class of the instruction that begins at each byte: index in CLASSES, shape (bytes,)."""
        return self._by_byte("class", CLASSES.index("alu"))

    @cached_property
    def operands(self) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        """The operand of every invalidate of one page: register, and what is added to it.

        The register has Unicorn's number. Both are by byte of the code, shape (bytes of code,).
        """
        return self._by_byte("register"), self._by_byte("displacement")

    @cached_property
    def _sizes(self) -> dict[int, int]:
        return dict(zip(self._table["address"].tolist(), self._table["size"].tolist(), strict=True))

    def count(self, address: int, size: int) -> int:
        """Return how many instructions the ``size`` bytes at ``address`` hold.

        ZsemuError if some of these bytes are no known instruction: a strategy may have written one
        as data, which cannot be counted.
        """
        end, number = address + size, 0
        while address < end:
            one = self._sizes.get(address)
            if one is None:
                raise ZsemuError(
                    f"{self.where(address)}: executed, but not an instruction that Capstone knows;"
                    " write it by its name, or with the assembler's .inst or .insn"
                )
            address += one
            number += 1
        return number
