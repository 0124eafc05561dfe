# SPDX-License-Identifier: GPL-2.0-only
"""The mapping strategies: which ones are shipped, and what the first comment of a C file says."""

import hashlib
import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from zsemu.errors import ZsemuError
from zsemu.guest.targets import Target
from zsemu.paths import ARCH

PROMISES: Final = ("ro-clean", "neighbour-clean", "stateless", "no-leak")
"""what a strategy can promise in its first comment"""

NEEDS: Final = ("nothing", "slot", "neighbours", "zspage", "pool")
"""what a strategy can need locked from map to unmap, the least first"""

# In this order strategies are listed; a file that is not named here comes last.
_ORDER: Final = (
    "pgtable",
    "copy",
    "copy-modes",
    "swap",
    "swap-min",
    "swap-lazy",
    "readwrite",
    "sg",
)

_NEEDS = re.compile(r"^Needs:[ \t]*(.*?)\.?$", re.MULTILINE)
_COMMENT = re.compile(r"/\*(.*?)\*/", re.DOTALL)
_LOCAL_INCLUDE = re.compile(rb'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Strategy:
    """A strategy, which is one C file."""

    name: str
    path: Path
    summary: str
    """the first line of its first comment"""
    promises: tuple[str, ...]
    """those of PROMISES that its first comment states"""
    own: bool
    """whether it is a user's own file: results then name its content, too"""
    needs: str = field(default="", kw_only=True)
    """which of NEEDS its first comment states; empty: none"""

    @property
    def label(self) -> str:
        """Return the name that results have for it: a user's own is named as its file."""
        return self.path.name if self.own else self.name

    @property
    def files(self) -> list[Path]:
        """Return the C file, then what it includes that lies beside it."""
        files: list[Path] = []
        waiting = [self.path]
        while waiting:
            path = waiting.pop()
            files.append(path)
            for name in _LOCAL_INCLUDE.findall(path.read_bytes()):
                included = (path.parent / os.fsdecode(name)).resolve()
                if included.is_file() and included not in files and included not in waiting:
                    waiting.append(included)
        return files

    @property
    def needs_window(self) -> bool:
        """Whether it sets page-table entries, for which the MMU must have zsmalloc's page size."""
        # A copy of zs.h beside the file names the window, too, which says nothing.
        files = [path for path in self.files if path.name != "zs.h"]
        text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in files)
        code = _COMMENT.sub("", text)
        return "zs_set_pte" in code or "window" in code

    def runs_on(self, target: Target, page_size: int) -> bool:
        """Return whether a target's MMU has pages of this size, or the strategy maps none."""
        return page_size in target.page_sizes or not self.needs_window

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the file and of the files beside it that it includes."""
        content = b"".join(path.read_bytes() for path in self.files)
        return hashlib.sha256(content).hexdigest()


def strategy_files(strategy: Strategy) -> list[Path]:
    """Return the files that a strategy consists of, its C file first."""
    return strategy.files


def _parse(name: str, path: Path, *, own: bool) -> Strategy:
    """Read the first comment of a C file that is not its licence."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ZsemuError(f"{path}: not a readable C file: {error}") from error
    # Kernel style has the licence line of a C file as a // comment, and a header's as this one.
    comments = [re.sub(r"(?m)^\s*\*? ?", "", found) for found in _COMMENT.findall(text)]
    lines = next((c for c in comments if "SPDX-License-Identifier" not in c), "").split("\n")
    needs = _needs(path, "\n".join(lines))
    promised = " ".join(_NEEDS.sub("", "\n".join(lines)).split("\n")).partition("Promises:")[2]
    promises = [word.strip(" .") for word in promised.split(",") if word.strip(" .")]
    unknown = [word for word in promises if word not in PROMISES]
    if unknown:
        raise ZsemuError(
            f"{path}: promises {unknown[0]!r}, which is none of {', '.join(PROMISES)};"
            " end the first comment with the line 'Promises:' and some of them"
        )
    summary = next((line.strip() for line in lines if line.strip()), "")
    return Strategy(name, path, summary, tuple(promises), own, needs=needs)


def _needs(path: Path, comment: str) -> str:
    """Return what a comment says must be locked from map to unmap."""
    stated = _NEEDS.search(comment)
    if stated is None:
        return ""
    if stated[1].strip() not in NEEDS:
        raise ZsemuError(
            f"{path}: needs {stated[1].strip()!r}, which is none of {', '.join(NEEDS)}:"
            " say in the first comment what must be locked from map to unmap"
        )
    return stated[1].strip()


@cache
def names() -> tuple[str, ...]:
    """Return the names of the shipped strategies."""
    found = {path.stem for path in (ARCH / "strategies").glob("*.c")}
    return tuple(sorted(found, key=lambda n: (_ORDER.index(n) if n in _ORDER else len(_ORDER), n)))


def strategy(name: str) -> Strategy:
    """Return a shipped strategy by its name, or a user's own by the path of its C file.

    A ``name`` that ends in ``.c`` or holds a ``/`` is a path. ZsemuError if there is no such
    strategy or file.
    """
    if name.endswith(".c") or "/" in name:
        path = Path(name).resolve()
        if not path.is_file():
            raise ZsemuError(f"{name}: no such C file")
        return _parse(path.stem, path, own=True)
    if name not in names():
        raise ZsemuError(
            f"no strategy {name!r}: there are {', '.join(names())}, or the path of a C file"
        )
    return _parse(name, ARCH / "strategies" / f"{name}.c", own=False)
