# SPDX-License-Identifier: GPL-2.0-only
"""zsemu trace: imports, describes, records and synthesises traces."""

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zsemu.cli.options import complete_geometry, complete_trace
from zsemu.cli.terminal import emit
from zsemu.errors import ZsemuError

if TYPE_CHECKING:
    from zsemu.traces.statistics import Info
    from zsemu.traces.trace import Trace


class Tool(StrEnum):
    """What records."""

    FTRACE = "ftrace"
    PERF = "perf"
    TRACE_CMD = "trace-cmd"
    BPFTRACE = "bpftrace"


app = typer.Typer(no_args_is_help=True, help="Import, describe, record and synthesise traces.")


def _table(*rows: Sequence[str]) -> list[str]:
    """Return lines of a table: the first column flush left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return lines


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


@app.command("import")
def import_(
    recording: Annotated[
        Path,
        typer.Argument(
            help="Text of trace_pipe, trace-cmd report, perf script or bpftrace, plain or packed"
            " with xz, gzip or zstd; - for standard input."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The trace file to write.")],
    kernel: Annotated[
        str | None,
        typer.Option(help="Version of the recording kernel; default: as the recording notes"),
    ] = None,
    geometry: Annotated[
        str | None,
        typer.Option(
            help="Its geometry: 2012, chain-4, chain-8, chain-16; default: as the recording notes",
            autocompletion=complete_geometry,
        ),
    ] = None,
    page_size: Annotated[
        int | None,
        typer.Option(help="Its page size; default: as the recording notes, or 4096"),
    ] = None,
    provenance: Annotated[str, typer.Option(help="What ran: a line of text.")] = "",
) -> None:
    """Import the text of a recording, and say what was mended and dropped.

    Example: zsemu trace import record.txt.xz -o mine.npz --provenance "what ran"
    """
    from zsemu.traces import file as trace_file
    from zsemu.traces import importer

    if output.exists() and recording.exists() and output.samefile(recording):
        raise ZsemuError(f"{output}: is the recording itself; give another name with -o")
    imported, report = importer.import_text(
        recording, kernel=kernel, geometry=geometry, page_size=page_size, provenance=provenance
    )
    trace_file.save(imported, output)
    metadata = imported.metadata
    lines = [
        *report.notes(),
        f"{len(imported)} operations written to {output}; kernel {metadata.kernel},"
        f" geometry {metadata.geometry}, page size {metadata.page_size}",
    ]
    if kernel is None and metadata.kernel == "unknown" and geometry is None:
        lines.append(
            f"geometry {metadata.geometry} is a guess: the recording does not name its kernel;"
            " give --kernel"
        )
    emit("\n".join([*lines, ""]))


def _info(shown: "Trace") -> list[str]:
    """Return the lines that say what is in a trace."""
    from zsemu.traces import statistics

    metadata, figures = shown.metadata, statistics.info(shown)
    return [
        f"{shown.name}: kernel {metadata.kernel}, geometry {metadata.geometry},"
        f" page size {metadata.page_size}",
        *filter(None, [metadata.provenance]),
        *metadata.notes,
        "",
        *_operations(figures),
        "",
        *_live(figures),
        "",
        *_lengths(figures, metadata.page_size),
        "",
        *_spanning(shown, figures),
    ]


def _operations(figures: "Info") -> list[str]:
    """Return how many operations there are of each kind."""
    from zsemu.traces.operation import Operation

    maps, number = figures.maps, sum(figures.operations.values())
    kinds = [
        (
            kind.name.lower(),
            str(count),
            _percent(count, maps) if kind >= Operation.READ else "",
        )
        for kind, count in figures.operations.items()
    ]
    return [
        f"{number} operations in {figures.seconds:.1f} s",
        *_table(("kind", "count", "share of maps"), *kinds),
        f"{figures.overlaps} pairs of maps overlap in time",
    ]


def _live(figures: "Info") -> list[str]:
    """Return how many objects are alive at nine points of the trace, and at the peak."""
    import numpy as np

    peak, last = int(np.argmax(figures.live)), len(figures.live) - 1
    points = {round(part * last / 8): f"{part}/8 of the operations" for part in range(9)}
    points[0] = "the first operation"
    points[last] = "the last operation"
    points.setdefault(peak, "")
    live = [
        (
            (where or f"operation {at}") + (" (peak)" if at == peak else ""),
            str(figures.live[at]),
        )
        for at, where in sorted(points.items())
    ]
    return ["Live objects", *_table(("after", "objects"), *live)]


def _lengths(figures: "Info", page_size: int) -> list[str]:
    """Return how many objects there are by eighths of a page, and quartiles of their lengths."""
    import numpy as np

    step = page_size // 8
    counts, _ = np.histogram(figures.lengths, np.arange(9) * step + 1)
    lengths = [
        (
            f"{number * step + 1} to {(number + 1) * step}",
            str(count),
            _percent(count, len(figures.lengths)),
        )
        for number, count in enumerate(counts.tolist())
    ]
    quartiles = np.quantile(figures.lengths, [0, 0.25, 0.5, 0.75, 1], method="nearest")
    return [
        "Lengths of objects",
        *_table(("bytes", "objects", "share"), *lengths),
        "least, quartiles, greatest: " + ", ".join(str(int(length)) for length in quartiles),
    ]


def _spanning(shown: "Trace", figures: "Info") -> list[str]:
    """Return what spans under each geometry."""
    from zsemu.traces import statistics
    from zsemu.zsmalloc import geometry

    rows = []
    for name in geometry.NAMES:
        found = statistics.spanning(
            shown, geometry.geometry(name, page_size=shown.page_size, word_bits=64)
        )
        rows.append(
            (
                name + (" (recorded)" if name == shown.metadata.geometry else ""),
                str(found.objects),
                _percent(found.objects, len(figures.lengths)),
                str(found.maps),
                _percent(found.maps, figures.maps),
                str(found.next_maps),
            )
        )
    return [
        "Spanning objects, with 64-bit words",
        *_table(("geometry", "objects", "share", "maps", "share", "next slot"), *rows),
        "next slot: pairs of overlapping maps of a spanning object and of the slot behind it",
    ]


@app.command("info")
def info(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="A trace of zsemu's own, or a trace file.",
            autocompletion=complete_trace,
        ),
    ],
) -> None:
    """Say what is in a trace, and what spans in it under each geometry.

    Example: zsemu trace info compile-zstd
    """
    from zsemu.traces import file as trace_file

    emit("\n".join([*_info(trace_file.load(trace_file.find(name))), ""]))


@app.command("synth")
def synth_(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="The trace to draw from, or its file.",
            autocompletion=complete_trace,
        ),
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
    from zsemu.traces import file as trace_file
    from zsemu.traces import synthesis

    source = trace_file.find(name)
    if output.exists() and output.samefile(source):
        raise ZsemuError(f"{output}: is the trace drawn from; give another name with -o")
    made = synthesis.synthesise(
        trace_file.load(source),
        operations=operations,
        seed=seed,
        update_share=update_share,
        page_size=page_size,
    )
    trace_file.save(made, output)
    lines = [made.metadata.provenance, *made.metadata.notes]
    emit("\n".join([*lines, f"{len(made)} operations written to {output}", ""]))


@app.command("record")
def record_(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file that the recording is written to; default: zsmalloc.TOOL.txt",
        ),
    ] = None,
    tool: Annotated[Tool, typer.Option(help="What records.")] = Tool.FTRACE,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="How long; default: until interrupted")
    ] = None,
    buffer: Annotated[
        int | None, typer.Option(min=64, help="KiB of each CPU's buffer; default: 16384")
    ] = None,
    script: Annotated[
        bool, typer.Option("--script", help="Print the shell commands instead of running them.")
    ] = False,
    tracefs: Annotated[
        Path | None, typer.Option(help="Where tracefs is; default: /sys/kernel/tracing")
    ] = None,
    kallsyms: Annotated[Path, typer.Option(help="The running kernel's symbols.")] = Path(
        "/proc/kallsyms"
    ),
) -> None:
    """Record a trace on this machine, as root, until Ctrl-C; fail if an event is lost.

    Example: zsemu trace record -o record.txt
    """
    from zsemu.traces import recorder, supervisor, survey

    kernel = survey.survey(kallsyms=kallsyms, tracefs=tracefs)
    job = recorder.Job(
        kernel,
        output or Path(f"zsmalloc.{tool}.txt"),
        seconds,
        buffer or recorder.BUFFER_KIB,
    )
    commands = recorder.script(job, tool)
    if script:
        emit(commands)
        return
    if os.geteuid() != 0:
        raise ZsemuError(
            "recording needs root; run it with sudo, or pipe what --script prints to: sudo sh"
        )
    supervisor.run(commands, recorder.removal(kernel))
