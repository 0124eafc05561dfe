# SPDX-License-Identifier: GPL-2.0-only
"""Making objects: the ``make`` commands that give a source tree's zsmalloc for each architecture.

Everything is made out of tree (``O=``), so nothing in the tree changes; it must be clean for that
(``make mrproper``), as the kernel's makefile says itself.
"""

import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zsemu.errors import ZsemuError
from zsemu.guest.targets import Target
from zsemu.kernel.target import KernelTarget

OPTIONS: Final = (
    ("-e", "SWAP"),
    ("-e", "ZSWAP"),  # without it 6.1 does not ask for ZSMALLOC
    ("-e", "ZSMALLOC"),
    ("-e", "ZRAM"),
    ("-d", "DEBUG_INFO_NONE"),
    ("-d", "DEBUG_INFO_REDUCED"),  # which leaves out struct page
    ("-e", "DEBUG_INFO_DWARF5"),
    ("-d", "DEBUG_INFO_BTF"),
)
"""what scripts/config changes in a configuration, unless the user gave one, beside the page size"""
TOOLS: Final = {
    "make": "make",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "rsync": "rsync",
}
"""programs that the makefile calls, and Debian's package of each"""
_SHOWN: Final = 15
"""lines of a failing make that are shown"""


@dataclass(frozen=True)
class Step:
    """One command."""

    command: tuple[str, ...]
    directory: Path

    @property
    def pasted(self) -> str:
        """The command as it can be pasted into a shell."""
        return f"cd {shlex.quote(str(self.directory))} && {shlex.join(self.command)}"


_OBJECT: Final = "mm/zsmalloc.o"


def version(tree: Path) -> str:
    """Return the version of a source tree; ZsemuError if it is none."""
    makefile = tree / "Makefile"
    found = {}
    if makefile.is_file() and (tree / "mm" / "zsmalloc.c").is_file():
        text = makefile.read_text(errors="replace")[:4096]
        found = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$", text, re.MULTILINE))
    if len(found) < 3:
        raise ZsemuError(
            f"{tree}: no source tree of a kernel: it has no Makefile with a version, or no"
            " mm/zsmalloc.c"
        )
    return f"{found['VERSION']}.{found['PATCHLEVEL']}.{found['SUBLEVEL']}"


def _is_native(target: KernelTarget) -> bool:
    return platform.machine() == target.target.name


def _cross(target: KernelTarget) -> str:
    """Return the prefix of the compiler; ZsemuError names the package of one that is missing."""
    cross = "" if _is_native(target) else target.cross
    if not shutil.which(f"{cross}gcc"):
        package = target.cross_package if cross else "gcc"
        raise ZsemuError(f"no {cross}gcc: install it with 'apt-get install {package}'")
    return cross


def _ensure_pages(target: Target, page_size: int | None) -> None:
    if page_size is not None and page_size not in target.page_sizes:
        sizes = ", ".join(map(str, target.page_sizes))
        raise ZsemuError(
            f"{target.name} has no pages of {page_size} bytes, only of {sizes}: choose another"
            " --arch or --page-size"
        )


def _edits(target: KernelTarget, page_size: int | None) -> list[str]:
    """Return the arguments of scripts/config; without a page size, it is the configuration's."""
    choice = () if page_size is None else target.page_options.items()
    pages = (("-e" if size == page_size else "-d", option) for size, option in choice)
    return [word for option in (*OPTIONS, *pages) for word in option]


def steps(
    tree: Path,
    output: Path,
    target: KernelTarget,
    config: Path | None = None,
    jobs: int = 1,
    *,
    copies: bool = False,
    page_size: int | None = None,
) -> Iterator[Step]:
    """Yield the commands that make the object of one architecture, in order.

    With ``copies``, also those that have the kernel's memcpy() and copy_page(). ``page_size``, in
    bytes, is chosen in the architecture's own configuration; a given ``config`` is left as it is.
    What they write is in ``output/build/<target>``.
    """
    build = output / "build" / target.target.name
    alone = (
        "make",
        f"ARCH={target.make_arch}",
        f"CROSS_COMPILE={_cross(target)}",
        f"O={build}",
    )
    make = (*alone, f"-j{jobs}")
    if config is None:
        yield Step((*make, target.config), tree)
        edit = ("scripts/config", "--file", str(build / ".config"), *_edits(target, page_size))
        yield Step(edit, tree)
    else:
        yield Step(("cp", str(config), str(build / ".config")), tree)
    yield Step((*make, "olddefconfig"), tree)
    yield Step((*make, "prepare"), tree)
    yield Step((*make, _OBJECT), tree)
    # Two of its processes would make an object of a library at the same time.
    for name in target.copies if copies else ():
        yield Step((*alone, name), tree)


def missing_tools() -> list[str]:
    """Return Debian's packages of the programs that are not there."""
    return sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})


def run(step: Step) -> None:
    """Run one command; ZsemuError shows its last lines and the command itself."""
    done = subprocess.run(
        step.command,
        cwd=step.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-_SHOWN:])
        raise ZsemuError(
            f"{step.command[0]} {step.command[-1]} failed, with status {done.returncode};"
            " its last lines and the command follow",
            detail=f"{last}\n{step.pasted}",
        )


def make(
    tree: Path,
    output: Path,
    targets: Sequence[KernelTarget],
    config: Path | None = None,
    jobs: int = 1,
    *,
    copies: bool = False,
    page_size: int | None = None,
    dry: bool = False,
) -> Iterator[str]:
    """Make the objects; yield each command before it runs, and each object when it is there.

    With ``dry``, nothing runs. ZsemuError if the tree is none, an architecture has no pages of
    ``page_size`` bytes, or something is missing or fails.
    """
    for target in targets:
        _ensure_pages(target.target, page_size)
    tree, output = tree.resolve(), output.resolve()
    version(tree)
    if config is not None and not config.is_file():
        raise ZsemuError(f"{config}: no such configuration; give a kernel's .config")
    config = config.resolve() if config else None
    if packages := missing_tools():
        raise ZsemuError(
            f"programs are missing that make needs: 'apt-get install {' '.join(packages)}'"
        )
    for target in targets:
        build = output / "build" / target.target.name
        if not dry:
            build.mkdir(parents=True, exist_ok=True)
        for step in steps(tree, output, target, config, jobs, copies=copies, page_size=page_size):
            yield step.pasted
            if not dry:
                run(step)
        for name in (_OBJECT, *(target.copies if copies else ())):
            made = output / target.target.name / Path(name).name
            if not dry:
                made.parent.mkdir(exist_ok=True)
                shutil.copyfile(build / name, made)
            yield f"# {made}"
