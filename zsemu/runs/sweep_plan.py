# SPDX-License-Identifier: GPL-2.0-only
"""Plan a sweep: which cells there are to compute, and which combinations cannot be.

A sweep has one matrix of architectures and strategies for each compiler, optimisation level,
geometry and page size. Nothing is compiled or replayed to plan it, except that a kernel's object is
run to find out the size of its pages.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from zsemu.errors import ZsemuError
from zsemu.guest.compiler import COMPILERS, OPTIMISATIONS
from zsemu.guest.strategies import Strategy
from zsemu.guest.targets import target
from zsemu.kernel.strategy import KernelStrategy
from zsemu.runs.cell_store import Key, identify
from zsemu.runs.request import Request, check, provenance, warnings
from zsemu.traces.file import TraceFile
from zsemu.zsmalloc.geometry import NAMES, PAGE_SIZES

_PART: Final = 1 << 20
"""operations of a trace whose lengths are read at a time"""


@dataclass(frozen=True)
class Axes:
    """The values that a sweep combines."""

    archs: tuple[str, ...]
    strategies: dict[str, Strategy]
    """as request.label() names them"""
    trace: TraceFile
    geometries: tuple[str, ...]
    page_sizes: tuple[int, ...] = (4096,)
    compilers: tuple[str, ...] = ("zig",)
    optimisations: tuple[str, ...] = ("O2",)


@dataclass(frozen=True)
class PlannedCell:
    """One record to be computed: one strategy on one architecture of one matrix."""

    request: Request
    """that of the whole matrix, which may have more architectures and strategies"""
    arch: str
    strategy: str
    key: Key
    """what the record depends on, by which the cell store knows it"""

    @property
    def name(self) -> str:
        """The cell in words, for progress and errors."""
        request = self.request
        return (
            f"{self.arch} {self.strategy} {request.cc} {request.optimisation}"
            f" {request.geometry} {request.page_size}"
        )


@dataclass(frozen=True)
class PlannedMatrix:
    """The cells of one compiler, optimisation level, geometry and page size: one document."""

    request: Request
    """only the architectures and strategies of which there is a cell"""
    cells: tuple[PlannedCell, ...]
    """in the order of the document's records"""

    @property
    def file(self) -> str:
        """The name of the document's file."""
        one = self.request
        name = (one.trace.name, one.cc, one.optimisation, one.geometry, str(one.page_size))
        return f"{'-'.join(name)}.json"


@dataclass(frozen=True)
class Plan:
    """All cells of a sweep, and what was left out of it."""

    axes: Axes
    trace_digest: str
    """SHA-256 of the trace's columns, hexadecimal"""
    matrices: tuple[PlannedMatrix, ...]
    left_out: tuple[str, ...]
    """why a combination cannot be and on which architectures, a line for each reason"""
    warnings: tuple[str, ...]
    """where a geometry or page size misleads on this trace, a line each"""

    @property
    def cells(self) -> list[PlannedCell]:
        """The cells of all matrices."""
        return [cell for matrix in self.matrices for cell in matrix.cells]


def plan(axes: Axes) -> Plan:
    """Lay out the cells of a sweep.

    ZsemuError for what is no value of its axis, a trace that maps nothing, a compiler that is not
    installed, and if no combination is left.
    """
    # A request without architectures: only that the trace maps something is checked.
    check(Request((), {}, axes.trace, axes.trace.metadata.geometry))
    _check_values("geometry", axes.geometries, NAMES)
    _check_values("page size", axes.page_sizes, PAGE_SIZES)
    _check_values("compiler", axes.compilers, COMPILERS)
    _check_values("optimisation level", axes.optimisations, OPTIMISATIONS)
    trace_digest = axes.trace.digest()
    longest = _longest(axes)
    matrices = []
    impossible: dict[str, dict[str, None]] = {}
    for request in _requests(axes):
        provenance(request)  # Finds the compiler of every architecture, needed or not.
        cells = []
        for arch, name in product(axes.archs, axes.strategies):
            if why := _impossible(request, arch, name, longest):
                impossible.setdefault(why, {})[arch] = None
            else:
                key = identify(request, arch, name, trace_digest)
                cells.append(PlannedCell(request, arch, name, key))
        if cells:
            matrices.append(PlannedMatrix(_narrowed(request, cells), tuple(cells)))
    left_out = tuple(f"{why}: {', '.join(archs)}" for why, archs in impossible.items())
    if not matrices:
        raise ZsemuError(f"nothing is left to compute: {'; '.join(left_out)}")
    lines = [line for matrix in matrices for line in warnings(matrix.request)]
    return Plan(axes, trace_digest, tuple(matrices), left_out, tuple(dict.fromkeys(lines)))


def _requests(axes: Axes) -> list[Request]:
    """Return the request of every matrix, with all architectures and strategies."""
    return [
        Request(
            archs=axes.archs,
            strategies=axes.strategies,
            trace=axes.trace,
            geometry=geometry,
            page_size=page_size,
            cc=cc,
            optimisation=optimisation,
        )
        for cc, optimisation, geometry, page_size in product(
            axes.compilers, axes.optimisations, axes.geometries, axes.page_sizes
        )
    ]


def _longest(axes: Axes) -> int:
    """Return the length of the trace's longest object in bytes.

    Where no page size is below the one that the trace was recorded with, that size is returned
    instead: every object fits, and the trace need not be read.
    """
    recorded = axes.trace.metadata.page_size
    if min(axes.page_sizes) >= recorded:
        return recorded
    return max(int(part.trace.length.max()) for part in axes.trace.parts(_PART))


def _check_values(what: str, values: Iterable[object], choices: tuple[object, ...]) -> None:
    for value in values:
        if value not in choices:
            raise ZsemuError(f"unknown {what} {value}; choose of {', '.join(map(str, choices))}")


def _impossible(request: Request, arch: str, name: str, longest: int) -> str | None:
    """Return why a cell cannot be computed, in the same words for every architecture; else None.

    ``longest`` is what _longest() returns.
    """
    one, strategy = target(arch), request.strategies[name]
    if isinstance(strategy, KernelStrategy):
        if arch not in strategy.archs:
            return f"{name} has no object of these"
        if request.page_size != (mine := strategy.page_size(arch)):
            return f"{name} is of a kernel with pages of {mine} bytes"
    if not strategy.runs_on(one, request.page_size):
        return f"{name} maps pages, and these have none of {request.page_size} bytes"
    if longest > request.page_size:
        return f"objects of up to {longest} bytes do not fit pages of {request.page_size}"
    try:
        request.geometry_for(one)
    except ZsemuError as error:
        return str(error)
    return None


def _narrowed(request: Request, cells: list[PlannedCell]) -> Request:
    """Return the request without the architectures and strategies that no cell has."""
    archs = tuple(dict.fromkeys(cell.arch for cell in cells))
    names = {cell.strategy for cell in cells}
    left = {name: one for name, one in request.strategies.items() if name in names}
    return replace(request, archs=archs, strategies=left)
