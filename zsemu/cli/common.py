# SPDX-License-Identifier: GPL-2.0-only
"""What several verbs share: options of several values, output, progress."""

import os
import shutil
import signal
import sys
from collections.abc import Iterable
from typing import Final

import typer

_STYLES: Final = {
    r"(?m)^\S+ +(all \d+|\d+ spanning) maps.*$": "bold",
    r"(?<= )-{3,} [^-]+ -{3,}": "dim",
    r"(?m)\bintact$": "green",
    r"(?m)\bBROKEN$|\b\d+ violations?\b": "bold red",
}
"""what is set off in a table on a terminal"""


def values(options: Iterable[str] | None) -> list[str]:
    """Return the values of a repeatable option that accepts commas, in order, each once."""
    every = (value.strip() for option in options or () for value in option.split(","))
    return list(dict.fromkeys(value for value in every if value))


def emit(text: str) -> None:
    """Print on stdout: as it is, or with colours if that is a terminal."""
    try:
        if sys.stdout.isatty():
            from rich.console import Console
            from rich.text import Text

            styled = Text(text)
            for expression, style in _STYLES.items():
                styled.highlight_regex(expression, style)
            with (console := Console(soft_wrap=True)).capture() as capture:
                console.print(styled, end="")
            text = capture.get()
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
    sys.stderr.write(f"zsemu: warning: {line}\n")
