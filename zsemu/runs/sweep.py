# SPDX-License-Identifier: GPL-2.0-only
"""Sweep: many matrices over one trace, which go on where they were interrupted.

One matrix (compare.py) for each compiler, optimisation level, geometry and page size.
Cells are computed by joblib: in processes of this machine, or by the workers of a Dask scheduler,
which need zsemu and the compilers, but no file of this machine. They give their records back to
this process, which alone writes (zsemu.runs.cell_store).
"""

import csv
import hashlib
import io
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final
from warnings import catch_warnings, filterwarnings

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError

from zsemu import paths
from zsemu.errors import ZsemuError
from zsemu.guest import strategies
from zsemu.guest.compiler import COMPILERS, OPTIMISATIONS, build, cache_folder
from zsemu.guest.hooks import build_library
from zsemu.guest.strategies import Strategy, strategy_files
from zsemu.guest.targets import target
from zsemu.paths import replacing
from zsemu.results.document import Document, Record, save
from zsemu.runs import doctor
from zsemu.runs.cell_store import Key, Store, digest, identify
from zsemu.runs.compare import single
from zsemu.runs.pool import Stages
from zsemu.runs.request import Request, check, has_pages, provenance, warnings
from zsemu.traces.file import SUFFIX, TraceFile
from zsemu.zsmalloc.geometry import NAMES, PAGE_SIZES

if TYPE_CHECKING:
    from zsemu.runs.cluster import Cluster

CSV: Final = "sweep.csv"
CELLS: Final = "cells"
"""the directory of computed cells, in that of the results"""

_PART: Final = 1 << 20
"""operations of a trace to look at in one go"""
ATTEMPTS: Final = 3
"""how often in a row workers may die before any has given a result"""


@dataclass(frozen=True)
class Axes:
    """What to sweep over."""

    archs: tuple[str, ...]
    strategies: dict[str, Strategy]
    """as compare.label() names them"""
    trace: TraceFile
    geometries: tuple[str, ...]
    page_sizes: tuple[int, ...] = (4096,)
    compilers: tuple[str, ...] = ("zig",)
    optimisations: tuple[str, ...] = ("O2",)


@dataclass(frozen=True)
class Cell:
    """One record to be computed."""

    request: Request
    arch: str
    strategy: str
    key: Key

    @property
    def name(self) -> str:
        """For people."""
        request = self.request
        return (
            f"{self.arch} {self.strategy} {request.cc} {request.optimisation}"
            f" {request.geometry} {request.page_size}"
        )


@dataclass(frozen=True)
class Matrix:
    """The cells of one compiler, optimisation level, geometry and page size: one document."""

    request: Request
    cells: tuple[Cell, ...]
    """in the order of results"""

    @property
    def file(self) -> str:
        """Name of the document's file."""
        one = self.request
        name = (one.trace.name, one.cc, one.optimisation, one.geometry, str(one.page_size))
        return f"{'-'.join(name)}.json"


@dataclass(frozen=True)
class Plan:
    """What there is to compute, and what cannot be."""

    axes: Axes
    trace_digest: str
    matrices: tuple[Matrix, ...]
    left_out: tuple[str, ...]
    """a line each"""
    warnings: tuple[str, ...]
    """in what a choice misleads, a line each"""

    @property
    def cells(self) -> list[Cell]:
        """Those of all matrices."""
        return [cell for matrix in self.matrices for cell in matrix.cells]


@dataclass(frozen=True)
class Sweep:
    """What a sweep gave."""

    plan: Plan
    documents: tuple[Document, ...]
    """one for each matrix"""
    computed: int
    """cells computed now; all others were in the store"""


# What there is to compute.


def plan(axes: Axes) -> Plan:
    """Lay out the cells.

    ZsemuError for what is no value of its axis, a trace that maps nothing, a compiler that is not
    installed, and if no combination is left.
    """
    # Of no architecture: that the trace maps something.
    check(Request((), {}, axes.trace, axes.trace.metadata.geometry))
    _check_values("geometry", axes.geometries, NAMES)
    _check_values("page size", axes.page_sizes, PAGE_SIZES)
    _check_values("compiler", axes.compilers, COMPILERS)
    _check_values("optimisation level", axes.optimisations, OPTIMISATIONS)
    trace_digest = axes.trace.digest()
    longest = axes.trace.metadata.page_size
    if min(axes.page_sizes) < longest:
        parts = axes.trace.parts(_PART)
        longest = max(int(part.trace.length.max()) for part in parts)
    matrices = []
    impossible: dict[str, dict[str, None]] = {}
    for cc, optimisation, geometry, page_size in product(
        axes.compilers, axes.optimisations, axes.geometries, axes.page_sizes
    ):
        request = Request(
            archs=axes.archs,
            strategies=axes.strategies,
            trace=axes.trace,
            geometry=geometry,
            page_size=page_size,
            cc=cc,
            optimisation=optimisation,
        )
        provenance(request)  # Finds the compiler of every architecture, needed or not.
        cells = []
        for arch, name in product(axes.archs, axes.strategies):
            if why := _impossible(request, arch, name, longest):
                impossible.setdefault(why, {})[arch] = None
            else:
                key = identify(request, arch, name, trace_digest)
                cells.append(Cell(request, arch, name, key))
        if cells:
            matrices.append(Matrix(_narrowed(request, cells), tuple(cells)))
    left_out = tuple(f"{why}: {', '.join(archs)}" for why, archs in impossible.items())
    if not matrices:
        raise ZsemuError(f"nothing is left to compute: {'; '.join(left_out)}")
    lines = [line for matrix in matrices for line in warnings(matrix.request)]
    return Plan(axes, trace_digest, tuple(matrices), left_out, tuple(dict.fromkeys(lines)))


def _check_values(what: str, values: Iterable[object], choices: tuple[object, ...]) -> None:
    for value in values:
        if value not in choices:
            raise ZsemuError(f"unknown {what} {value}; choose of {', '.join(map(str, choices))}")


def _impossible(request: Request, arch: str, name: str, longest: int) -> str | None:
    """Return why a cell cannot be, in the same words for every architecture.

    ``longest`` is that of the trace's lengths, or more if no page size is less.
    """
    one, strategy = target(arch), request.strategies[name]
    if not has_pages(one, strategy, request.page_size):
        return f"{name} maps pages, and these have none of {request.page_size} bytes"
    if longest > request.page_size:
        return f"objects of up to {longest} bytes do not fit pages of {request.page_size}"
    try:
        request.geometry_for(one)
    except ZsemuError as error:
        return str(error)
    return None


def _narrowed(request: Request, cells: list[Cell]) -> Request:
    """Return the request without the architectures and strategies that no cell has."""
    archs = tuple(dict.fromkeys(cell.arch for cell in cells))
    names = {cell.strategy for cell in cells}
    left = {name: one for name, one in request.strategies.items() if name in names}
    return replace(request, archs=archs, strategies=left)


# What travels to a worker. With slots, as joblib keeps with one worker what it can refer to weakly.


@dataclass(frozen=True, slots=True)
class _Source:
    """A trace, for a worker that may not see this machine's files."""

    file: str
    name: str
    operations: int
    digest: str


@dataclass(frozen=True, slots=True)
class _Task:
    key: Key
    trace: _Source
    strategy: str
    """name, or path of the C file"""
    files: tuple[tuple[str, bytes], ...]
    """of a user's own: what it consists of, by relative path, the C file first"""


def _source(plan: Plan) -> _Source:
    trace = plan.axes.trace
    return _Source(str(trace.path.resolve()), trace.name, len(trace), plan.trace_digest)


def _task(plan: Plan, cell: Cell) -> _Task:
    source = _source(plan)
    strategy = cell.request.strategies[cell.strategy]
    if not strategy.own:
        return _Task(cell.key, source, strategy.name, ())
    files = strategy_files(strategy)
    base = Path(os.path.commonpath([path.parent for path in files]))
    content = tuple((str(path.relative_to(base)), path.read_bytes()) for path in files)
    return _Task(cell.key, source, str(strategy.path), content)


# In a worker.


def _follow(parent: int) -> None:
    """Leave Ctrl-C to the parent, which ends this process; end, too, when it has been killed."""
    if os.getpid() == parent:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


_one_at_a_time = threading.Lock()
"""for workers of several threads, which a replay knows nothing of"""


def _compute_one(task: _Task) -> tuple[str, Record]:
    """Return the digest of a cell's key, and its record."""
    key = task.key
    with _one_at_a_time:
        trace = _trace(task.trace)
        request = Request(
            archs=(key["arch"],),
            strategies={key["strategy"]: _strategy(task)},
            trace=trace,
            geometry=key["geometry"],
            page_size=int(key["page size"]),
            cc=key["compiler family"],
            optimisation=key["optimisation"],
        )
        here = identify(request, key["arch"], key["strategy"], task.trace.digest)
        for name, value in key.items():
            if here[name] != value:
                raise ZsemuError(
                    f"worker on {platform.node()}: {name} is {here[name]!r} there and {value!r}"
                    " here: install the same on both"
                )
        doctor.ensure([target(key["arch"])])
        try:
            return digest(key), single(request, key["arch"], key["strategy"])
        except MemoryError:
            raise ZsemuError("out of memory: choose fewer --jobs or --operations") from None


@lru_cache(maxsize=1)
def _trace(source: _Source) -> TraceFile:
    """Find a trace here: by its path, among those of zsemu, or as the scheduler has brought it."""
    places = [Path(source.file), paths.TRACES / f"{source.name}{SUFFIX}"]
    # Not there in a process of this machine, nor without the extra.
    if (cluster := sys.modules.get("zsemu.runs.cluster")) is not None:
        places += cluster.delivered.get(source.digest, [])
    for place in places:
        if not place.is_file():
            continue
        try:
            found = TraceFile(place, source.operations)
            if found.digest() == source.digest:
                return found
        except ZsemuError:
            continue  # Of this name there is something else here.
    raise ZsemuError(f"{source.file}: has changed since the sweep began: start it again")


def _strategy(task: _Task) -> Strategy:
    """Return the strategy: where the sender has it if the same is there, else from its content."""
    if not task.files:
        return strategies.strategy(task.strategy)
    content = [each for _, each in task.files]
    path = Path(task.strategy)
    if path.is_file():
        found = strategies.strategy(str(path))
        if [each.read_bytes() for each in strategy_files(found)] == content:
            return found
    state = hashlib.sha256()
    for name, each in task.files:
        state.update(f"{name} {len(each)}\0".encode() + each)
    folder = cache_folder(f"strategies/{state.hexdigest()[:24]}")
    for name, each in task.files:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as stream:
            stream.write(each)
    return strategies.strategy(str(folder / task.files[0][0]))


# In the parent again.


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
    missing: dict[str, Cell] = {}
    for cell in plan.cells:
        if (record := store.load(cell.key)) is not None:
            records[digest(cell.key)] = record
        else:
            missing[digest(cell.key)] = cell
    computed = len(missing)
    if missing:
        own = [cell for cell in missing.values() if cell.request.strategies[cell.strategy].own]
        watch.stage("building", len(own))
        # Most of that time a compiler runs, for which this process just waits.
        for cell in _threads(jobs)(delayed(_build)(cell) for cell in own):
            watch.advanced(cell.name, 1)
        if cluster:
            _deliver(plan, cluster)
        else:
            build_library()
        watch.stage("computing", len(missing))
        with catch_warnings(), closing(_compute(plan, missing, jobs, cluster)) as found:
            # Of what an interruption cancels, and of memory when a process has died.
            filterwarnings("ignore", category=UserWarning, module="joblib")
            for which, record in found:
                cell = missing.pop(which)
                store.save(cell.key, cell.request, record)
                records[which] = record
                watch.advanced(cell.name, 1)
    documents = tuple(
        Document(
            provenance(matrix.request), tuple(records[digest(cell.key)] for cell in matrix.cells)
        )
        for matrix in plan.matrices
    )
    return Sweep(plan, documents, computed)


def _threads(jobs: int) -> Parallel:
    return Parallel(n_jobs=jobs, backend="threading", return_as="generator_unordered")


def _build(cell: Cell) -> Cell:
    request = cell.request
    build(
        target(cell.arch),
        request.strategies[cell.strategy],
        cc=request.cc,
        page_shift=request.page_shift,
        optimisation=request.optimisation,
    )
    return cell


def _deliver(plan: Plan, cluster: "Cluster") -> None:
    """Give the workers the trace, unless it is one that comes with zsemu."""
    file = plan.axes.trace.path
    if file.parent != paths.TRACES:
        cluster.deliver(plan.trace_digest, file)


def _compute(
    plan: Plan, missing: dict[str, Cell], jobs: int, cluster: "Cluster | None"
) -> Generator[tuple[str, Record], None, None]:
    """Yield the records of what is missing, which the caller strikes out, as they come."""
    deaths = 0
    while missing:
        left = len(missing)
        tasks = [delayed(_compute_one)(_task(plan, cell)) for cell in _ordered(missing.values())]
        try:
            # Closed at once, and the workers with it, whatever happens to the caller.
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
        initializer=_follow,
        initargs=(os.getpid(),),
        batch_size=1,
        return_as="generator_unordered",
    )


def _ordered(cells: Iterable[Cell]) -> list[Cell]:
    """Sort by placement, of which a worker keeps one."""

    def placement(cell: Cell) -> tuple[str, int, int]:
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
