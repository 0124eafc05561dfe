# SPDX-License-Identifier: GPL-2.0-only
"""What is printed: output on stdout, with colours on a terminal, and warnings on stderr."""

import os
import shutil
import signal
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from rich.text import Text

_STYLES: Final = {
    r"(?m)^\S+ +(all \d+|\d+ spanning) maps.*$": "bold",
    r"(?<= )-{3,} [^-]+ -{3,}": "dim",
    r"(?m)^\w+ of map \+ access \+ unmap, .*$|\b[\d.]+\*": "bold",
    r"(?m)\bintact$|(?<= are )intact\b": "green",
    r"\bBROKEN\b|\b\d+ violations?\b": "bold red",
}
"""what is set off in a table on a terminal"""

quiet = False
"""whether --quiet was given: neither warnings nor notes nor progress"""


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
