# SPDX-License-Identifier: GPL-2.0-only
"""The root of the commands, and what becomes of their errors.

What a verb works with is imported when it runs, so that ``--help`` is there at once.
"""

import inspect
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Final, NoReturn

import typer

from zsemu.cli import (
    annotate,
    check,
    compare,
    diff,
    doctor,
    kernel,
    race,
    report,
    sweep,
    terminal,
    trace,
)
from zsemu.cli import list as list_
from zsemu.errors import ZsemuError
from zsemu.paths import VERBOSE

OK: Final = 0
BAD_INPUT: Final = 2
_SIGNALLED: Final = 128

app = typer.Typer(
    name="zsemu",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compare the ways zsmalloc can map an object that spans two pages.",
    epilog="Example: zsemu compare --arch aarch64,x86_64 --strategy pgtable,./mine.c",
)
app.command("annotate")(annotate.annotate)
app.command("check")(check.check)
app.command("compare")(compare.compare)
app.command("diff")(diff.diff)
app.command("doctor")(doctor.doctor)
app.command("list")(list_.list_)
app.command("race")(race.race)
app.command("report")(report.report)
app.command("sweep")(sweep.sweep)
app.add_typer(kernel.app, name="kernel")
app.add_typer(trace.app, name="trace")
_GROUPS = (kernel.app, trace.app)
for _command in (
    *app.registered_commands,
    *(command for group in _GROUPS for command in group.registered_commands),
):
    # Else an example would be wrapped, and could not be pasted.
    _text = inspect.cleandoc(getattr(_command.callback, "__doc__", ""))
    _command.help = _text.replace("Example:", "\b\nExample:")


def _print_version(asked: bool) -> None:
    if not asked:
        return
    from zsemu.cli.list import version

    terminal.emit(f"{version()}\n")
    raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Name the versions of zsemu, compiler, Unicorn and the CPU models, and exit.",
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Print what is asked for only: no warnings, no bar."),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Print the commands that compile something, on stderr."
        ),
    ] = False,
) -> None:
    if quiet and verbose:
        raise ZsemuError("--quiet and --verbose: choose one")
    terminal.quiet = quiet
    if verbose:
        # For the worker processes, too.
        os.environ[VERBOSE] = "1"
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(BAD_INPUT)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    # So that worker processes and temporary files are cleared away as after Ctrl-C.
    raise SystemExit(_SIGNALLED + number)


def _complain(line: str, detail: str = "") -> None:
    sys.stderr.write(f"zsemu: {line}\n")
    if detail:
        sys.stderr.write(f"{detail.rstrip()}\n")


def _complain_of_usage(error: typer.TyperException) -> None:
    """Say in one line what was wrong with the command line; where nothing was said, print help."""
    message = error.format_message()
    if message.startswith("Usage:"):
        sys.stderr.write(f"{message}\n")
        return
    line = " ".join(message.replace("Value error, ", "").split()).rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "zsemu"
    _complain(f"{line[:1].lower()}{line[1:]}; see: {command} --help")


def run(arguments: Sequence[str] | None) -> int:
    """Run a command line and return the exit status."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        status = app(arguments, prog_name="zsemu", standalone_mode=False)
    except ZsemuError as error:
        _complain(str(error), error.detail)
        return BAD_INPUT
    except typer.TyperException as error:
        _complain_of_usage(error)
        return BAD_INPUT
    except OSError as error:
        _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return BAD_INPUT
    if status == _SIGNALLED + signal.SIGINT:
        raise KeyboardInterrupt
    return int(status or OK)
