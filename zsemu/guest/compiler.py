# SPDX-License-Identifier: GPL-2.0-only
"""The compilers: they make one image of a target and a strategy, as a kernel is made.

An image is compiled once and then taken from the cache, under a digest of everything it depends on.
"""

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from zsemu.errors import ZsemuError
from zsemu.guest.strategies import Strategy, strategy_files
from zsemu.guest.targets import Target
from zsemu.paths import ARCH, VERBOSE, replacing
from zsemu.paths import cache as cache_directory

COMPILERS = ("zig", "gcc", "clang")
OPTIMISATIONS = ("O0", "O1", "O2", "O3", "Os")
"""levels of optimisation; a kernel is compiled with O2 or, for size, with Os"""

FLAGS = (
    "-g",
    "-ffreestanding",
    "-fno-builtin",
    "-fno-common",
    "-fno-strict-aliasing",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
    "-fno-pic",
    "-fomit-frame-pointer",
    "-Wall",
    "-Werror=implicit-function-declaration",
    "-Werror=return-type",
)
LINK_FLAGS = ("-nostdlib", "-static", "-Wl,-e,zs_start_boot", "-Wl,--build-id=none")

_REQUIRED = ("zs_map_object", "zs_unmap_object")
_UNDEFINED = re.compile(r"undefined (?:symbol:|reference to) [`']?(\w+)")
_ERROR = re.compile(r"^(?P<where>.+?:\d+)(?::\d+)?: (?:fatal )?error: (?P<what>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Compiler:
    """A compiler for one target, as found on this machine."""

    family: str
    """one of COMPILERS"""
    command: tuple[str, ...]
    """the program, and the arguments that select the target"""
    version: str
    """first line of ``--version``"""


def verbose() -> bool:
    """Return whether the commands that compile something are printed."""
    return bool(os.environ.get(VERBOSE))


@cache
def _say(line: str) -> None:
    """Print a line on stderr, once."""
    sys.stderr.write(f"{line}\n")


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it writes. Whether it succeeds is for the caller to see."""
    # zig keeps caches of its own: let them lie beside ours, and not in the user's home.
    zig = str(cache_directory() / "zig")
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": zig, "ZIG_LOCAL_CACHE_DIR": zig}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def cache_folder(name: str) -> Path:
    """Return a directory of the cache, which is made if need be; ZsemuError if it cannot be."""
    directory = cache_directory() / name
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZsemuError(
            f"{directory}: no place for what is compiled ({error.strerror});"
            " set ZSEMU_CACHE to a directory that can be written to"
        ) from error
    return directory


def compile_to(output: Path, command: Sequence[str], complaint: str) -> None:
    """Run a compiler's command so that it writes ``output``, whole or not at all.

    If it fails, a ZsemuError says ``complaint``. Its detail is the command, as it can be pasted
    into a shell, and the compiler's message.
    """
    pasted = shlex.join([*command, "-o", str(output)])
    if verbose():
        _say(pasted)
    with replacing(output) as stream:
        done = run([*command, "-o", stream.name])
        if done.returncode:
            raise ZsemuError(complaint, detail=f"{pasted}\n{done.stderr.rstrip()}")


@cache
def version_of(command: tuple[str, ...]) -> str:
    """Return the first line that a command writes; ZsemuError if the command fails."""
    done = run(command)
    if done.returncode:
        raise ZsemuError(f"the compiler does not run: {shlex.join(command)}", detail=done.stderr)
    return done.stdout.splitlines()[0].strip()


def zig() -> tuple[str, ...]:
    """Return the command of the C compiler that ziglang from PyPI carries."""
    return (sys.executable, "-m", "ziglang")


def compiler(family: str, target: Target) -> Compiler:
    """Find the compiler of ``family`` for ``target``.

    ZsemuError if it is not there, with the package that has it.
    """
    build = target.build
    if family == "zig":
        command = (*zig(), "cc", "-target", build.triple, f"-mcpu={build.cpu}")
        return Compiler(family, command, f"zig {version_of((*zig(), 'version'))}")
    if family == "clang":
        for program in ("clang", "ld.lld"):
            if not shutil.which(program):
                raise ZsemuError(f"no {program}: install it with 'apt-get install clang lld'")
        return Compiler(
            family, ("clang", *build.clang, "-fuse-ld=lld"), version_of(("clang", "--version"))
        )
    if family == "gcc":
        if not shutil.which(build.gcc):
            # Debian has no cross compiler from an architecture to itself.
            native = build.gcc.startswith(f"{platform.machine()}-")
            package = "gcc" if native else build.gcc_package
            raise ZsemuError(f"no {build.gcc}: install it with 'apt-get install {package}'")
        return Compiler(family, (build.gcc,), version_of((build.gcc, "--version")))
    raise ZsemuError(f"no compiler {family!r}: there are {', '.join(COMPILERS)}")


def compile_flags(
    family: str, target: Target, page_shift: int, optimisation: str
) -> tuple[str, ...]:
    """Return the options for the compiler, without those for the linker."""
    if optimisation not in OPTIMISATIONS:
        raise ZsemuError(
            f"no optimisation level {optimisation!r}: there are {', '.join(OPTIMISATIONS)}"
        )
    # zig takes -O1 and -O3 for its ReleaseFast, which is -O2, unless clang is told directly.
    handed_on = ("-Xclang", f"-{optimisation}") if optimisation in ("O1", "O3") else ()
    special = {
        "zig": (*target.build.flags, "-fno-sanitize=undefined", *handed_on),
        "clang": target.build.flags,
        "gcc": target.build.gcc_flags,
    }[family]
    # The access has a copy primitive of its own, of the same source (arch/access.S).
    other = () if target.copy == "copy.S" else (f'-DZS_COPY_SOURCE="{target.copy}"',)
    page = f"-DPAGE_SHIFT={page_shift}"
    return ("-std=gnu11", f"-{optimisation}", *FLAGS, *special, page, *other)


def options(
    found: Compiler, target: Target, page_shift: int, optimisation: str = "O2"
) -> tuple[str, ...]:
    """Return all options but paths: what images depend on beside their sources and the version."""
    program = len(zig()) + 1 if found.family == "zig" else 1
    flags = compile_flags(found.family, target, page_shift, optimisation)
    return (*found.command[program:], *flags, *LINK_FLAGS)


def _sources(target: Target) -> list[Path]:
    own = ARCH / target.folder
    return [
        ARCH / "driver.c",
        ARCH / "boot.c",
        ARCH / "user.c",
        ARCH / "access.S",
        ARCH / "access-by-span.S",
        *(own / name for name in ("entry.S", target.copy, "swap.S")),
    ]


def inputs(target: Target, strategy: Strategy) -> list[Path]:
    """Return every file whose content can change the image, those of the strategy last."""
    shared = [p for p in ARCH.glob("*") if p.is_file() and p.suffix in {".c", ".h", ".S", ".lds"}]
    headers = ARCH.glob("*/*.h")
    found = sorted({*shared, *headers, *_sources(target)})
    return list(dict.fromkeys([*found, *strategy_files(strategy)]))


def _explain(strategy: Strategy, error: ZsemuError, where: str) -> ZsemuError:
    """Return an error that says why a strategy does not compile, or the given one."""
    undefined = set(_UNDEFINED.findall(error.detail))
    first = _ERROR.search(error.detail)
    if missing := [name for name in _REQUIRED if name in undefined]:
        line = f"{strategy.path}: does not define {' and '.join(missing)}, as arch/zs.h asks"
    elif undefined:
        # To copy a large struct, a compiler calls memcpy() though the source does not.
        line = (
            f"{strategy.path}: needs {', '.join(sorted(undefined))}, which the guest does not have:"
            " it has zs_copy() and zs_swap(), and no C library"
        )
    elif first:
        line = f"{first['where']}: {where}: {first['what']}"
    else:
        return error
    return ZsemuError(line, detail=error.detail)


def image_digest(
    target: Target,
    strategy: Strategy,
    *,
    cc: str = "zig",
    page_shift: int = 12,
    optimisation: str = "O2",
) -> str:
    """Return the SHA-256, in hexadecimal, of everything that an image depends on.

    It holds no path, so it is the same on every machine. ZsemuError if there is no such compiler.
    """
    found = compiler(cc, target)
    flags = compile_flags(cc, target, page_shift, optimisation)
    digest = hashlib.sha256()
    for text in (found.version, *found.command[1:], *flags, *LINK_FLAGS):
        digest.update(text.encode() + b"\0")
    for path in inputs(target, strategy):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\0".encode() + content)
    return digest.hexdigest()


def build(
    target: Target,
    strategy: Strategy,
    *,
    cc: str = "zig",
    page_shift: int = 12,
    optimisation: str = "O2",
) -> Path:
    """Return the ELF image of ``strategy`` for ``target``, compiled unless the cache has it.

    ``page_shift`` is that of the pages that zsmalloc sees. ``cc`` is one of COMPILERS, and
    ``optimisation`` one of OPTIMISATIONS. ZsemuError if the strategy does not compile, with the
    command and the compiler's message.
    """
    digest = image_digest(target, strategy, cc=cc, page_shift=page_shift, optimisation=optimisation)
    directory = cache_folder("images")
    image = directory / f"{target.name}-{strategy.name}-{digest[:24]}.elf"
    if image.exists():
        if verbose():
            _say(f"# cached: {image}")
        return image

    found = compiler(cc, target)
    command = [
        *found.command,
        *compile_flags(cc, target, page_shift, optimisation),
        f"-I{ARCH}",
        f"-I{ARCH / target.folder}",
        *LINK_FLAGS,
        *("-T", str(ARCH / "image.lds")),
        *(str(path) for path in _sources(target)),
        str(strategy.path),
    ]
    complaint = f"does not compile for {target.name}"
    try:
        compile_to(image, command, f"{strategy.path}: {complaint}")
    except ZsemuError as error:
        raise _explain(strategy, error, complaint) from None
    return image
