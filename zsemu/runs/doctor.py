# SPDX-License-Identifier: GPL-2.0-only
"""The doctor: says whether counts and checks can be trusted on this machine, a line for each part.

It looks at the cache, the compiler, the versions and the memory, and then runs every part of
guest/selftest.py for each target. ensure() runs only the part on which all counts rest, and
remembers that it has passed.
"""

import hashlib
import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Final

import capstone
import numpy as np
import unicorn

import zsemu
from zsemu.errors import ZsemuError
from zsemu.guest import hooks, selftest
from zsemu.guest.compiler import cache_folder, compiler
from zsemu.guest.machine import Fault
from zsemu.guest.selftest import Wrong
from zsemu.guest.targets import Target
from zsemu.paths import ARCH, replacing
from zsemu.paths import cache as cache_directory

LITTLE_MEMORY: Final = 2 << 30
"""free bytes below which a long trace may not fit"""

_PIN: Final = re.compile(r"([\w.-]+)==([\w.]+)")
MEMINFO: Final = Path("/proc/meminfo")
"""where the kernel tells how much memory is available"""


class Verdict(StrEnum):
    """Whether a line says that counts can be trusted."""

    OK = "ok"
    WARNING = "warning"
    """they can, with what the line says"""
    FAILED = "FAILED"


@dataclass(frozen=True)
class Line:
    """What one part found."""

    part: str
    arch: str
    """empty for a part that looks at the machine"""
    verdict: Verdict
    text: str
    """what was looked at, or what is wrong with it"""

    @property
    def name(self) -> str:
        """Part and architecture."""
        return f"{self.part} {self.arch}".rstrip()


class _Doubt(Exception):  # noqa: N818 - a finding, not an error
    """Something may mislead or fail later; the message says what."""


def cache() -> str:
    """Write a file into the cache directory and remove it; return the directory's path."""
    written = cache_folder("selftest") / "written"
    with replacing(written):
        pass
    written.unlink()
    return str(cache_directory())


def _compiler(targets: Sequence[Target]) -> str:
    return ", ".join(sorted({compiler("zig", target).version for target in targets}))


def _versions() -> str:
    """Name the versions; published figures were made with those that are pinned."""
    number = int(unicorn.uc_version()[2])
    library = f"{number >> 24}.{number >> 16 & 0xFF}.{number >> 8 & 0xFF}"
    if library != unicorn.__version__:
        raise Wrong(
            f"Unicorn's binding {unicorn.__version__} has loaded a library {library}:"
            " unset LIBUNICORN_PATH, or reinstall it"
        )
    for name, wanted in pinned():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            raise Wrong(f"{name} is not installed; pip install {name}=={wanted}") from None
        if installed != wanted:
            raise _Doubt(
                f"{name} {installed}, not {wanted}: figures of others may differ;"
                f" pip install {name}=={wanted}"
            )
    return (
        f"zsemu {zsemu.__version__}, Python {platform.python_version()}, NumPy {np.__version__},"
        f" Unicorn {unicorn.__version__}, Capstone {capstone.__version__}"
    )


def pinned() -> list[tuple[str, str]]:
    """Return name and version of each package that zsemu needs in exactly one version."""
    try:
        needs = metadata.requires("zsemu") or []
    except metadata.PackageNotFoundError:
        return []  # not installed: run from its sources
    return [(match[1], match[2]) for need in needs if (match := _PIN.fullmatch(need))]


def _free_memory() -> int | None:
    """Return the bytes available without swapping, or None where the kernel does not say."""
    try:
        text = MEMINFO.read_text()
    except OSError:
        return None
    found = re.search(r"^MemAvailable: +(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) << 10 if found else None


def _machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    free = _free_memory()
    if free is None:
        return f"{cores} cores, {platform.machine()}"
    text = f"{cores} cores, {platform.machine()}, {free / (1 << 30):.1f} GiB of memory free"
    if free < LITTLE_MEMORY:
        raise _Doubt(f"{text}: too little for a long trace; choose fewer --operations or --jobs")
    return text


def _examine(part: str, arch: str, test: Callable[[], str]) -> Line:
    try:
        return Line(part, arch, Verdict.OK, test())
    except _Doubt as doubt:
        return Line(part, arch, Verdict.WARNING, str(doubt))
    except Fault as fault:
        return Line(part, arch, Verdict.FAILED, f"the guest cannot go on: {fault}")
    except (Wrong, ZsemuError, unicorn.UcError, OSError) as error:
        return Line(part, arch, Verdict.FAILED, str(error))


def examine(targets: Sequence[Target]) -> Iterator[Line]:
    """Yield a line for each part as soon as it is done; no error is raised."""
    yield _examine("cache", "", cache)
    yield _examine("compiler", "", lambda: _compiler(targets))
    yield _examine("versions", "", _versions)
    yield _examine("machine", "", _machine)
    for target in targets:
        for part, test in selftest.PARTS.items():
            yield _examine(part, target.name, partial(test, target))


def verdict(lines: Iterable[Line]) -> str:
    """Say in one sentence what the lines say together."""
    failed = [line.name for line in lines if line.verdict == Verdict.FAILED]
    if failed:
        return f"Neither counts nor checks can be trusted here: {', '.join(failed)}"
    return "Counts and checks can be trusted here."


def _digest(target: Target) -> str:
    """Digest everything here on which the events of a target depend."""
    digest = hashlib.sha256()
    versions = (zsemu.__version__, unicorn.__version__, capstone.__version__)
    digest.update("\0".join((*versions, platform.system(), platform.machine())).encode())
    for path in (
        *sorted(Path(selftest.__file__).parent.glob("*.py")),
        *sorted(hooks.SOURCES.glob("*.[ch]")),
        selftest.program(),
        selftest.data_file(target),
        ARCH / target.folder / "target.toml",
    ):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:24]


def ensure(targets: Iterable[Target]) -> None:
    """Run part "events" of the self-test for targets of which something is to be counted.

    A target that has passed with these versions and sources is left out: the cache directory
    remembers it. ZsemuError says what failed.
    """
    folder = cache_folder("selftest")
    for target in targets:
        passed = folder / f"{target.name}-{_digest(target)}.passed"
        if passed.exists():
            continue
        try:
            text = selftest.events(target)
        except (Wrong, Fault, unicorn.UcError) as error:
            raise ZsemuError(
                f"self-test: events {target.name}: {error};"
                " so no count can be trusted here: see zsemu doctor"
            ) from error
        with replacing(passed) as stream:
            stream.write(f"{text}\n".encode())
