# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's ``zsmalloc.o`` or ``zsmalloc.ko``: what it is, and what it needs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from elftools.common.exceptions import ELFError
from elftools.construct.core import ConstructError
from elftools.elf.elffile import ELFFile

from zsemu.errors import ZsemuError
from zsemu.guest import elf_symbols
from zsemu.guest.compiler import compile_to, zig
from zsemu.guest.elf_symbols import ElfSymbol
from zsemu.kernel.layouts import REMEDY, Btf, Layouts, btf_of, from_dwarf
from zsemu.kernel.target import KernelTarget, of_machine

_KEPT: Final = re.compile(
    r"\.(text|init\.text|exit\.text|data|rodata|sdata|srodata|init\.data|noinstr\.text)"
)
_DROPPED: Final = re.compile(r"\.text\.ftrace_trampoline|\.exit\.data")
_REFUSED: Final = (
    (re.compile(r"__(hw)?asan_|__asan"), "KASAN"),
    (re.compile(r"__tsan_"), "KCSAN"),
    (re.compile(r"__msan_"), "KMSAN"),
    (re.compile(r"rt_(spin|read|write)_lock$"), "PREEMPT_RT"),
)
"""imports that tell of a configuration whose objects cannot run here"""
_REFUSED_MAGIC: Final = (("RANDSTRUCT", "RANDSTRUCT"), ("preempt_rt", "PREEMPT_RT"))
"""the same of words in a module's vermagic"""


_SHORT: Final = 3
"""parameters of zs_obj_read_begin() without the length"""


class Api(IntEnum):
    """How objects are mapped: ``enum zk_api`` in arch/kernel/kernel.h."""

    MAP = 0
    """``zs_map_object``, ``zs_unmap_object``: to 6.14"""
    READ = 1
    """``zs_obj_read_begin(pool, handle, buffer)``, ``_end``, ``zs_obj_write``: 6.15"""
    READ_LENGTH = 2
    """the same with the length: January 2026 (19c4707b535a)"""
    SG = 3
    """``zs_obj_read_sg_begin``, ``_end`` and ``zs_obj_write`` alone: 2026"""


@dataclass(frozen=True)
class Relocation:
    """One relocation of the object."""

    section: int
    """index of the section that it is applied to"""
    offset: int
    """in that section"""
    symbol: str
    """name of the symbol, or of the section that it stands for"""
    addend: int
    at: int
    """offset of its entry in the file"""
    size: int
    """bytes of that entry"""


@dataclass(frozen=True)
class KernelFile:
    """One object file of a kernel."""

    path: Path
    target: KernelTarget
    relocations: tuple[Relocation, ...]
    sections: tuple[tuple[str, int, int], ...]
    """name, offset in the file and size of each section"""
    content: bytes


@dataclass(frozen=True)
class KernelObject(KernelFile):
    """A zsmalloc that can be linked."""

    version: str
    """the kernel's, where the object tells it; else empty"""
    compiler: str
    """which has compiled it, where the object tells it; else empty"""
    api: Api
    imports: Mapping[str, str]
    """each symbol that must come from elsewhere, and a function that refers to it"""
    copies: tuple[KernelFile, ...]
    """the kernel's own memcpy() and copy_page(), if they lie beside the object"""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ZsemuError(f"{path}: {error.strerror}; give a kernel's zsmalloc.o") from error


def _relocations(elf: ELFFile, symbols: Sequence[ElfSymbol]) -> Iterator[Relocation]:
    word = 4 if elf.elfclass == 32 else 8
    for section in elf.iter_sections():
        if section["sh_type"] not in ("SHT_RELA", "SHT_REL"):
            continue
        is_rela, target = section["sh_type"] == "SHT_RELA", section["sh_info"]
        size = section["sh_entsize"] or (3 if is_rela else 2) * word
        if not _wants(elf.get_section(target).name):
            continue
        content = elf.get_section(target).data()
        for number, entry in enumerate(section.iter_relocations()):
            symbol = symbols[entry["r_info_sym"]]
            name = symbol.name
            if symbol.type == elf_symbols.SECTION:
                name = elf.get_section(symbol.section).name
            offset = entry["r_offset"]
            addend = (
                entry["r_addend"]
                if is_rela
                else int.from_bytes(content[offset : offset + 4], "little", signed=True)
            )
            at = section["sh_offset"] + number * size
            yield Relocation(target, offset, name, addend, at, size)


def _wants(section: str) -> bool:
    """Return whether a section's relocations matter: it is linked, or says what to patch."""
    return bool(_KEPT.match(section)) or section in ("__jump_table", ".altinstructions")


def _functions(elf: ELFFile, symbols: Sequence[ElfSymbol]) -> dict[int, list[tuple[int, int, str]]]:
    """Return the functions of each section: start, end and name."""
    found: dict[int, list[tuple[int, int, str]]] = {}
    for symbol in symbols:
        if symbol.type == elf_symbols.FUNCTION and symbol.in_section:
            start = symbol.value & ~1 if elf["e_machine"] == "EM_ARM" else symbol.value
            span = (start, start + symbol.size, symbol.name)
            found.setdefault(symbol.section, []).append(span)
    return found


def _imports(
    elf: ELFFile, symbols: Sequence[ElfSymbol], relocations: tuple[Relocation, ...]
) -> dict[str, str]:
    undefined = {s.name for s in symbols if s.section == elf_symbols.UNDEFINED and s.name}
    functions = _functions(elf, symbols)
    found: dict[str, str] = {}
    for each in relocations:
        section = elf.get_section(each.section).name
        if each.symbol not in undefined or each.symbol in found:
            continue
        if not _KEPT.match(section) or _DROPPED.match(section):
            continue
        spans = functions.get(each.section, [])
        inside = (name for start, end, name in spans if start <= each.offset < end)
        found[each.symbol] = next(inside, f"section {section}")
    return found


def _modinfo(elf: ELFFile, key: str) -> str:
    section = elf.get_section_by_name(".modinfo")
    for entry in section.data().split(b"\0") if section else ():
        name, _, value = entry.decode(errors="replace").partition("=")
        if name.endswith(key):
            return str(value)
    return ""


def _refuse(path: Path, imports: Mapping[str, str], magic: str) -> None:
    names = [name for word, name in _REFUSED_MAGIC if word in magic]
    for symbol in imports:
        names += [name for pattern, name in _REFUSED if pattern.match(symbol)]
    if names:
        raise ZsemuError(
            f"{path}: made with CONFIG_{names[0]}, whose objects zsemu cannot run;"
            " switch it off and make the object again"
        )


def _api(path: Path, defined: set[str]) -> Api:
    if not {"zs_malloc", "zs_free", "zs_create_pool"} <= defined:
        raise ZsemuError(f"{path}: no zsmalloc: zs_malloc() is not in it; give mm/zsmalloc.o")
    if {"zs_map_object", "zs_unmap_object"} <= defined:
        return Api.MAP
    if {"zs_obj_read_begin", "zs_obj_read_end", "zs_obj_write"} <= defined:
        return Api.READ
    if {"zs_obj_read_sg_begin", "zs_obj_read_sg_end", "zs_obj_write"} <= defined:
        return Api.SG
    raise ZsemuError(
        f"{path}: none of the interfaces that zsemu knows: it has neither zs_map_object() nor"
        " zs_obj_read_begin() nor zs_obj_read_sg_begin()"
    )


def load(path: Path, wanted: str | None = None) -> KernelObject:
    """Read an object; ``wanted`` names the target that it must be of, if that matters.

    ZsemuError if it is no zsmalloc that can run.
    """
    content = _read(path)
    if content[:4] != b"\x7fELF":
        raise ZsemuError(f"{path}: not an object file; give a kernel's zsmalloc.o or zsmalloc.ko")
    try:
        return _load(path, content, ELFFile(BytesIO(content)), wanted)
    except (ELFError, ConstructError, AttributeError, ValueError, KeyError, IndexError) as error:
        raise ZsemuError(f"{path}: truncated or damaged; make or copy it again") from error


def _load(path: Path, content: bytes, elf: ELFFile, wanted: str | None) -> KernelObject:
    if elf["e_type"] != "ET_REL":
        raise ZsemuError(f"{path}: linked already; give the relocatable zsmalloc.o or zsmalloc.ko")
    end = elf["e_shoff"] + elf["e_shnum"] * elf["e_shentsize"]
    if end > len(content):
        raise ValueError("section headers behind the end")
    known = of_machine(elf["e_machine"], elf.elfclass)
    if known is None:
        machine = f"{elf['e_machine'].removeprefix('EM_').lower()}, {elf.elfclass} bits"
        raise ZsemuError(f"{path}: of an architecture that zsemu does not have ({machine})")
    if wanted is not None and known.target.name != wanted:
        raise ZsemuError(f"{path}: an object of {known.target.name}, not of {wanted}")
    symbols = elf_symbols.read(elf)
    defined = {symbol.name for symbol in symbols if symbol.section != elf_symbols.UNDEFINED}
    api = _api(path, defined)
    relocations = tuple(_relocations(elf, symbols))
    imports = _imports(elf, symbols, relocations)
    magic = _modinfo(elf, "vermagic")
    _refuse(path, imports, magic)
    return KernelObject(
        path=path,
        target=known,
        relocations=relocations,
        sections=_sections(elf),
        content=content,
        version=magic.split(" ")[0],
        compiler=_compiler(elf),
        api=api,
        imports=imports,
        copies=tuple(_copies(path.parent, known)),
    )


def _sections(elf: ELFFile) -> tuple[tuple[str, int, int], ...]:
    return tuple((s.name, s["sh_offset"], s["sh_size"]) for s in elf.iter_sections())


def _copies(folder: Path, target: KernelTarget) -> Iterator[KernelFile]:
    """Yield what copies in the kernel, as far as it lies in a folder."""
    for name in target.copies:
        path = folder / Path(name).name
        if not path.is_file():
            continue
        content = _read(path)
        elf = ELFFile(BytesIO(content))
        found = of_machine(elf["e_machine"], elf.elfclass)
        if elf["e_type"] != "ET_REL" or found is None or found != target:
            raise ZsemuError(f"{path}: no object of {target.target.name}; make it again")
        relocations = tuple(_relocations(elf, elf_symbols.read(elf)))
        yield KernelFile(path, target, relocations, _sections(elf), content)


def _compiler(elf: ELFFile) -> str:
    """Return the first compiler that the object names: ``GCC: (Debian 12.2.0-14) 12.2.0``."""
    section = elf.get_section_by_name(".comment")
    told = section.data().split(b"\0") if section else []
    names = [name.decode(errors="replace").strip() for name in told]
    return next((name for name in names if name), "")


def _resolved(path: Path) -> bytes:
    """Return the object with its relocations applied, which DWARF needs, by the linker."""
    with TemporaryDirectory() as directory:
        linked = Path(directory) / "linked"
        options = ("--unresolved-symbols=ignore-all", "--no-relax", "-Ttext=0x40000000", "-e0")
        command = [*zig(), "ld.lld", *options, str(path)]
        compile_to(linked, command, f"{path}: its debug information cannot be linked")
        return linked.read_bytes()


def interface(kernel: KernelObject, known: Layouts) -> Api:
    """Return the interface exactly: what zs_obj_read_begin() receives, only debug information says.

    It has three parameters in 6.15, and the length as a fourth since January 2026.
    """
    if kernel.api == Api.READ and known.parameters.get("zs_obj_read_begin", 0) > _SHORT:
        return Api.READ_LENGTH
    return kernel.api


def _beside(path: Path) -> tuple[Path, Path, Path]:
    """Return where layouts may be: split-off DWARF, and two images of the kernel."""
    return (
        path.with_name(f"{path.name}.debug"),
        path.with_name("vmlinux"),
        path.with_name("vmlinuz"),
    )


def files(kernel: KernelObject) -> list[Path]:
    """Return all files that are used of an object: itself, what copies, and debug information."""
    beside = [path for path in _beside(kernel.path) if path.is_file()]
    return [kernel.path, *(copy.path for copy in kernel.copies), *beside]


def layouts(kernel: KernelObject) -> Layouts:
    """Return the layouts that the object's debug information tells.

    They come from its DWARF; from DWARF split off into a file beside it, named as it is with
    ``.debug`` added; or from its BTF, which of a module needs that of its kernel: an image
    (``vmlinux``, ``vmlinuz``) or a copy of ``/sys/kernel/btf/vmlinux`` beside it. ZsemuError says
    which option of the kernel's configuration is missing.
    """
    apart, *images = _beside(kernel.path)
    for path in (kernel.path, apart):
        if path.is_file() and ELFFile(BytesIO(_read(path))).get_section_by_name(".debug_info"):
            found = from_dwarf(ELFFile(BytesIO(_resolved(path))))
            if "page" in found.structs:
                return found
    section = ELFFile(BytesIO(kernel.content)).get_section_by_name(".BTF")
    if section is None:
        raise ZsemuError(
            f"{kernel.path}: no debug information, so struct page is unknown: {REMEDY}"
        )
    for image in images:
        if image.is_file():
            return Btf(section.data(), Btf(btf_of(image))).layouts()
    raise ZsemuError(
        f"{kernel.path}: its BTF builds on that of its kernel; put a copy of /boot/vmlinuz of that"
        f" kernel or of /sys/kernel/btf/vmlinux beside it, as {kernel.path.parent / 'vmlinux'}"
    )
