# SPDX-License-Identifier: GPL-2.0-only
"""The command line of the benchmark."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import bench
from bench import commands, report
from bench.measure import measure
from zsemu.cli.app import BAD_INPUT
from zsemu.cli.options import Archs, Operations, Trace, values
from zsemu.errors import ZsemuError
from zsemu.guest.hooks import build_library
from zsemu.guest.strategies import strategy as find
from zsemu.runs.request import check, provenance, request

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=bench.__doc__)
def main(
    arch: Archs = None,
    strategy: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="The one that is replayed.")
    ] = "copy",
    trace: Trace = "sqlite-lzo-rle",
    operations: Operations = None,
    repeat: Annotated[int, typer.Option(min=1, metavar="N", help="Runs of everything.")] = 5,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every run there.")
    ] = None,
    without_outside: Annotated[
        bool, typer.Option("--without-outside", help="Run neither qemu-user nor valgrind.")
    ] = False,
    whole: Annotated[
        str | None,
        typer.Option(
            "--commands",
            metavar="TEXT",
            help="Time whole commands instead, those whose line contains this; '' for all.",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="With --commands: another checkout, run by turns."),
    ] = None,
) -> None:
    """Print the tables of each architecture as soon as it is measured."""
    if whole is not None:
        for line in commands.lines(whole, repeat, against):
            print(line, flush=True)
        return
    if json and (json.is_dir() or not json.absolute().parent.is_dir()):
        raise ZsemuError(f"{json}: no place for a file: give --json one in a directory that exists")
    asked = request(
        archs=values(arch),
        strategies={strategy: find(strategy)},
        trace=trace,
        operations=operations,
    )
    check(asked)
    build_library()
    cells = []
    for name in asked.archs:
        cell = measure(asked, name, repeat=repeat, outside=not without_outside)
        cells.append(cell)
        print(report.text(cell, f"{strategy}, {asked.trace.name}", repeat), flush=True)
    if json:
        report.save(report.document(cells, provenance(asked), strategy), json)
    if any(cell.missing for cell in cells):
        raise typer.Exit(BAD_INPUT)


if __name__ == "__main__":
    try:
        app(prog_name="python -m bench")
    except ZsemuError as error:
        detail = f"\n{error.detail.rstrip()}" if error.detail else ""
        sys.stderr.write(f"bench: {error}{detail}\n")
        sys.exit(BAD_INPUT)
