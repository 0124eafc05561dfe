# SPDX-License-Identifier: GPL-2.0-only
"""The command line of the benchmark."""

import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import bench
from bench import against as side_by_side
from bench import commands, comparison, report
from bench.checkouts import Checkout, checkouts, heading
from bench.measure import FIRST, measure
from zsemu.cli.app import BAD_INPUT
from zsemu.cli.options import Archs, Operations, Trace, values
from zsemu.errors import ZsemuError
from zsemu.guest.hooks import build_library
from zsemu.guest.strategies import strategy as find
from zsemu.runs.request import Request, check, provenance, request

app = typer.Typer(add_completion=False, rich_markup_mode=None)

Document = dict[str, Any]


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
            help="Measure whole commands instead, those whose line contains this; '' for all.",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Measure another checkout, too, by turns with this one."),
    ] = None,
) -> None:
    """Print each table as soon as it is measured."""
    if json and (json.is_dir() or not json.absolute().parent.is_dir()):
        raise ZsemuError(f"{json}: no place for a file: give --json one in a directory that exists")
    if whole is not None:
        content = _commands(commands.chosen(whole), repeat, against)
    else:
        asked = request(
            archs=values(arch),
            strategies={strategy: find(strategy)},
            trace=trace,
            operations=operations,
        )
        check(asked)
        options = ["--strategy", strategy, "--trace", trace]
        options += [] if operations is None else ["--operations", str(operations)]
        outside = not without_outside
        if against:
            content = _two_checkouts(asked, options, repeat, against, outside=outside)
        else:
            content = _replays(asked, strategy, repeat, outside=outside)
    if json:
        report.save(content, json)
    if any(one.get("left_out") for one in content.get("archs", {}).values()):
        raise typer.Exit(BAD_INPUT)


def _replays(asked: Request, strategy: str, repeat: int, *, outside: bool) -> Document:
    build_library()
    cells = []
    for name in asked.archs:
        cell = measure(asked, name, repeat=repeat, outside=outside)
        cells.append(cell)
        print(report.text(cell, f"{strategy}, {asked.trace.name}", repeat), flush=True)
    return report.document(cells, provenance(asked), strategy)


def _timed(
    which: Sequence[commands.Command], found: list[Checkout], repeat: int, folder: Path
) -> Document:
    done = []
    for timed in commands.measure(which, found, repeat, folder):
        print("\n".join([*comparison.timed_lines(timed), ""]), flush=True)
        done.append(comparison.timed_document(timed))
    return {"schema": report.SCHEMA, "machine": platform.machine(), "commands": done}


def _commands(which: Sequence[commands.Command], repeat: int, against: Path | None) -> Document:
    with tempfile.TemporaryDirectory() as place:
        found = checkouts(against, Path(place))
        print(f"medians of {repeat}; {heading(found)}\n")
        return _timed(which, found, repeat, Path(place))


def _two_checkouts(
    asked: Request, options: list[str], repeat: int, against: Path, *, outside: bool
) -> Document:
    with tempfile.TemporaryDirectory() as place:
        folder, found = Path(place), checkouts(against, Path(place))
        print(f"medians of {repeat}; {heading(found)}\n")
        if not side_by_side.able(found[1]):
            print("other: has no benchmark of replays, so whole commands are compared instead\n")
            which = commands.compares(asked.archs, options, FIRST)
            return _timed(which, found, repeat, folder)
        archs = {}
        more = [] if outside else ["--without-outside"]
        for name in asked.archs:
            taken = side_by_side.measure(found, name, [*options, *more], repeat, folder)
            rows = list(side_by_side.rows(name, taken))
            print("\n".join([*comparison.row_lines(name, rows), ""]), flush=True)
            archs[name] = {"figures": comparison.rows_document(rows), "checkouts": taken}
        return {"schema": report.SCHEMA, "machine": platform.machine(), "archs": archs}


if __name__ == "__main__":
    try:
        app(prog_name="python -m bench")
    except ZsemuError as error:
        detail = f"\n{error.detail.rstrip()}" if error.detail else ""
        sys.stderr.write(f"bench: {error}{detail}\n")
        sys.exit(BAD_INPUT)
