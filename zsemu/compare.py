# SPDX-License-Identifier: GPL-2.0-only
"""Compare: the matrix of architectures and strategies over one trace, in parallel processes."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import unicorn

import zsemu
from zsemu import trace as traces
from zsemu.build import build, compiler, options
from zsemu.counts import document
from zsemu.errors import ZsemuError
from zsemu.geometry import Geometry, geometry
from zsemu.hooks import build_library
from zsemu.image import Image
from zsemu.pool import Pool, Report, Stages
from zsemu.replay import Outcome, Replay
from zsemu.results import Compiler, Document, Provenance, Record, Source
from zsemu.strategies import Strategy
from zsemu.targets import Target, target
from zsemu.targets import names as target_names
from zsemu.trace import Trace, TraceFile
from zsemu.work import Stream, Work, work

_COMMENT: Final = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)

_FIRST: Final = 1 << 12
"""operations among which a map is looked for at a time"""
_LAST: Final = ("pgtable", "readwrite", "sg")
"""the strategies whose replay is short: best run when there is nothing left to run beside them"""


def label(strategies: Sequence[Strategy]) -> dict[str, Strategy]:
    """Give every strategy the name that results have for it, in order, each once.

    A user's own is named as its file, ``mine.c``: no shipped one has such a name. Two files of one
    name are told apart by their content.
    """
    distinct = list(dict.fromkeys(strategies))
    labels: dict[str, Strategy] = {}
    for one in distinct:
        name = one.path.name if one.own else one.name
        if sum(other.own and other.path.name == name for other in distinct) > 1:
            name = f"{name}@{one.digest[:8]}"
        labels.setdefault(name, one)
    return labels


@dataclass(frozen=True)
class Request:
    """What to compare; every worker gets a copy."""

    archs: tuple[str, ...]
    strategies: dict[str, Strategy]
    """as label() names them"""
    trace: Trace | TraceFile
    geometry: str
    page_size: int = 4096
    cc: str = "zig"
    optimisation: str = "O2"

    @property
    def page_shift(self) -> int:
        """Of ``page_size``."""
        return self.page_size.bit_length() - 1

    def geometry_for(self, target: Target) -> Geometry:
        """Return the size classes on a target; ZsemuError for an unknown geometry or page size."""
        # On 64-bit the physical address bits change nothing, and so those targets share one.
        bits = target.physical_bits if target.word_bits == 32 else None
        return geometry(
            self.geometry,
            page_size=self.page_size,
            word_bits=target.word_bits,
            physical_bits=bits,
        )


def request(
    *,
    archs: Sequence[str],
    strategies: dict[str, Strategy],
    trace: str | Path | Trace | TraceFile,
    operations: int | None = None,
    geometry: str | None = None,
    page_size: int = 4096,
    cc: str = "zig",
    optimisation: str = "O2",
) -> Request:
    """Return the request for what users name: no architecture is all, no geometry the trace's.

    ZsemuError for an unknown architecture or trace, and if ``operations`` is not positive.
    """
    if operations is not None and operations < 1:
        raise ZsemuError(f"{operations} operations: choose 1 or more")
    # Before the trace: what is quickly seen to be wrong is said at once.
    for name in archs:
        target(name)
    if isinstance(trace, str | Path):
        trace = TraceFile(traces.find(trace))
    return Request(
        archs=tuple(archs) or target_names(),
        strategies=strategies,
        trace=trace if operations is None else trace.head(operations),
        geometry=geometry or trace.metadata.geometry,
        page_size=page_size,
        cc=cc,
        optimisation=optimisation,
    )


@dataclass(frozen=True)
class _Cell:
    arch: str
    strategy: str
    image: Path


@dataclass(frozen=True)
class _Found:
    scope_maps: dict[str, int]
    outcome: Outcome


def run(request: Request, *, jobs: int, watch: Stages | None = None) -> Document:
    """Build all images, then replay the trace through each; the result does not depend on ``jobs``.

    ZsemuError for what cannot be compared, and a C file that does not compile, before anything is
    replayed.
    """
    watch = watch or Stages()
    check(request)
    made_by = provenance(request)
    with Pool(jobs, request) as pool:
        images: dict[str, Path] = {}
        cells = [(arch, name) for arch in request.archs for name in request.strategies]
        watch.stage("building", len(cells))
        # First the user's own, which may not compile: then nothing else has been built in vain.
        for own in (True, False):
            tasks = {
                f"{arch} {name}": (arch, name)
                for arch, name in cells
                if request.strategies[name].own == own
            }
            images |= pool.run(_build, tasks, watch)
        pool.run(_build_hooks, {"native hooks": None})

        watch.stage("replaying", len(cells) * len(request.trace))
        found = pool.run(
            _replay,
            {
                f"{arch} {name}": _Cell(arch, name, images[f"{arch} {name}"])
                for arch, name in sorted(cells, key=lambda cell: _urgency(request, *cell))
            },
            watch,
        )
    records = tuple(_record(request, arch, name, found[f"{arch} {name}"]) for arch, name in cells)
    return Document(made_by, records)


def check(request: Request) -> None:
    """Raise ZsemuError for what cannot be compared, as far as that is seen without a compiler."""
    trace = request.trace
    if not any(part.trace.maps.any() for part in trace.parts(_FIRST)):
        raise ZsemuError(
            f"the {len(trace)} operations of trace {trace.name} map nothing:"
            " choose more with --operations, or another trace"
        )
    for arch in request.archs:
        one = target(arch)
        request.geometry_for(one)
        for name, strategy in request.strategies.items():
            if not has_pages(one, strategy, request.page_size):
                raise ZsemuError(
                    f"{name} maps pages, and {arch} has no pages of {request.page_size} bytes:"
                    " leave out one of the two with --arch or --strategy"
                )


def has_pages(target: Target, strategy: Strategy, page_size: int) -> bool:
    """Say whether a target's MMU has the pages that a strategy needs, if it needs any."""
    return page_size in (1 << shift for shift in target.page_shifts) or not strategy.needs_window


def _urgency(request: Request, arch: str, name: str) -> tuple[Any, ...]:
    """Sort cells: unknown ones first, then by placement (a worker keeps one), long ones first."""
    one = target(arch)
    return (
        not request.strategies[name].own,
        one.word_bits == 32 and one.physical_bits,
        _LAST.index(name) + 1 if name in _LAST else 0,
    )


def provenance(request: Request) -> Provenance:
    """Return what the results of a request depend on; its compilers must be there."""
    compilers = {}
    for arch in request.archs:
        one = target(arch)
        found = compiler(request.cc, one)
        compilers[arch] = Compiler(
            found.version, options(found, one, request.page_shift, request.optimisation)
        )
    trace, metadata = request.trace, request.trace.metadata
    return Provenance(
        zsemu=zsemu.__version__,
        unicorn=unicorn.__version__,
        compilers=compilers,
        cpu_models={arch: target(arch).cpu_model for arch in request.archs},
        traces={
            trace.name: Source(
                sha256=trace.digest(),
                kernel=metadata.kernel,
                geometry=metadata.geometry,
                page_size=metadata.page_size,
                provenance=metadata.provenance,
            )
        },
        strategies={name: s.digest for name, s in request.strategies.items() if s.own},
    )


# In a worker.


def _build(request: Request, cell: tuple[str, str], report: Report) -> Path:
    arch, name = cell
    image = build(
        target(arch),
        request.strategies[name],
        cc=request.cc,
        page_shift=request.page_shift,
        optimisation=request.optimisation,
    )
    report(1)
    return image


def _build_hooks(request: Request, nothing: None, report: Report) -> None:
    build_library()


# One trace at a time: a Request, and so its trace, comes to a worker once.
@lru_cache(maxsize=1)
def _work(trace: Trace | TraceFile, geometry: Geometry) -> Work | Stream:
    # Faster done again by every worker, half a second for a million operations, than handed over.
    return work(trace, geometry)


def _replay(request: Request, cell: _Cell, report: Report) -> _Found:
    one = target(cell.arch)
    placed = _work(request.trace, request.geometry_for(one))
    outcome = Replay(Image(cell.image, one), placed, progress=report).run()
    if not outcome.violation_count and not outcome.shapes:
        _trusted(request.strategies[cell.strategy], cell.arch)
    return _Found(placed.scope_maps, outcome)


def _trusted(strategy: Strategy, arch: str) -> None:
    """Raise ZsemuError for a shipped strategy whose cost turned out to be no function of shapes."""
    if not strategy.own:
        raise ZsemuError(
            f"{strategy.name} on {arch}: what the shapes sum up to is not what block hits say, and"
            " every shipped strategy is a function of its shape: a bug in zsemu"
        )


# In the parent again.


def _record(request: Request, arch: str, name: str, found: _Found) -> Record:
    outcome, maps = found.outcome, found.scope_maps
    return Record(
        arch=arch,
        strategy=name,
        trace=request.trace.name,
        geometry=request.geometry,
        page_size=request.page_size,
        operations=len(request.trace),
        maps=maps["total"],
        spanning_maps=maps["spanning"],
        scope_maps=maps,
        shapes=outcome.shapes,
        violation_count=outcome.violation_count,
        violations=tuple(outcome.violations),
        counts=None if outcome.violation_count else document(outcome.sums),
        by_shape=None if outcome.violation_count else outcome.by_shape,
    )


def single(request: Request, arch: str, name: str) -> Record:
    """Build and replay one cell here, in this process."""

    def unheard(amount: int) -> None:
        pass

    image = _build(request, (arch, name), unheard)
    return _record(request, arch, name, _replay(request, _Cell(arch, name, image), unheard))


def run_here(request: Request, *, cell: Callable[[Request, str, str], Record] = single) -> Document:
    """Do as run() does, in this process: ``cell`` gives each record."""
    check(request)
    made_by = provenance(request)
    cells = [(arch, name) for arch in request.archs for name in request.strategies]
    return Document(made_by, tuple(cell(request, *each) for each in cells))


def warnings(request: Request) -> list[str]:
    """Return in what the choice of geometry and page size misleads on this trace, a line each."""
    metadata, name = request.trace.metadata, request.trace.name
    if request.page_size != metadata.page_size:
        return [
            f"{name} was recorded with pages of {metadata.page_size} bytes: its sizes mean little"
            f" with pages of {request.page_size}"
        ]
    recorded = geometry(metadata.geometry, page_size=metadata.page_size).huge_class_size
    now = geometry(request.geometry, page_size=request.page_size).huge_class_size
    if now <= recorded:
        return []
    return [
        f"{name} was recorded under {metadata.geometry}, where objects of {recorded} bytes or more"
        f" are stored as whole pages: the size classes from {recorded} to {now - 1} bytes of"
        f" {request.geometry} stay empty"
    ]
