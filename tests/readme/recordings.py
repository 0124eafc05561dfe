# SPDX-License-Identifier: GPL-2.0-only
"""The recordings side by side: what each asked of zsmalloc, and what the strategies cost on it.

All of it is of one architecture, the only one whose MMU has the pages of every recording.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

import numpy as np

from zsemu.reports.matrix import WHOLE, Matrix, Measure
from zsemu.results.document import Document
from zsemu.results.limits import BYTES
from zsemu.traces import file as trace_file
from zsemu.traces.operation import Operation
from zsemu.traces.trace import Trace
from zsemu.zsmalloc.geometry import Geometry, geometry

ARCH: Final = "aarch64"
RECORDINGS: Final = ("compile-zstd", "sqlite-lzo-rle", "redis-zswap", "numpy-16k")
_LEFT, _COLUMN = 19, 15


@cache
def _trace(name: str) -> Trace:
    return trace_file.load(trace_file.find(name))


def recorded_geometry(name: str) -> Geometry:
    """Return the size classes of a recording's kernel."""
    one = _trace(name).metadata
    return geometry(one.geometry, page_size=one.page_size)


def share(part: float) -> str:
    return f"{100 * part:.1f} %"


def _mode(kind: Operation) -> Callable[[str], str]:
    def of(name: str) -> str:
        one = _trace(name)
        return share(float(np.mean(one.operation[one.maps] == kind)))

    return of


def quantile(name: str, part: float) -> int:
    """Return a quantile of the lengths of a recording's objects, each counted once."""
    one = _trace(name)
    lengths = one.length[one.operation == Operation.ALLOCATE]
    return int(np.quantile(lengths, part, method="nearest"))


def slots_that_span(name: str) -> float:
    """Return the share of all slots of a recording's size classes, each counted once, that span."""
    return float(np.mean(recorded_geometry(name).slots.spans))


def maps_that_span(matrix: Matrix) -> float:
    """Return the share of maps that are of spanning objects."""
    record = matrix.records[ARCH, "copy"]
    return record.spanning_maps / record.maps


_WHAT: Final[dict[str, Callable[[str], str]]] = {
    "kernel": lambda name: _trace(name).metadata.kernel.partition("+")[0],
    "pages": lambda name: f"{_trace(name).page_size >> 10} KiB",
    "geometry": lambda name: _trace(name).metadata.geometry,
    "size classes": lambda name: str(len(recorded_geometry(name).classes)),
    "huge from": lambda name: f"{recorded_geometry(name).huge_class_size} B",
    "map/unmap pairs": lambda name: str(int(np.count_nonzero(_trace(name).maps))),
    "read-only": _mode(Operation.READ),
    "write-only": _mode(Operation.WRITE),
    "length, 1st decile": lambda name: f"{quantile(name, 0.1)} B",
    "median": lambda name: f"{quantile(name, 0.5)} B",
    "9th decile": lambda name: f"{quantile(name, 0.9)} B",
    "slots that span": lambda name: share(slots_that_span(name)),
}


def mean(matrix: Matrix, scope: str, strategy: str) -> float:
    """Return the bytes that a strategy moves for one map, with the access."""
    figure = matrix.figure(Measure(BYTES, scope, WHOLE), ARCH, strategy)
    assert figure is not None, f"{strategy} is broken"
    return figure


def ranked(matrix: Matrix, scope: str) -> list[tuple[str, float]]:
    """Return the strategies and their ratios to copy, the one with the fewest bytes first."""
    base = mean(matrix, scope, "copy")
    found = [(name, mean(matrix, scope, name) / base) for name in matrix.strategies]
    return sorted(found, key=lambda pair: pair[1])


def table(results: Callable[[str], Document]) -> str:
    """Return the table; ``results`` gives what was measured on a recording."""
    matrices = {name: Matrix(results(name), "copy") for name in RECORDINGS}
    lines = [_row("", RECORDINGS)]
    lines += [_row(what, map(of, RECORDINGS)) for what, of in _WHAT.items()]
    spans = (share(maps_that_span(matrices[name])) for name in RECORDINGS)
    lines.append(_row("maps that span", spans))
    for scope, title in (("total", "all maps"), ("spanning", "spanning maps")):
        orders = {name: ranked(matrices[name], scope) for name in RECORDINGS}
        lines += ["", f"bytes of {WHOLE}, ratio to copy and rank: {title}, {ARCH}"]
        for strategy in matrices[RECORDINGS[0]].strategies:
            lines.append(_row(strategy, (_place(orders[name], strategy) for name in RECORDINGS)))
        means = (mean(matrices[name], scope, "copy") for name in RECORDINGS)
        lines.append(_row("1.00 is", (f"{figure:.0f} B   " for figure in means)))
    return "\n".join([*lines, ""])


def _place(order: list[tuple[str, float]], strategy: str) -> str:
    rank = next(at for at, (name, _) in enumerate(order, 1) if name == strategy)
    return f"{dict(order)[strategy]:.2f}  {rank}"


def _row(label: str, cells: Iterable[str]) -> str:
    return "".join([label.ljust(_LEFT), *(f"{cell:>{_COLUMN}}" for cell in cells)]).rstrip()
