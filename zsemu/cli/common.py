# SPDX-License-Identifier: GPL-2.0-only
"""What several verbs share: their options and how the shell completes them, and output."""

import os
import shutil
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from rich.text import Text

_STYLES: Final = {
    r"(?m)^\S+ +(all \d+|\d+ spanning) maps.*$": "bold",
    r"(?<= )-{3,} [^-]+ -{3,}": "dim",
    r"(?m)\bintact$": "green",
    r"(?m)\bBROKEN$|\b\d+ violations?\b": "bold red",
}
"""what is set off in a table on a terminal"""

quiet = False
"""whether --quiet was given: neither warnings nor notes nor progress"""


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

    return _complete(incomplete, targets.names())


def complete_strategy(incomplete: str) -> list[str]:
    """Return the shipped strategies and the C files that begin so; the shell knows directories."""
    from zsemu.guest import strategies

    last = incomplete.rpartition(",")[2]
    folder = last[: last.rfind("/") + 1]
    files = sorted(f"{folder}{path.name}" for path in Path(folder).glob("*.c"))
    return _complete(incomplete, [*strategies.names(), *files])


def complete_trace(incomplete: str) -> list[str]:
    """Return the traces of zsemu's own that begin so; the shell knows files."""
    from zsemu.traces import file as trace_file

    return [name for name in trace_file.names() if name.startswith(incomplete)]


def complete_geometry(incomplete: str) -> list[str]:
    """Return the geometries that begin so."""
    from zsemu.zsmalloc import geometry

    return _complete(incomplete, geometry.NAMES)


ARCHS: Final = typer.Option(
    "--arch",
    metavar="ARCH",
    help="Architectures. [default: all]",
    autocompletion=complete_arch,
)
STRATEGIES: Final = typer.Option(
    "--strategy",
    metavar="NAME|FILE",
    help="Strategies: shipped ones by name, others by their C file. [default: all shipped]",
    autocompletion=complete_strategy,
)
TRACE: Final = typer.Option(
    "--trace", metavar="NAME|FILE", help="What to replay.", autocompletion=complete_trace
)
OPERATIONS: Final = typer.Option(
    "--operations", min=1, metavar="N", help="Only the first N of the trace."
)
GEOMETRY: Final = typer.Option(
    "--geometry",
    metavar="NAME",
    help="Size classes of: 2012, chain-4 (4.1 to 6.2), chain-8 (from 6.3), chain-16."
    " [default: of the kernel that the trace was recorded on]",
    autocompletion=complete_geometry,
)
CC: Final = typer.Option("--cc", metavar="CC", help="zig, or the cross compilers of gcc, or clang.")
JOBS: Final = typer.Option(
    "--jobs", min=1, metavar="N", help="Processes. [default: as many as CPUs]"
)


def values(options: Iterable[str] | None) -> list[str]:
    """Return the values of a repeatable option that accepts commas, in order, each once."""
    every = (value.strip() for option in options or () for value in option.split(","))
    return list(dict.fromkeys(value for value in every if value))


def emit(text: str) -> None:
    """Print on stdout: as it is, or with colours if that is a terminal."""
    if sys.stdout.isatty():
        from rich.text import Text

        styled = Text(text)
        for expression, style in _STYLES.items():
            styled.highlight_regex(expression, style)
        text = _coloured(styled)
    _write(text)


def emit_lines(lines: Iterable[tuple[str, str]]) -> None:
    """Print lines on stdout, each in its style if that is a terminal."""
    if sys.stdout.isatty():
        from rich.text import Text

        _write(_coloured(Text.assemble(*((f"{text}\n", style) for text, style in lines))))
    else:
        _write("".join(f"{text}\n" for text, _ in lines))


def _coloured(styled: "Text") -> str:
    from rich.console import Console

    with (console := Console(soft_wrap=True)).capture() as capture:
        console.print(styled, end="")
    return capture.get()


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Else the interpreter would try once more, and complain, when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(128 + signal.SIGPIPE) from None


def width() -> int:
    """Return the columns to print in: COLUMNS, else those of the terminal, else 80."""
    return max(80, shutil.get_terminal_size((80, 24)).columns)


def warn(line: str) -> None:
    """Print a warning, on stderr."""
    note(f"zsemu: warning: {line}\n")


def note(text: str) -> None:
    """Print what stands beside the output, on stderr, unless that is to be quiet."""
    if not quiet:
        sys.stderr.write(text)
