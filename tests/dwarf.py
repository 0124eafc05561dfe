# SPDX-License-Identifier: GPL-2.0-only
"""What a compiler says about its structures and enumerations: read from DWARF by pyelftools."""

import ctypes
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from elftools.elf.elffile import ELFFile

from zsemu.guest.compiler import zig

Die = Any
"""elftools.dwarf.die.DIE, which has no type information"""


@dataclass(frozen=True)
class Types:
    """The named types of one binary."""

    structs: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    """offset and size of each member, both in bytes; of nested ones as ``outer.inner``"""
    sizes: dict[str, int] = field(default_factory=dict)
    """bytes of each structure"""
    enums: dict[str, dict[str, int]] = field(default_factory=dict)
    """value of each enumerator; enumerations without a name together as ``""``"""


def _size(die: Die) -> int:
    """Return the bytes of a type."""
    if "DW_AT_byte_size" in die.attributes:
        return int(die.attributes["DW_AT_byte_size"].value)
    if die.tag == "DW_TAG_pointer_type":
        return int(die.cu["address_size"])
    size = _size(die.get_DIE_from_attribute("DW_AT_type"))
    if die.tag == "DW_TAG_array_type":
        for subrange in die.iter_children():
            if "DW_AT_count" in subrange.attributes:
                size *= int(subrange.attributes["DW_AT_count"].value)
            else:
                size *= int(subrange.attributes["DW_AT_upper_bound"].value) + 1
    return size


def _resolved(die: Die) -> Die:
    """Follow typedefs and qualifiers."""
    while die.tag in ("DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type"):
        die = die.get_DIE_from_attribute("DW_AT_type")
    return die


def _members(die: Die, base: int = 0, prefix: str = "") -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for member in die.iter_children():
        if member.tag != "DW_TAG_member":
            continue
        name = prefix + member.attributes["DW_AT_name"].value.decode()
        offset = base + int(member.attributes["DW_AT_data_member_location"].value)
        kind = _resolved(member.get_DIE_from_attribute("DW_AT_type"))
        if kind.tag == "DW_TAG_structure_type":
            found |= _members(kind, offset, f"{name}.")
        else:
            found[name] = (offset, _size(kind))
    return found


def read(path: Path) -> Types:
    """Return all structures and enumerations that the binary's DWARF describes."""
    types = Types()
    with path.open("rb") as stream:
        for unit in ELFFile(stream).get_dwarf_info().iter_CUs():
            for die in unit.iter_DIEs():
                name = die.attributes.get("DW_AT_name")
                if die.tag == "DW_TAG_structure_type" and name and die.has_children:
                    types.structs[name.value.decode()] = _members(die)
                    types.sizes[name.value.decode()] = _size(die)
                elif die.tag == "DW_TAG_enumeration_type":
                    values = types.enums.setdefault(name.value.decode() if name else "", {})
                    for child in die.iter_children():
                        key = child.attributes["DW_AT_name"].value.decode()
                        values[key] = int(child.attributes["DW_AT_const_value"].value)
    return types


def fields(struct: type[ctypes.Structure], base: int = 0) -> dict[str, tuple[int, int]]:
    """Return offset and size of each field of a ctypes structure.

    Those of nested structures are ``outer.inner``, as in Types.structs.
    """
    found: dict[str, tuple[int, int]] = {}
    for name, kind in struct._fields_:  # type: ignore[misc]
        place = getattr(struct, name)
        if isinstance(kind, type) and issubclass(kind, ctypes.Structure):
            inner = fields(kind, base + place.offset)
            found |= {f"{name}.{each}": at for each, at in inner.items()}
        else:
            found[name] = (base + place.offset, place.size)
    return found


def members(struct: np.dtype[np.void]) -> dict[str, tuple[int, int]]:
    """Return offset and size of each field of a NumPy structure, as Types.structs has them."""
    assert struct.fields
    return {name: (entry[1], entry[0].itemsize) for name, entry in struct.fields.items()}


def compiled(text: str, folder: Path) -> Types:
    """Compile C code for this machine, in a folder, and return its types."""
    file, binary = folder / "macros.c", folder / "macros.o"
    file.write_text(text)
    command = [*zig(), "cc", "-g", "-fPIC", "-c", str(file), "-o", str(binary)]
    subprocess.run(command, check=True)
    return read(binary)
