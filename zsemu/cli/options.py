# SPDX-License-Identifier: GPL-2.0-only
"""The options that several verbs share, and how the shell completes their values."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from zsemu.errors import ZsemuError


def _complete(incomplete: str, names: Iterable[str]) -> list[str]:
    """Return what a value may become; of several with commas between them, the last."""
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [
        f"{before}{comma}{name}" for name in names if name.startswith(last) and name not in given
    ]


def complete_arch(incomplete: str) -> list[str]:
    """Return the architectures that begin so."""
    from zsemu.guest import targets

    return _complete(incomplete, targets.known())


def complete_strategy(incomplete: str) -> list[str]:
    """Return the shipped strategies, C files and objects that begin so, not directories.

    The shell knows those.
    """
    from zsemu.guest import strategies

    last = incomplete.rpartition(",")[2]
    folder = last[: last.rfind("/") + 1]
    there = sorted(path.name for path in Path(folder).glob("*"))
    files = [f"{folder}{name}" for name in there if name.endswith((".c", ".o", ".ko"))]
    return _complete(incomplete, [*strategies.names(), *files])


def complete_trace(incomplete: str) -> list[str]:
    """Return the traces of zsemu's own that begin so; the shell knows files."""
    from zsemu.traces import file as trace_file

    return [name for name in trace_file.names() if name.startswith(incomplete)]


def complete_geometry(incomplete: str) -> list[str]:
    """Return the geometries that begin so."""
    from zsemu.zsmalloc import geometry

    return _complete(incomplete, geometry.NAMES)


Archs = Annotated[
    list[str] | None,
    typer.Option(
        "--arch",
        metavar="ARCH",
        help="Architectures. [default: all but variants, such as x86_64-words]",
        autocompletion=complete_arch,
    ),
]
Strategies = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        metavar="NAME|FILE",
        help="Strategies: shipped ones by name, others by their C file; or a kernel's own"
        " zsmalloc.o or zsmalloc.ko, or a folder of ARCH/zsmalloc.o; NAME=PATH names it."
        " [default: all shipped]",
        autocompletion=complete_strategy,
    ),
]
TRACE = typer.Option(
    "--trace", metavar="NAME|FILE", help="What to replay.", autocompletion=complete_trace
)
Trace = Annotated[str, TRACE]
Operations = Annotated[
    int | None,
    typer.Option("--operations", min=1, metavar="N", help="Only the first N of the trace."),
]
GEOMETRY = typer.Option(
    "--geometry",
    metavar="NAME",
    help="Size classes of: 2012, chain-4 (4.1 to 6.2), chain-8 (from 6.3), chain-16."
    " [default: of the kernel that the trace was recorded on]",
    autocompletion=complete_geometry,
)
PageSize = Annotated[
    int | None,
    typer.Option(
        metavar="BYTES",
        help="4096, 16384 or 65536; architectures whose MMU has no such pages are left out"
        " unless named. [default: of the kernel that the trace was recorded on]",
    ),
]
Compiler = Annotated[
    str,
    typer.Option("--cc", metavar="CC", help="zig, or the cross compilers of gcc, or clang."),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", min=1, metavar="N", help="Processes. [default: as many as CPUs]"),
]


def values(options: Iterable[str] | None) -> list[str]:
    """Return the values of a repeatable option that accepts commas, in order, each once."""
    every = (value.strip() for option in options or () for value in option.split(","))
    return list(dict.fromkeys(value for value in every if value))


def page_sizes(options: Iterable[str] | None) -> list[int]:
    """Return the values of a repeatable --page-size; ZsemuError if one is no number."""
    given = values(options)
    try:
        return [int(size) for size in given]
    except ValueError:
        raise ZsemuError(
            f"--page-size {','.join(given)}: not bytes: choose 4096, 16384 or 65536"
        ) from None
