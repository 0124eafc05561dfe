# SPDX-License-Identifier: GPL-2.0-only
"""How this kernel lays out its structures: from DWARF, or from BTF.

Sources: DWARF 5, section 5.7; Documentation/bpf/btf.rst in the kernel tree for BTF. Members of
anonymous structs and unions count as members of what they are in, as in C.
"""

import lzma
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from elftools.dwarf.die import DIE
from elftools.elf.elffile import ELFFile

from zsemu.errors import ZsemuError

WANTED: Final = (
    "page",
    "movable_operations",
    "shrinker",
    "scatterlist",
    "zs_pool",
    "size_class",
    "mapping_area",
    "task_struct",
    "thread_info",
    "kernel_mapping",
    "mem_section",
    "work_struct",
    "zspage",
)
"""structs that stand-ins or host look into; not every kernel has all of them"""
REMEDY: Final = "switch on CONFIG_DEBUG_INFO_DWARF5 or CONFIG_DEBUG_INFO_BTF and make it again"


@dataclass(frozen=True)
class Struct:
    """One struct: its size and the offsets of its members, in bytes."""

    size: int
    members: Mapping[str, int]


@dataclass(frozen=True)
class Layouts:
    """The structs of one kernel, as far as anybody has asked for them."""

    structs: Mapping[str, Struct]
    parameters: Mapping[str, int] = field(default_factory=dict)
    """number of parameters of functions of zsmalloc"""
    flags: Mapping[str, int] = field(default_factory=dict)
    """bits of ``enum pageflags``, by name"""

    def size(self, name: str, otherwise: int = 0) -> int:
        """Return ``sizeof(struct name)``."""
        return self.structs[name].size if name in self.structs else otherwise

    def offset(self, name: str, *members: str) -> int:
        """Return the offset of the first of ``members`` that ``struct name`` has.

        Members have had several names over the years. ZsemuError if there is none of them.
        """
        found = self.structs.get(name)
        if found is None:
            raise ZsemuError(f"its debug information has no struct {name}: {REMEDY}")
        for member in members:
            if member in found.members:
                return found.members[member]
        raise ZsemuError(
            f"struct {name} of this kernel has no member {' or '.join(members)}:"
            " a kernel that zsemu does not know; please report it"
        )


# DWARF.


def _members(die: DIE, base: int = 0) -> Iterator[tuple[str, int]]:
    for child in die.iter_children():
        if child.tag != "DW_TAG_member":
            continue
        where = child.attributes.get("DW_AT_data_member_location")
        offset = base + (int(where.value) if where else 0)
        name = child.attributes.get("DW_AT_name")
        if name is not None:
            yield name.value.decode(), offset
        elif "DW_AT_bit_size" not in child.attributes:
            inner = child.get_DIE_from_attribute("DW_AT_type")
            yield from _members(inner, offset)


def from_dwarf(elf: ELFFile) -> Layouts:
    """Return the layouts that DWARF tells; empty if it has none of zsmalloc.

    The file must be linked: pyelftools does not apply the relocations of every architecture.
    """
    structs: dict[str, Struct] = {}
    parameters: dict[str, int] = {}
    flags: dict[str, int] = {}
    if not elf.has_dwarf_info():
        return Layouts(structs)
    for unit in elf.get_dwarf_info(relocate_dwarf_sections=False).iter_CUs():
        top = unit.get_top_DIE()
        name = top.attributes.get("DW_AT_name")
        if name is None or b"zsmalloc" not in name.value:
            continue
        for die in top.iter_children():
            label = die.attributes.get("DW_AT_name")
            if label is None:
                continue
            text = label.value.decode()
            size = die.attributes.get("DW_AT_byte_size")
            if die.tag == "DW_TAG_structure_type" and size is not None and text in WANTED:
                structs[text] = Struct(int(size.value), dict(_members(die)))
            elif die.tag == "DW_TAG_enumeration_type" and text == "pageflags":
                for child in die.iter_children():
                    name = child.attributes["DW_AT_name"].value.decode()
                    flags[name] = int(child.attributes["DW_AT_const_value"].value)
            elif die.tag == "DW_TAG_subprogram" and text.startswith("zs_obj_"):
                arguments = [c for c in die.iter_children() if c.tag == "DW_TAG_formal_parameter"]
                parameters[text] = len(arguments)
    return Layouts(structs, parameters, flags)


# BTF.

_MAGIC: Final = 0xEB9F
_START: Final = b"\x9f\xeb\x01"
_HEADER: Final = 24
_XZ: Final = b"\xfd7zXZ\0"
_GZIP: Final = b"\x1f\x8b\x08"
_SMALLEST: Final = 1 << 16
"""bytes of types that a kernel has at least"""
_STRUCT, _UNION, _ENUM, _FUNC = 4, 5, 6, 12
_EXTRA: Final = {1: 4, 3: 12, 6: 8, 13: 8, 14: 4, 15: 12, 17: 4, 19: 12}
"""bytes behind a type's head, by kind; of kinds with a list, for each entry"""
_LISTED: Final = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}


@dataclass(frozen=True)
class _Type:
    kind: int
    name: int
    """offset of its name in the strings"""
    size_or_type: int
    wide: bool
    """kind_flag: the members' offsets have their sizes in the upper byte"""
    entries: tuple[tuple[int, ...], ...]
    """of a struct or union: (name, type, offset in bits); of a prototype: (name, type)"""


class Btf:
    """The types of a ``.BTF`` section, and of the kernel's own BTF if it builds upon one."""

    def __init__(self, data: bytes, base: "Btf | None" = None) -> None:
        magic, _, _, length, types, size, names, names_size = struct.unpack_from("<HBBIIIII", data)
        if magic != _MAGIC:
            raise ZsemuError("its .BTF section is damaged; make it again")
        self._base = base
        self._strings = data[length + names : length + names + names_size]
        self._first_string = base.end_of_strings if base else 0
        self._first_type = base.end_of_types if base else 1
        self.end_of_strings: int = self._first_string + len(self._strings)
        self._types = list(_types(data[length + types : length + types + size]))
        self.end_of_types: int = self._first_type + len(self._types)

    def _name(self, offset: int) -> str:
        if self._base and offset < self._first_string:
            return self._base._name(offset)
        start = offset - self._first_string
        return self._strings[start : self._strings.index(b"\0", start)].decode()

    def _type(self, number: int) -> _Type:
        if self._base and number < self._first_type:
            return self._base._type(number)
        return self._types[number - self._first_type]

    def _members(self, found: _Type, base: int = 0) -> Iterator[tuple[str, int]]:
        for name, number, bits in found.entries:
            offset = base + ((bits & 0xFFFFFF if found.wide else bits) >> 3)
            if name:
                yield self._name(name), offset
            elif self._type(number).kind in (_STRUCT, _UNION):
                yield from self._members(self._type(number), offset)

    def layouts(self) -> Layouts:
        """Return the layouts that it and its base tell."""
        structs = dict(self._base.layouts().structs) if self._base else {}
        flags = dict(self._base.layouts().flags) if self._base else {}
        parameters = {}
        for found in self._types:
            if found.kind == _STRUCT and found.name:
                name = self._name(found.name)
                if name in WANTED:
                    structs[name] = Struct(found.size_or_type, dict(self._members(found)))
            elif found.kind == _ENUM and found.name and self._name(found.name) == "pageflags":
                flags |= {self._name(entry[0]): entry[1] for entry in found.entries}
            elif found.kind == _FUNC:
                name = self._name(found.name)
                if name.startswith("zs_obj_"):
                    parameters[name] = len(self._type(found.size_or_type).entries)
        return Layouts(structs, parameters, flags)


def _types(data: bytes) -> Iterator[_Type]:
    at = 0
    while at < len(data):
        name, info, last = struct.unpack_from("<III", data, at)
        at += 12
        number, kind = info & 0xFFFF, info >> 24 & 0x1F
        entries: tuple[tuple[int, ...], ...] = ()
        if kind in _LISTED:
            form = "<III" if _LISTED[kind] == 12 else "<II"
            entries = tuple(
                struct.unpack_from(form, data, at + i * _LISTED[kind]) for i in range(number)
            )
            at += number * _LISTED[kind]
        else:
            at += _EXTRA.get(kind, 0)
        yield _Type(kind, name, last, bool(info >> 31), entries)


def btf_of(path: Path) -> bytes:
    """Return the BTF in a kernel's image, or in a copy of ``/sys/kernel/btf/vmlinux``.

    A compressed image is unpacked. ZsemuError if there is none in it.
    """
    for image in _unpacked(path.read_bytes()):
        at = image.find(_START)
        while at >= 0:
            if found := _btf_at(image, at):
                return found
            at = image.find(_START, at + 1)
    raise ZsemuError(f"{path}: no BTF in it; give a kernel made with CONFIG_DEBUG_INFO_BTF")


def _unpacked(data: bytes) -> list[bytes]:
    """Return an image, and what is compressed in it: the formats of Debian's kernels."""
    found = [data]
    for magic in (_XZ, _GZIP):
        at = data.find(magic)
        while at >= 0:
            part = data[at:]
            try:
                if magic == _XZ:
                    found.append(lzma.LZMADecompressor().decompress(part))
                else:
                    found.append(zlib.decompressobj(31).decompress(part))
                break
            except (lzma.LZMAError, zlib.error):
                at = data.find(magic, at + 1)
    return found


def _btf_at(image: bytes, at: int) -> bytes:
    """Return the BTF that begins at an offset; empty if what is there only looks like it.

    The strings follow the types, begin with an empty one and end with a zero.
    """
    length, types, size, names, names_size = struct.unpack_from("<HBBIIIII", image, at)[3:]
    end = at + length + names + names_size
    if length != _HEADER or types or names != size or end > len(image) or size < _SMALLEST:
        return b""
    text = at + length + names
    return image[at:end] if image[text] == 0 and image[end - 1] == 0 else b""
