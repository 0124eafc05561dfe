# SPDX-License-Identifier: GPL-2.0-only
"""Replay a trace through each strategy on each architecture, in parallel processes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from zsemu.caches.native_structures import library as build_model
from zsemu.counts import document
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import build
from zsemu.guest.hooks import build_library
from zsemu.guest.image import Image
from zsemu.guest.strategies import Strategy
from zsemu.guest.targets import target
from zsemu.kernel.counts import document as kernel_document
from zsemu.kernel.hooks import build_library as build_kernel_hooks
from zsemu.kernel.replay import KernelOutcome, KernelReplay
from zsemu.kernel.strategy import KernelStrategy
from zsemu.replay.key_numbers import library as build_key_numbers
from zsemu.replay.oracle import library as build_oracle
from zsemu.replay.placed_trace import PlacedStream, PlacedTrace, in_memory, place
from zsemu.replay.replay import Outcome, Replay
from zsemu.results.document import Document, Record
from zsemu.runs.pool import Pool, Report, Stages
from zsemu.runs.request import Request, check, provenance
from zsemu.traces.file import TraceFile
from zsemu.traces.trace import Trace
from zsemu.zsmalloc.geometry import Geometry

_LAST: Final = ("pgtable", "readwrite", "sg")
"""strategies whose replay is short: run last, they fill the time in which a long one ends"""


@dataclass(frozen=True)
class _Cell:
    arch: str
    strategy: str
    image: Path


@dataclass(frozen=True)
class _Found:
    scope_maps: dict[str, int]
    outcome: Outcome | KernelOutcome
    geometry: str
    """of the size classes that it was replayed under"""


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


def _urgency(request: Request, arch: str, name: str) -> tuple[Any, ...]:
    """Sort cells: unknown ones first, then by placement (a worker keeps one), long ones first."""
    one = target(arch)
    return (
        not request.strategies[name].own,
        one.word_bits == 32 and one.physical_bits,
        _LAST.index(name) + 1 if name in _LAST else 0,
    )


# In a worker.


def build_image(request: Request, arch: str, name: str) -> Path:
    """Compile a strategy of a request, or link a kernel's object, and return the image."""
    strategy = request.strategies[name]
    if isinstance(strategy, KernelStrategy):
        return strategy.facts(arch).linked.image.path
    return build(
        target(arch),
        strategy,
        cc=request.cc,
        page_shift=request.page_shift,
        optimisation=request.optimisation,
    )


def build_hooks(strategies: Iterable[Strategy]) -> None:
    """Compile the native hooks that some strategies need, and what a replay has of native code."""
    build_library()
    build_oracle()
    build_key_numbers()
    if any(isinstance(one, KernelStrategy) for one in strategies):
        build_kernel_hooks()


def _build(request: Request, cell: tuple[str, str], report: Report) -> Path:
    image = build_image(request, *cell)
    report(1)
    return image


def _build_hooks(request: Request, nothing: None, report: Report) -> None:
    build_hooks(request.strategies.values())
    if request.caches:
        build_model()


# One trace at a time: a Request, and so its trace, comes to a worker once.
_read = lru_cache(maxsize=1)(in_memory)


@lru_cache(maxsize=1)
def _work(trace: Trace | TraceFile, geometry: Geometry) -> PlacedTrace | PlacedStream:
    # Faster done again by every worker, a tenth of a second for a million operations, than handed
    # over.
    return place(_read(trace), geometry)


def _replay(request: Request, cell: _Cell, report: Report) -> _Found:
    one, strategy = target(cell.arch), request.strategies[cell.strategy]
    if isinstance(strategy, KernelStrategy):
        return _replay_kernel(request, strategy, cell.arch, report)
    placed = _work(request.trace, request.geometry_for(one))
    replay = Replay(Image(cell.image, one), placed, caches=request.caches, progress=report)
    outcome = replay.run()
    if not outcome.violation_count and not outcome.shapes:
        _trusted(strategy, cell.arch)
    return _Found(placed.scope_maps, outcome, request.geometry)


def _replay_kernel(request: Request, strategy: KernelStrategy, arch: str, report: Report) -> _Found:
    """Replay the trace through a kernel's own allocator, on the size classes that it has."""
    facts = strategy.facts(arch)
    placed = _work(request.trace, facts.geometry)
    outcome = KernelReplay(facts, placed, progress=report).run()
    return _Found(placed.scope_maps, outcome, facts.geometry.name)


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
    if isinstance(outcome, KernelOutcome):
        counts = kernel_document(outcome.sums, outcome.calls)
    else:
        counts = document(outcome.sums, outcome.cache)
    return Record(
        arch=arch,
        strategy=name,
        trace=request.trace.name,
        geometry=found.geometry,
        page_size=request.page_size,
        operations=len(request.trace),
        maps=maps["total"],
        spanning_maps=maps["spanning"],
        scope_maps=maps,
        shapes=outcome.shapes,
        violation_count=outcome.violation_count,
        violations=tuple(outcome.violations),
        counts=None if outcome.violation_count else counts,
        by_shape=None if outcome.violation_count else outcome.by_shape,
    )


def single(request: Request, arch: str, name: str) -> Record:
    """Build and replay one cell here, in this process."""

    def unheard(amount: int) -> None:
        pass

    image = build_image(request, arch, name)
    return _record(request, arch, name, _replay(request, _Cell(arch, name, image), unheard))


def run_here(request: Request, *, cell: Callable[[Request, str, str], Record] = single) -> Document:
    """Do as run() does, in this process: ``cell`` gives each record."""
    check(request)
    made_by = provenance(request)
    cells = [(arch, name) for arch in request.archs for name in request.strategies]
    return Document(made_by, tuple(cell(request, *each) for each in cells))
