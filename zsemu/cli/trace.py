# SPDX-License-Identifier: GPL-2.0-only
"""zsemu trace: imports, describes, records and synthesises traces."""

import os
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from zsemu import ftrace, geometry, record, synth, trace, traceinfo
from zsemu.errors import ZsemuError

app = typer.Typer(no_args_is_help=True, help="Import, describe, record and synthesise traces.")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


@app.command("import")
def import_(
    recording: Annotated[
        Path, typer.Argument(help="Text of trace_pipe or trace-cmd report, plain, .xz or .gz.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The trace file to write.")],
    kernel: Annotated[
        str | None, typer.Option(help="Version of the recording kernel, such as 6.1.176.")
    ] = None,
    geometry: Annotated[
        str | None,
        typer.Option(help=f"Its geometry: {', '.join(geometry.NAMES)}; default: by the kernel"),
    ] = None,
    page_size: Annotated[
        int | None,
        typer.Option(help="Its page size; default: as the recording notes, or 4096"),
    ] = None,
    provenance: Annotated[str, typer.Option(help="What ran: a line of text.")] = "",
) -> None:
    """Import the text of a recording, and say what was mended and dropped.

    Example: zsemu trace import record.txt.xz -o mine.npz --kernel 6.1
    """
    console = Console(soft_wrap=True, highlight=False)
    if output.exists() and recording.exists() and output.samefile(recording):
        raise ZsemuError(f"{output}: is the recording itself; give another name with -o")
    imported, report = ftrace.import_text(
        recording, kernel=kernel, geometry=geometry, page_size=page_size, provenance=provenance
    )
    trace.save(imported, output)
    for note in report.notes():
        console.print(note, markup=False)
    metadata = imported.metadata
    console.print(
        f"{len(imported)} operations written to {output}; kernel {metadata.kernel}, "
        f"geometry {metadata.geometry}, page size {metadata.page_size}",
        markup=False,
    )
    if kernel is None and metadata.kernel == "unknown" and geometry is None:
        console.print(
            f"geometry {metadata.geometry} is a guess: the recording does not name its kernel; "
            "give --kernel",
            markup=False,
        )


def _print_info(console: Console, shown: trace.Trace) -> None:
    metadata, figures = shown.metadata, traceinfo.info(shown)
    console.print(
        f"{shown.name}: kernel {metadata.kernel}, geometry {metadata.geometry}, "
        f"page size {metadata.page_size}",
        *filter(None, [metadata.provenance]),
        *metadata.notes,
        sep="\n",
        markup=False,
        soft_wrap=True,
    )

    maps = sum(count for kind, count in figures.operations.items() if kind >= trace.Operation.READ)
    console.print(f"\n[bold]{len(shown)} operations in {figures.seconds:.1f} s")
    table = _table("kind", "count", "share of maps")
    for kind, count in figures.operations.items():
        share = _percent(count, maps) if kind >= trace.Operation.READ else ""
        table.add_row(kind.name.lower(), str(count), share)
    console.print(table)
    console.print(f"{figures.overlaps} pairs of maps overlap in time")

    peak = int(np.argmax(figures.live))
    console.print("\n[bold]Live objects")
    table = _table("after", "objects")
    points = {
        round(part * (len(shown) - 1) / 8): f"{part}/8 of the operations" for part in range(9)
    }
    points[0] = "the first operation"
    points[len(shown) - 1] = "the last operation"
    points.setdefault(peak, "")
    for at, where in sorted(points.items()):
        where = where or f"operation {at}"
        table.add_row(where + (" (peak)" if at == peak else ""), str(figures.live[at]))
    console.print(table)

    console.print("\n[bold]Lengths of objects")
    table = _table("bytes", "objects", "share")
    step = metadata.page_size // 8
    counts, _ = np.histogram(figures.lengths, np.arange(9) * step + 1)
    for number, count in enumerate(counts.tolist()):
        low, high = number * step + 1, (number + 1) * step
        table.add_row(f"{low} to {high}", str(count), _percent(count, len(figures.lengths)))
    console.print(table)
    quartiles = np.quantile(figures.lengths, [0, 0.25, 0.5, 0.75, 1], method="nearest")
    console.print(
        "least, quartiles, greatest: " + ", ".join(str(int(length)) for length in quartiles)
    )

    console.print("\n[bold]Spanning objects, with 64-bit words")
    table = _table("geometry", "objects", "share", "maps", "share", "next slot")
    for name in geometry.NAMES:
        spanning = traceinfo.spanning(
            shown, geometry.geometry(name, page_size=metadata.page_size, word_bits=64)
        )
        table.add_row(
            name + (" (recorded)" if name == metadata.geometry else ""),
            str(spanning.objects),
            _percent(spanning.objects, len(figures.lengths)),
            str(spanning.maps),
            _percent(spanning.maps, maps),
            str(spanning.next_maps),
        )
    console.print(table)
    console.print(
        "next slot: pairs of overlapping maps of a spanning object and of the slot behind it",
        soft_wrap=True,
    )


@app.command("info")
def info(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A trace of zsemu's own, or a trace file.")
    ],
) -> None:
    """Say what is in a trace, and what spans in it under each geometry.

    Example: zsemu trace info compile-zstd
    """
    _print_info(Console(highlight=False), trace.load(trace.find(name)))


@app.command("synth")
def synth_(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="The trace to draw from, or its file.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The trace file to write.")],
    operations: Annotated[
        int | None, typer.Option(help="How many operations; default: as many as recorded")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same trace.")] = 0,
    update_share: Annotated[
        float, typer.Option(help="Share of the maps that become updates, 0 to 1.")
    ] = 0,
    page_size: Annotated[
        int | None,
        typer.Option(help="Scale lengths to pages of so many bytes; default: as recorded"),
    ] = None,
) -> None:
    """Write a synthetic trace: lengths, modes and lifetimes drawn from a recorded one.

    Example: zsemu trace synth compile-zstd -o large.npz --operations 10000000 --update-share 0.2
    """
    source = trace.find(name)
    if output.exists() and output.samefile(source):
        raise ZsemuError(f"{output}: is the trace drawn from; give another name with -o")
    made = synth.synthesise(
        trace.load(source),
        operations=operations,
        seed=seed,
        update_share=update_share,
        page_size=page_size,
    )
    trace.save(made, output)
    console = Console(soft_wrap=True, highlight=False)
    for line in (made.metadata.provenance, *made.metadata.notes):
        console.print(line, markup=False)
    console.print(f"{len(made)} operations written to {output}", markup=False)


@app.command("record")
def record_(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file that the recording is written to.")
    ] = Path("zsmalloc.ftrace.txt"),
    seconds: Annotated[
        float | None, typer.Option(min=0, help="How long; default: until interrupted")
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Run the commands (as root) instead of printing them.")
    ] = False,
    tracefs: Annotated[
        Path | None, typer.Option(help="Where tracefs is; default: /sys/kernel/tracing")
    ] = None,
    kallsyms: Annotated[Path, typer.Option(help="The running kernel's symbols.")] = Path(
        "/proc/kallsyms"
    ),
) -> None:
    """Print, or run as root, the commands that record a trace on this machine.

    Example: zsemu trace record -o record.txt | sudo sh
    """
    commands = record.script(record.survey(kallsyms=kallsyms, tracefs=tracefs), output, seconds)
    if not run:
        typer.echo(commands, nl=False)
        return
    if os.geteuid() != 0:
        raise ZsemuError(
            "recording needs root; run it with sudo, or without --run and pipe it to: sudo sh"
        )
    record.run(commands)
