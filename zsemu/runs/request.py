# SPDX-License-Identifier: GPL-2.0-only
"""Describe which cells of the matrix are wanted, over which trace, and refuse what cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import unicorn

import zsemu
from zsemu.caches.hierarchy import Hierarchy, find
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import compiler, options
from zsemu.guest.strategies import Strategy
from zsemu.guest.targets import Target, target
from zsemu.guest.targets import names as target_names
from zsemu.kernel.strategy import KernelStrategy
from zsemu.results.document import Compiler, KernelBuild, Provenance, Source
from zsemu.traces import file as trace_file
from zsemu.traces.file import TraceFile
from zsemu.traces.trace import Trace
from zsemu.zsmalloc.geometry import Geometry, geometry

_FIRST: Final = 1 << 12
"""operations that are read at a time to find out whether a trace maps anything"""


def label(strategies: Sequence[Strategy]) -> dict[str, Strategy]:
    """Return the strategies, each once and in order, by the names that results have for them.

    A user's own strategy is named after its file, such as ``mine.c``; no shipped one has such a
    name. A kernel's object is named after its file or folder, or as the user has named it. Two of
    the same name get a part of the digest of their content behind it.
    """
    distinct = list(dict.fromkeys(strategies))
    labels: dict[str, Strategy] = {}
    for one in distinct:
        name = one.label
        if one.own and sum(other.label == name for other in distinct) > 1:
            name = f"{name}@{one.digest[:8]}"
        labels.setdefault(name, one)
    return labels


@dataclass(frozen=True)
class Request:
    """What to replay, and how to compile it; every worker gets a copy."""

    archs: tuple[str, ...]
    strategies: dict[str, Strategy]
    """as label() names them"""
    trace: Trace | TraceFile
    geometry: str
    page_size: int = 4096
    cc: str = "zig"
    optimisation: str = "O2"
    caches: Hierarchy | None = None
    """those to model, if any"""

    @property
    def page_shift(self) -> int:
        """The binary logarithm of ``page_size``."""
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
    page_size: int | None = None,
    cc: str = "zig",
    optimisation: str = "O2",
    cache: str | None = None,
) -> Request:
    """Return the request for what a user names.

    No geometry stands for that of the trace's kernel, and no page size for its page size. No
    architecture stands for all on which all strategies can run: with a kernel's objects among them,
    for those that have an object, and with one that maps pages, for those whose MMU has such pages.
    ``cache`` describes caches to model, as zsemu.caches.hierarchy.find() takes it. ZsemuError for
    an unknown architecture or trace, if ``operations`` is not positive, and for caches that cannot
    be.
    """
    caches = None if cache is None else find(cache)
    if operations is not None and operations < 1:
        raise ZsemuError(f"{operations} operations: choose 1 or more")
    # Before the trace is read, which may take long.
    for name in archs:
        target(name)
    if isinstance(trace, str | Path):
        trace = TraceFile(trace_file.find(trace))
    page_size = page_size or trace.metadata.page_size
    return Request(
        archs=tuple(archs) or _archs(strategies, page_size),
        strategies=strategies,
        trace=trace if operations is None else trace.head(operations),
        geometry=geometry or trace.metadata.geometry,
        page_size=page_size,
        cc=cc,
        optimisation=optimisation,
        caches=caches,
    )


def _archs(strategies: dict[str, Strategy], page_size: int) -> tuple[str, ...]:
    """Return the architectures on which all strategies can run.

    If there are none that have such pages, all are returned, for :func:`check` to refuse.
    """
    every = target_names()
    found = tuple(
        arch
        for arch in every
        if all(one.runs_on(target(arch), page_size) for one in strategies.values())
    )
    found = found or every
    for name, one in strategies.items():
        if isinstance(one, KernelStrategy):
            common = tuple(arch for arch in found if arch in one.archs)
            if not common:
                raise ZsemuError(
                    f"{name}: an object of {', '.join(one.archs)}, and the other is of"
                    f" {', '.join(found)}: to compare them, put the objects of one kernel into a"
                    " folder, as ARCH/zsmalloc.o"
                )
            found = common
    return found


def check(request: Request) -> None:
    """Raise ZsemuError if a request cannot be replayed, as far as no compiler is needed to see."""
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
            if isinstance(strategy, KernelStrategy):
                strategy.ensure(arch, request.page_size)
                if request.caches:
                    raise ZsemuError(
                        f"{name} is a kernel's object, for which caches are not modelled: leave out"
                        " the object or --cache"
                    )
            if not strategy.runs_on(one, request.page_size):
                raise ZsemuError(
                    f"{name} maps pages, and {arch} has no pages of {request.page_size} bytes:"
                    " leave out one of the two with --arch or --strategy"
                )


def provenance(request: Request) -> Provenance:
    """Return what the results of a request depend on; ZsemuError for a missing compiler."""
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
        strategies={
            name: one.digest
            for name, one in request.strategies.items()
            if one.own and not isinstance(one, KernelStrategy)
        },
        kernels={
            name: {arch: _kernel_build(one, arch) for arch in request.archs if arch in one.archs}
            for name, one in request.strategies.items()
            if isinstance(one, KernelStrategy)
        },
        cache=str(request.caches or ""),
    )


def _kernel_build(strategy: KernelStrategy, arch: str) -> KernelBuild:
    kernel = strategy.object(arch)
    return KernelBuild(
        sha256=strategy.digest_of(arch),
        kernel=kernel.version,
        compiler=kernel.compiler,
        cpu_model=strategy.cpu_model(arch),
    )


def warnings(request: Request) -> list[str]:
    """Return how the chosen geometry or page size misleads on this trace, a line each."""
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
