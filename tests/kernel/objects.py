# SPDX-License-Identifier: GPL-2.0-only
"""Kernels' objects for the tests: of the small allocator beside this file, and of a real kernel."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

from zsemu.guest import compiler
from zsemu.guest.targets import target

ALLOCATOR = Path(__file__).parent / "allocator" / "zsmalloc.c"
ARCHS = ("x86_64", "aarch64", "riscv64")
"""those that the newer kernel's object is made for: all six take too long"""
OLDER_ARCHS = ("i386", "arm", "riscv32")
"""those that the older kernel's is"""
LARGER_PAGE = 16384
"""bytes of a page of the newer kernel's other object, which only aarch64 can have"""
READ_LENGTH = 2
"""the interface that the small allocator has unless told otherwise: zsemu.kernel.object.Api"""
_SOURCES = Path("/usr/src")
_UNUSED = ("*/drivers/gpu/drm/amd/include/*", "*/tools/testing/*")
"""of a source tree: a quarter of it, which no object here needs"""


def compiled(
    folder: Path, arch: str, text: str | None = None, *flags: str, page_shift: int = 12
) -> Path:
    """Compile the small allocator, or a changed text of it, and return the object."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = target(arch)
    source, output = folder / "zsmalloc.c", folder / "zsmalloc.o"
    source.write_text(ALLOCATOR.read_text() if text is None else text)
    ours = compiler.compile_flags("zig", machine, page_shift, "O2")
    options = (*ours, f"-DAPI={READ_LENGTH}", *flags)
    command = [*compiler.compiler("zig", machine).command, *options, "-c", str(source)]
    compiler.compile_to(output, command, "the small allocator does not compile")
    return output


@dataclass(frozen=True)
class RealKernel:
    """A kernel's source and what ``zsemu kernel build`` has made of it."""

    tree: Path
    objects: Path

    def object(self, arch: str) -> Path:
        """Return the object of one of the architectures that it is made for."""
        return self.objects / arch / "zsmalloc.o"

    def changed(self, folder: Path, arch: str, text: str) -> Path:
        """Compile a changed zsmalloc.c as the kernel's makefile has compiled its own."""
        build = self.objects / "build" / arch
        saved = (build / "mm" / ".zsmalloc.o.cmd").read_text().splitlines()[0]
        command = saved.partition(" := ")[2].split(" ; ")[0].replace("$(pound)", "#")
        source, output = folder / "zsmalloc.c", folder / "zsmalloc.o"
        source.write_text(text)
        command = re.sub(r"-Wp,-MMD,\S+", f"-Wp,-MMD,{folder}/dependencies", command)
        ours = f"-o {output} -I{self.tree}/mm {source}"
        command = re.sub(r"-o mm/zsmalloc\.o \S+zsmalloc\.c", ours, command)
        subprocess.run(command, shell=True, cwd=build, check=True, capture_output=True)
        return output


@contextmanager
def _once(folder: Path) -> Iterator[bool]:
    """Let one process at a time go on; yield whether none has done so in this folder before."""
    folder.mkdir(exist_ok=True)
    done = folder / "done"
    with (folder / "lock").open("w") as stream:
        flock(stream, LOCK_EX)
        yield not done.exists()
        done.touch()


def real_kernel(folder: Path, series: str, archs: tuple[str, ...]) -> RealKernel:
    """Return a kernel whose source Debian has installed, made once in a folder."""
    archive = _SOURCES / f"linux-source-{series}.tar.xz"
    assert archive.exists(), f"no source: install it with 'apt-get install linux-source-{series}'"
    tree = folder / "tree"
    with _once(folder) as first:
        if first:
            tree.mkdir(exist_ok=True)
            left_out = [f"--exclude={pattern}" for pattern in _UNUSED]
            unpack = ["tar", "-xf", str(archive), "-C", str(tree), "--strip-components=1"]
            subprocess.run([*unpack, *left_out], check=True)
    return built(tree, folder / "objects", "--arch", ",".join(archs))


def built(tree: Path, objects: Path, *options: str) -> RealKernel:
    """Return what ``zsemu kernel build`` makes of a source tree, made once in a folder."""
    with _once(objects) as first:
        if first:
            command = ["zsemu", "kernel", "build", str(tree), "-o", str(objects), *options]
            subprocess.run([*command, "-j", str(os.cpu_count() or 1)], check=True)
    return RealKernel(tree, objects)
