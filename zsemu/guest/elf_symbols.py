# SPDX-License-Identifier: GPL-2.0-only
"""Read an ELF file's symbol table at once.

pyelftools parses it symbol by symbol, which takes seconds for a kernel's object: of RISC-V's code
every label that an instruction refers to is one.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section

OBJECT: Final = 1
FUNCTION: Final = 2
SECTION: Final = 3
"""types of symbols, as STT_OBJECT (System V ABI, chapter 4, "Symbol Table")"""
LOCAL: Final = 0
"""STB_LOCAL, a binding"""
UNDEFINED: Final = 0
"""SHN_UNDEF, a section"""
_RESERVED: Final = 0xFF00
"""SHN_LORESERVE: from here on, numbers of sections stand for something else"""

_FIELDS: Final = {
    32: ("name:u4", "value:u4", "size:u4", "info:u1", "other:u1", "section:u2"),
    64: ("name:u4", "info:u1", "other:u1", "section:u2", "value:u8", "size:u8"),
}


class ElfSymbol(NamedTuple):
    """One symbol."""

    name: str
    value: int
    size: int
    """bytes"""
    type: int
    binding: int
    section: int
    """number of the section; UNDEFINED, or one that is reserved"""

    @property
    def in_section(self) -> bool:
        """Whether it lies in a section of the file."""
        return UNDEFINED < self.section < _RESERVED


def read(elf: ELFFile, sections: Sequence[Section] | None = None) -> list[ElfSymbol]:
    """Return all symbols, the first of which is none, as relocations number them.

    ``sections`` are those of the file, if they have been parsed before. ValueError or IndexError if
    it has no symbol table, or a damaged one.
    """
    order = "<" if elf.little_endian else ">"
    fields = [field.split(":") for field in _FIELDS[elf.elfclass]]
    dtype = np.dtype([(name, order + kind) for name, kind in fields])
    sections = sections or list(elf.iter_sections())
    (section,) = (one for one in sections if one["sh_type"] == "SHT_SYMTAB")
    table = np.frombuffer(section.data(), dtype)
    names = sections[section["sh_link"]].data()
    columns = (table[name].tolist() for name in ("name", "value", "size", "info", "section"))
    return [
        ElfSymbol(
            names[at : names.index(b"\0", at)].decode("utf-8", "replace"),
            value,
            size,
            info & 0xF,
            info >> 4,
            number,
        )
        for at, value, size, info, number in zip(*columns, strict=True)
    ]
