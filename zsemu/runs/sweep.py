# SPDX-License-Identifier: GPL-2.0-only
"""Run a sweep: compute what is missing of a plan's cells, and write all of it as documents.

Cells are computed by joblib: in processes of this machine, or by the workers of a Dask scheduler
(sweep_worker.py). They send their records to this process, which alone writes (cell_store.py). A
sweep that was interrupted goes on with the cells that are not in the store.
"""

import csv
import io
import os
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from warnings import catch_warnings, filterwarnings

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from zsemu import paths
from zsemu.errors import ZsemuError
from zsemu.guest.targets import target
from zsemu.paths import replacing
from zsemu.results.document import Document, Record, save
from zsemu.runs.cell_store import Store, digest
from zsemu.runs.compare import build_hooks, build_image
from zsemu.runs.pool import Stages
from zsemu.runs.request import provenance
from zsemu.runs.sweep_plan import Plan, PlannedCell
from zsemu.runs.sweep_worker import compute, follow, task

if TYPE_CHECKING:
    from zsemu.runs.cluster import Cluster

CSV: Final = "sweep.csv"
CELLS: Final = "cells"
"""the directory of computed cells, in that of the results"""
ATTEMPTS: Final = 3
"""how often in a row workers may die before any has given a result"""


@dataclass(frozen=True)
class Sweep:
    """What a sweep gave."""

    plan: Plan
    documents: tuple[Document, ...]
    """one for each matrix of the plan"""
    computed: int
    """cells that this run computed; the store had all others"""


def run(
    plan: Plan,
    store: Store,
    *,
    jobs: int = 1,
    cluster: "Cluster | None" = None,
    watch: Stages | None = None,
) -> Sweep:
    """Compute the cells that the store has not got, and put all together.

    The documents depend neither on ``jobs``, nor on the ``cluster`` whose workers compute instead,
    nor on what was computed when. ZsemuError if a user's own C file does not compile, before
    anything is replayed; for a cell that fails, workers that differ from this machine, and workers
    that die again and again. What has been computed is kept.
    """
    watch = watch or Stages()
    records: dict[str, Record] = {}
    missing: dict[str, PlannedCell] = {}
    for cell in plan.cells:
        if (record := store.load(cell.key)) is not None:
            records[digest(cell.key)] = record
        else:
            missing[digest(cell.key)] = cell
    computed = len(missing)
    if missing:
        _prepare(plan, missing.values(), jobs, cluster, watch)
        watch.stage("computing", len(missing))
        with catch_warnings(), closing(_compute(plan, missing, jobs, cluster)) as found:
            # joblib warns of what an interruption cancels, and of memory when a process has died.
            filterwarnings("ignore", category=UserWarning, module="joblib")
            for key_digest, record in found:
                cell = missing.pop(key_digest)
                store.save(cell.key, cell.request, record)
                records[key_digest] = record
                watch.advanced(cell.name, 1)
    documents = tuple(
        Document(
            provenance(matrix.request), tuple(records[digest(cell.key)] for cell in matrix.cells)
        )
        for matrix in plan.matrices
    )
    return Sweep(plan, documents, computed)


def _prepare(
    plan: Plan,
    missing: Iterable[PlannedCell],
    jobs: int,
    cluster: "Cluster | None",
    watch: Stages,
) -> None:
    """Compile the user's own strategies and what the workers share.

    ZsemuError for a C file that does not compile, before anything is replayed.
    """
    own = [cell for cell in missing if cell.request.strategies[cell.strategy].own]
    watch.stage("building", len(own))
    # In threads: this process waits for the compilers most of the time.
    threads = Parallel(n_jobs=jobs, backend="threading", return_as="generator_unordered")
    for cell in threads(delayed(_build)(cell) for cell in own):
        watch.advanced(cell.name, 1)
    if cluster:
        deliver_trace(plan, cluster)
    else:
        build_hooks(plan.axes.strategies.values())


def _build(cell: PlannedCell) -> PlannedCell:
    build_image(cell.request, cell.arch, cell.strategy)
    return cell


def deliver_trace(plan: Plan, cluster: "Cluster") -> None:
    """Give the workers the trace, unless it is one that comes with zsemu."""
    file = plan.axes.trace.path
    if file.parent != paths.TRACES:
        cluster.deliver(plan.trace_digest, file)


def _compute(
    plan: Plan, missing: dict[str, PlannedCell], jobs: int, cluster: "Cluster | None"
) -> Generator[tuple[str, Record], None, None]:
    """Yield the digest of its key and the record of each missing cell, in any order.

    The caller takes out of ``missing`` what it has got. What is left when a worker dies is sent to
    new workers. ZsemuError if workers die ATTEMPTS times without a result in between.
    """
    deaths = 0
    while missing:
        left = len(missing)
        tasks = [delayed(compute)(task(plan, cell)) for cell in _ordered(missing.values())]
        try:
            # closing() ends the workers at once, whatever happens to the caller.
            with closing(_parallel(jobs, cluster)(tasks)) as found:
                yield from found
        except TerminatedWorkerError as error:
            if cluster:
                cluster.check()
            deaths = 1 if len(missing) < left else deaths + 1
            if deaths == ATTEMPTS:
                raise ZsemuError(
                    f"workers died {ATTEMPTS} times and gave nothing, {len(missing)} cells are left"
                    f" ({next(iter(missing.values())).name}, ...): if memory runs out, choose fewer"
                    " --jobs or --operations; what has been computed is kept",
                    detail=str(error),
                ) from error


def _parallel(jobs: int, cluster: "Cluster | None") -> Parallel:
    if cluster:
        return cluster.parallel()
    return Parallel(
        n_jobs=jobs,
        backend="loky",
        initializer=follow,
        initargs=(os.getpid(),),
        batch_size=1,
        return_as="generator_unordered",
    )


def _ordered(cells: Iterable[PlannedCell]) -> list[PlannedCell]:
    """Return cells sorted so that those of one placement follow each other: a worker keeps one."""

    def placement(cell: PlannedCell) -> tuple[str, int, int]:
        one = target(cell.arch)
        bits = one.physical_bits if one.word_bits == 32 else 0
        return cell.request.geometry, cell.request.page_size, bits

    return sorted(cells, key=placement)


def write(sweep: Sweep, directory: Path) -> list[Path]:
    """Write every document, and all counts as one CSV; return the files."""
    files = [directory / matrix.file for matrix in sweep.plan.matrices]
    for document, file in zip(sweep.documents, files, strict=True):
        save(document, file)
    with replacing(directory / CSV) as stream:
        stream.write(comma_separated(sweep).encode())
    return [*files, directory / CSV]


def comma_separated(sweep: Sweep) -> str:
    """Return all counts as CSV: compiler, optimisation level, then what to_records() has."""
    text = io.StringIO()
    writer = None
    for matrix, document in zip(sweep.plan.matrices, sweep.documents, strict=True):
        how = {"compiler": matrix.request.cc, "optimisation": matrix.request.optimisation}
        for row in document.to_records():
            if writer is None:
                writer = csv.DictWriter(text, [*how, *row], lineterminator="\n")
                writer.writeheader()
            writer.writerow(how | row)
    return text.getvalue()
