# SPDX-License-Identifier: GPL-2.0-only
"""Linking: an object, the stand-ins for what it imports, the target's entry and the driver.

What the guest has beside the object is compiled once for a target; lld does the rest.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import unicorn.unicorn_const
from elftools.elf.elffile import ELFFile

from zsemu.errors import ZsemuError
from zsemu.guest import compiler, elf_symbols
from zsemu.guest.image import Image
from zsemu.guest.targets import Target
from zsemu.kernel.object import KernelObject
from zsemu.kernel.target import KernelTarget
from zsemu.kernel.textpatch import patched
from zsemu.paths import ARCH

KINDS: Final = ("own", "stand_in", "copy")
"""whose code it is: the object's own, ours in place of the kernel's, or that which copies"""
_SCRIPT: Final = ARCH / "kernel" / "image.lds"
_INITCALLS: Final = ("init_module", "zs_init")
_EXITCALLS: Final = ("cleanup_module", "zs_exit")


@dataclass(frozen=True)
class KernelImage:
    """A linked image of a kernel's object."""

    kernel: KernelObject
    image: Image
    page_shift: int
    """of the pages that the stand-ins, and the MMU, have"""
    lse: bool
    symbols: Mapping[str, int]
    """the addresses of all functions and variables, local ones too"""

    @property
    def init(self) -> int:
        """Address of the initcall."""
        return next(self.symbols[name] for name in _INITCALLS if name in self.symbols)

    @property
    def exit(self) -> int:
        """Address of the exitcall, or 0."""
        return next((self.symbols[name] for name in _EXITCALLS if name in self.symbols), 0)

    @property
    def own(self) -> range:
        """Return the addresses of the object's own code."""
        return range(self.image.address("zk_own_start"), self.image.address("zk_own_end"))

    def kind_ranges(self) -> tuple[tuple[int, int, int], ...]:
        """Return where each kind of code is: first address, the one behind, index in KINDS."""
        names = (("own", 0), ("standin", 1), ("copy", 2))
        address = self.image.address
        return tuple(
            (address(f"zk_{name}_start"), address(f"zk_{name}_end"), kind) for name, kind in names
        )


def _sources(target: KernelTarget) -> list[Path]:
    own = ARCH / target.target.name
    return [
        *sorted((ARCH / "kernel").glob("*.c")),
        ARCH / "boot.c",
        ARCH / "user.c",
        ARCH / "access.S",
        *(own / f"{name}.S" for name in ("entry", "copy", "kernel")),
    ]


def _digest(parts: Iterable[bytes | str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(data)}\0".encode() + data)
    return digest.hexdigest()[:24]


def _flags(target: KernelTarget, page_shift: int) -> tuple[str, ...]:
    return (*compiler.compile_flags("zig", target.target, page_shift, "O2"), *target.flags)


def _guest_digest(target: KernelTarget, page_shift: int) -> str:
    """Return a digest, hexadecimal, of all that guest_objects() depend on."""
    found = compiler.compiler("zig", target.target)
    headers = [*ARCH.glob("*.h"), *ARCH.glob("*/*.h")]
    inputs = [path.read_bytes() for path in sorted({*headers, *_sources(target)})]
    return _digest([found.version, *found.command[1:], *_flags(target, page_shift), *inputs])


def guest_objects(target: KernelTarget, page_shift: int) -> list[Path]:
    """Return the compiled objects of everything that the guest has beside the kernel's."""
    found = compiler.compiler("zig", target.target)
    flags, digest = _flags(target, page_shift), _guest_digest(target, page_shift)
    folder = compiler.cache_folder("kernel") / f"{target.target.name}-{digest}"
    folder.mkdir(exist_ok=True)
    objects = []
    for source in _sources(target):
        output = folder / f"{source.stem}.o"
        objects.append(output)
        if not output.exists():
            paths = (f"-I{ARCH}", f"-I{ARCH / target.target.name}")
            command = [*found.command, *flags, *paths, "-c", str(source)]
            compiler.compile_to(
                output, command, f"{source}: does not compile for a kernel's object"
            )
    return objects


def _defined(objects: Iterable[Path]) -> set[str]:
    names: set[str] = set()
    for path in objects:
        with path.open("rb") as stream:
            symbols = elf_symbols.read(ELFFile(stream))
        names |= {symbol.name for symbol in symbols if symbol.section != elf_symbols.UNDEFINED}
    return names


def _refuse_unknown(kernel: KernelObject, objects: Iterable[Path]) -> None:
    """Raise ZsemuError with ``needs X`` for the first import that nothing in ``objects`` has."""
    there = _defined(objects) | {patch.symbol for patch in kernel.target.patches}
    missing = {name: user for name, user in kernel.imports.items() if name not in there}
    if not missing:
        return
    first = min(missing)
    others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    raise ZsemuError(
        f"{kernel.path}: needs {first}, for {missing[first]}(){others}, which has no stand-in in"
        " arch/kernel/; write one",
        detail="\n".join(f"needs {name}, for {user}()" for name, user in sorted(missing.items())),
    )


def linked_target(kernel: KernelObject, lse: bool) -> Target:
    """Return the target with the CPU that an object is run on; ZsemuError as link() has it."""
    target = kernel.target.target
    if not lse:
        return target
    if not kernel.target.lse_cpu:
        raise ZsemuError(f"{kernel.path}: kernels of {target.name} do not choose atomics at boot")
    cpu = getattr(unicorn.arm64_const, kernel.target.lse_cpu)
    name = kernel.target.lse_cpu.removeprefix("UC_CPU_")
    return replace(target, unicorn_cpu=cpu, cpu_model=name)


def image_digest(kernel: KernelObject, page_shift: int, *, lse: bool = False) -> str:
    """Return a digest, hexadecimal, of all that an image depends on."""
    copies = [patched(copy) for copy in kernel.copies]
    ours = (_SCRIPT.read_bytes(), _guest_digest(kernel.target, page_shift))
    return _digest([patched(kernel, lse=lse), *copies, *ours])


def link(kernel: KernelObject, page_shift: int, *, lse: bool = False) -> KernelImage:
    """Return the image of an object, linked if no cached one fits.

    Its pages have ``1 << page_shift`` bytes, as the kernel's must have for more than making a pool;
    ``lse`` is as patched() has it.
    The kernel's own memcpy() and copy_page() replace ours if they lie beside the object.
    ZsemuError with ``needs X`` if it imports what no stand-in has.
    """
    target = linked_target(kernel, lse)
    objects = guest_objects(kernel.target, page_shift)
    _refuse_unknown(kernel, objects)
    digest = image_digest(kernel, page_shift, lse=lse)
    folder = compiler.cache_folder("images")
    output = folder / f"{target.name}-kernel-{digest}.elf"
    if not output.exists():
        with TemporaryDirectory(dir=folder) as place:
            own = [Path(place) / "zsmalloc.o"]
            own[0].write_bytes(patched(kernel, lse=lse))
            for number, copy in enumerate(kernel.copies):
                # By this name the script knows what copies.
                own.append(Path(place) / f"{number}-copy.o")
                own[-1].write_bytes(patched(copy))
            command = [*compiler.zig(), "ld.lld", "--no-relax", "-T", str(_SCRIPT)]
            command += [str(path) for path in (*own, *objects)]
            compiler.compile_to(output, command, f"{kernel.path}: does not link")
    image = Image(output, target)
    symbols = _symbols(output)
    if not any(name in symbols for name in _INITCALLS):
        raise ZsemuError(f"{kernel.path}: it has no initcall: no zs_init() or init_module()")
    return KernelImage(kernel, image, page_shift, lse, symbols)


def _symbols(path: Path) -> dict[str, int]:
    with path.open("rb") as stream:
        return {
            symbol.name: symbol.value
            for symbol in elf_symbols.read(ELFFile(stream))
            if symbol.type in (elf_symbols.FUNCTION, elf_symbols.OBJECT)
        }
