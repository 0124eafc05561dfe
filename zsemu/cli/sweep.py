# SPDX-License-Identifier: GPL-2.0-only
"""zsemu sweep: many matrices at once, which go on where they were interrupted."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zsemu.cli.compare import VIOLATION
from zsemu.cli.options import (
    GEOMETRY,
    Archs,
    Jobs,
    Operations,
    Strategies,
    Trace,
    page_sizes,
    values,
)
from zsemu.cli.terminal import emit, warn
from zsemu.errors import ZsemuError
from zsemu.paths import DEFAULT_TRACE

if TYPE_CHECKING:
    from zsemu.runs.cluster import Cluster
    from zsemu.runs.sweep import Sweep
    from zsemu.runs.sweep_plan import Axes


Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="DIR", help="Keep what is computed, and results, there."
    ),
]
PageSizes = Annotated[
    list[str] | None,
    typer.Option(metavar="BYTES", help="4096, 16384 or 65536. [default: as recorded]"),
]
Compilers = Annotated[
    list[str] | None,
    typer.Option(metavar="CC", help="zig, or the cross compilers of gcc, or clang. [default: zig]"),
]
Levels = Annotated[
    list[str] | None,
    typer.Option(metavar="LEVEL", help="O0, O1, O2, O3 or Os. [default: O2]"),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Compute on the workers of the Dask scheduler there (tcp://host:8786), not here.",
    ),
]


def sweep(
    output: Output,
    arch: Archs = None,
    strategy: Strategies = None,
    trace: Trace = DEFAULT_TRACE,
    geometry: Annotated[list[str] | None, GEOMETRY] = None,
    page_size: PageSizes = None,
    cc: Compilers = None,
    optimisation: Levels = None,
    operations: Operations = None,
    jobs: Jobs = None,
    cluster: Address = None,
) -> None:
    """Replay a trace through every combination of what is given, and go on after an interruption.

    Options that take several values may be repeated, or given several with commas between them.
    What is computed is kept in DIR; run again, with the same values or more, only what is missing
    is computed. At the end DIR holds the results: sweep.csv with all counts, and for each compiler,
    level, geometry and page size a document as 'zsemu compare --json' writes it.

    Exit status: 0 all intact, 1 some strategy has violations, 2 bad use or input.

    Example: zsemu sweep -o out --cc zig,gcc --optimisation O2,Os --page-size 4096,16384
    """
    from zsemu.cli.progress import bar
    from zsemu.guest import targets
    from zsemu.runs import doctor
    from zsemu.runs.cell_store import Store
    from zsemu.runs.sweep import CELLS, run, write
    from zsemu.runs.sweep_plan import plan

    with ExitStack() as stack:
        connected = _connect(cluster, stack) if cluster else None
        laid_out = plan(
            _axes(
                archs=values(arch),
                names=values(strategy),
                trace=trace,
                geometries=values(geometry),
                sizes=page_sizes(page_size),
                compilers=values(cc),
                optimisations=values(optimisation),
                operations=operations,
            )
        )
        for line in laid_out.left_out:
            warn(f"left out: {line}")
        for line in laid_out.warnings:
            warn(line)
        doctor.ensure(map(targets.target, laid_out.axes.archs))
        store = Store(output / CELLS)
        with bar() as watch:
            found = run(
                laid_out, store, jobs=jobs or os.cpu_count() or 1, cluster=connected, watch=watch
            )
    files = write(found, output)
    emit(_summary(found, files))
    if not all(document.intact for document in found.documents):
        raise typer.Exit(VIOLATION)


def _connect(address: str, stack: ExitStack) -> "Cluster":
    try:
        from zsemu.runs.cluster import connect
    except ImportError:
        raise ZsemuError(
            "--cluster needs Dask: install it with: pip install 'zsemu[cluster]'"
        ) from None
    connected = stack.enter_context(connect(address))
    if connected.threads() > 1:
        warn(
            f"{address}: workers of several threads compute one cell at a time:"
            " start them with: dask worker --nthreads 1 --nworkers auto"
        )
    return connected


def _axes(
    *,
    archs: list[str],
    names: list[str],
    trace: str,
    geometries: list[str],
    sizes: list[int],
    compilers: list[str],
    optimisations: list[str],
    operations: int | None,
) -> "Axes":
    from zsemu.guest import strategies, targets
    from zsemu.kernel.strategy import strategy
    from zsemu.runs.request import label
    from zsemu.runs.sweep_plan import Axes
    from zsemu.traces import file as trace_file

    for name in archs:
        targets.target(name)
    chosen = [strategy(name) for name in names or strategies.names()]
    labels = label(chosen)
    replayed = trace_file.TraceFile(trace_file.find(trace), operations)
    return Axes(
        archs=tuple(archs) or targets.names(),
        strategies=labels,
        trace=replayed,
        geometries=tuple(geometries) or (replayed.metadata.geometry,),
        page_sizes=tuple(sizes) or (replayed.metadata.page_size,),
        compilers=tuple(compilers) or ("zig",),
        optimisations=tuple(optimisations) or ("O2",),
    )


def _summary(found: "Sweep", files: list[Path]) -> str:
    """Say what was computed, what is broken, and where it all is."""
    every = len(found.plan.cells)
    lines = [f"{every} cells: {found.computed} computed, {every - found.computed} there before"]
    for matrix, document in zip(found.plan.matrices, found.documents, strict=True):
        for cell, record in zip(matrix.cells, document.records, strict=True):
            if not record.intact:
                plural = "s" * (record.violation_count != 1)
                lines.append(
                    f"BROKEN: {cell.name}: {record.violation_count} violation{plural},"
                    f" first {record.violations[0]}"
                )
    return "\n".join([*lines, *map(str, files), ""])
