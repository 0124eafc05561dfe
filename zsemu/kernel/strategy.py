# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's object as a strategy: what users name, and which object it is on an architecture."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from zsemu.errors import ZsemuError
from zsemu.guest import strategies, targets
from zsemu.guest.strategies import NEEDS, Strategy
from zsemu.kernel.facts import KernelFacts, discover
from zsemu.kernel.link import linked_target
from zsemu.kernel.object import KernelObject, load
from zsemu.kernel.target import kernel_target

_NAMES: Final = ("zsmalloc.o", "zsmalloc.ko")
"""what an object is called in the folder of its architecture; the first that is there counts"""
_SUFFIXES: Final = (".o", ".ko")
LSE: Final = "+lse"


@dataclass(frozen=True)
class KernelStrategy(Strategy):
    """Objects of one kernel's zsmalloc, at most one for an architecture."""

    objects: tuple[tuple[str, Path], ...]
    """architecture and object, in the order of targets.names()"""
    lse: bool = False
    """whether it has the atomics of ARMv8.1, which arm64 kernels choose at boot"""

    @property
    def label(self) -> str:
        """Return the name that results have for it."""
        return self.name

    @property
    def files(self) -> list[Path]:
        """Return the objects."""
        return [path for _, path in self.objects]

    @property
    def needs_window(self) -> bool:
        """Whether it sets page-table entries; a kernel's object of these kinds does not."""
        return False

    @property
    def archs(self) -> tuple[str, ...]:
        """Return the architectures that it has an object of."""
        return tuple(arch for arch, _ in self.objects)

    def object(self, arch: str) -> KernelObject:
        """Read the object of an architecture; ZsemuError if there is none, or it cannot run."""
        self.ensure(arch)
        return load(dict(self.objects)[arch], arch)

    def ensure(self, arch: str, page_size: int | None = None) -> None:
        """Raise ZsemuError unless there is an object for an architecture, and a page size."""
        if arch not in self.archs:
            there = ", ".join(self.archs)
            raise ZsemuError(f"{self.name}: an object of {there}, not of {arch}: leave out one")
        if page_size is not None and page_size != (mine := self.page_size(arch)):
            raise ZsemuError(
                f"{self.name}: on {arch}, a kernel with pages of {mine} bytes, not of {page_size}:"
                f" choose them with --page-size {mine}, or leave out {arch}"
            )

    def page_size(self, arch: str) -> int:
        """Return the bytes of a page of the kernel that the object of an architecture is of."""
        sizes = targets.target(arch).page_sizes
        # Where the MMU has pages of one size only, nothing must be run to know it.
        return sizes[0] if len(sizes) == 1 else self.facts(arch).geometry.page_size

    def facts(self, arch: str) -> KernelFacts:
        """Link the object of an architecture, and run it to find out what must be known of it."""
        self.ensure(arch)
        return _facts(dict(self.objects)[arch], self.digest_of(arch), self.lse)

    def cpu_model(self, arch: str) -> str:
        """Return the CPU model that the object of an architecture runs on."""
        return linked_target(self.object(arch), self.lse).cpu_model

    def digest_of(self, arch: str) -> str:
        """Return the SHA-256, hexadecimal, of the object of an architecture.

        The kernel's own memcpy() and copy_page() belong to it, if they lie beside it.
        """
        found = self.object(arch)
        contents = (found.content, *(copy.content for copy in found.copies))
        return hashlib.sha256(b"".join(contents)).hexdigest()


@lru_cache(maxsize=2)
def _facts(path: Path, digest: str, lse: bool) -> KernelFacts:
    # Reading debug information takes seconds, and a check needs the same object several times.
    return discover(load(path), lse=lse)


def _in_folder(folder: Path) -> tuple[tuple[str, Path], ...]:
    found = []
    for arch in targets.names():
        there = [folder / arch / name for name in _NAMES if (folder / arch / name).is_file()]
        found += [(arch, path) for path in there[:1]]
    return tuple(found)


def _is_object(path: Path) -> bool:
    path = path.with_name(path.name.removesuffix(LSE)) if path.name else path
    return path.is_dir() or path.suffix in _SUFFIXES


def _kernel_strategy(text: str, name: str | None) -> KernelStrategy:
    lse = text.endswith(LSE)
    text = text.removesuffix(LSE)
    path = Path(text).resolve()
    if path.is_dir():
        objects = _in_folder(path)
        if not objects:
            raise ZsemuError(
                f"{text}: no such C file, and no kernel's objects in it: they are found as"
                f" ARCH/zsmalloc.o or ARCH/zsmalloc.ko, where ARCH is one of"
                f" {', '.join(targets.names())}"
            )
        for arch, each in objects:
            load(each, arch)
    else:
        objects = ((load(path).target.target.name, path),)
    if lse:
        objects = tuple((arch, each) for arch, each in objects if kernel_target(arch).lse_cpu)
        if not objects:
            raise ZsemuError(f"{text}: no kernel in it chooses its atomics at boot: omit {LSE}")
    return KernelStrategy(
        name=name or f"{path.name}{LSE if lse else ''}",
        path=path,
        summary="A kernel's own zsmalloc.",
        promises=(),
        # It brings its own locks.
        needs=NEEDS[0],
        own=True,
        objects=objects,
        lse=lse,
    )


def strategy(text: str) -> Strategy:
    """Return what a user names: a shipped strategy, a C file, or a kernel's own zsmalloc.

    The last is a relocatable ``zsmalloc.o`` or ``zsmalloc.ko``; or a folder that has one for each
    architecture, ``DIR/<target>/zsmalloc.o``, which is one strategy named after the folder; or
    ``NAME=PATH`` with one of the two. ``PATH+lse`` is an arm64 kernel with the atomics of ARMv8.1
    that it chooses at boot where the CPU has them; without that it has those of ARMv8.0.

    ZsemuError if there is no such thing, or an object cannot be run.
    """
    name, equals, path = text.partition("=")
    if equals and name and path and "/" not in name and _is_object(Path(path)):
        return _kernel_strategy(path, name)
    if text not in strategies.names() and text and _is_object(Path(text)):
        return _kernel_strategy(text, None)
    return strategies.strategy(text)
