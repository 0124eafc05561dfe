# SPDX-License-Identifier: GPL-2.0-only
"""A progress bar on stderr: what is running, and how long it will take; only on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

from zsemu.cli import terminal
from zsemu.guest.compiler import verbose
from zsemu.runs.pool import Stages


class Bar(Stages):
    """Shows the stage and the tasks that are running."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bar = progress.add_task("", total=None, running="")
        self._running: list[str] = []

    def stage(self, title: str, total: int) -> None:
        """Begin anew, with another total."""
        self._progress.reset(self._bar, description=title, total=total, running="")

    def started(self, name: str) -> None:
        """Show the task as running."""
        self._running.append(name)
        self._show()

    def advanced(self, name: str, amount: int) -> None:
        """Move the bar."""
        self._progress.advance(self._bar, amount)

    def finished(self, name: str) -> None:
        """Show the task no longer."""
        self._running.remove(name)
        self._show()

    def _show(self) -> None:
        self._progress.update(self._bar, running=", ".join(self._running))


@contextmanager
def bar() -> Iterator[Stages]:
    """Yield what tasks report to; a bar, gone at the end, if stderr is a terminal.

    No bar where that is to be quiet, or where the compilers' commands are printed there.
    """
    # Rich would take FORCE_COLOR, as CI services set it, for a terminal.
    if terminal.quiet or verbose() or not sys.stderr.isatty():
        yield Stages()
        return
    console = Console(stderr=True)
    running = TextColumn(
        "{task.fields[running]}",
        markup=False,
        table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        running,
    )
    with Progress(*columns, console=console, transient=True, expand=True) as progress:
        yield Bar(progress)
