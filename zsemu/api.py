# SPDX-License-Identifier: GPL-2.0-only
"""The calls for programs: what the command line does, in a line or two of Python.

``zsemu`` itself has them and the classes that they give, under names that stay: see its
``__all__``, and zsemu/README.md for examples.
"""

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

from zsemu.guest import strategies, targets
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import Strategy
from zsemu.kernel.strategy import strategy
from zsemu.paths import DEFAULT_TRACE
from zsemu.replay import placed_trace
from zsemu.replay.placed_trace import PlacedStream, PlacedTrace
from zsemu.results.diff import Diff, diff
from zsemu.results.document import Document, Record
from zsemu.results.limits import parse
from zsemu.runs import compare, doctor
from zsemu.runs import request as requests
from zsemu.traces import file as trace_file
from zsemu.traces.file import TraceFile
from zsemu.traces.trace import Trace

Work = PlacedTrace
"""the name by which programs know a placed trace"""


def _strategy(one: str | Path | Strategy) -> Strategy:
    return one if isinstance(one, Strategy) else strategy(str(one))


def run(
    *strategy: str | Path | Strategy,
    arch: str | Iterable[str] = (),
    trace: str | Path | Trace | TraceFile = DEFAULT_TRACE,
    operations: int | None = None,
    geometry: str | None = None,
    page_size: int | None = None,
    cc: str = "zig",
    optimisation: str = "O2",
    cache: str | None = None,
    jobs: int = 1,
    cell: Callable[[requests.Request, str, str], Record] = compare.single,
) -> Document:
    """Replay a trace through strategies on architectures, as ``zsemu compare`` does.

    ``strategy``: shipped ones by name, others by the path of their C file; none is all shipped.
    ``arch``: names of architectures; none is all on which these strategies can run. ``trace``: one
    of zsemu's own by name, a trace file by its path, or a trace; of it the first ``operations``, or
    all. ``geometry``: 2012, chain-4, chain-8 or chain-16; ``page_size``: 4096, 16384 or 65536
    bytes; None are those of the kernel that the trace was recorded on. ``cc``: zig, gcc or clang.
    ``optimisation``: O0, O1, O2, O3 or Os. ``cache``: caches to model, such as
    ``l1=32K:8,l2=512K:8`` or a name of zsemu.caches.hierarchy.PRESETS.

    With one of ``jobs`` all runs in this process, and ``cell`` gives each record: replace it to
    keep records, for instance. More are worker processes, for which a program must guard its start
    with ``if __name__ == "__main__":``, as for multiprocessing.

    A record for each architecture and strategy comes back, in the order in which they were given;
    one with violations has no counts. ZsemuError for bad input, for a C file that does not compile
    (its ``detail`` has the command and the compiler's words), and for a machine on which counts
    cannot be trusted.
    """
    chosen = [_strategy(one) for one in strategy or strategies.names()]
    asked = requests.request(
        archs=[arch] if isinstance(arch, str) else tuple(dict.fromkeys(arch)),
        strategies=requests.label(chosen),
        trace=trace,
        operations=operations,
        geometry=geometry,
        page_size=page_size,
        cc=cc,
        optimisation=optimisation,
        cache=cache,
    )
    requests.check(asked)
    for line in requests.warnings(asked):
        warnings.warn(line, stacklevel=2)
    doctor.ensure(map(targets.target, asked.archs))
    return compare.run_here(asked, cell=cell) if jobs == 1 else compare.run(asked, jobs=jobs)


def diff_results(
    base: Document,
    new: Document,
    *,
    limits: Iterable[str] = (),
    scopes: Iterable[str] = ("total",),
    force: bool = False,
) -> Diff:
    """Return what moved between two documents, as ``zsemu diff`` does.

    ``limits`` are texts as zsemu.results.limits has them, ``scopes`` names of zsemu.counts.SCOPES.
    ZsemuError if the documents must not be compared, unless by ``force``, and for a bad limit.
    """
    parsed = [parse(text) for text in limits]
    return diff(base, new, limits=parsed, scopes=tuple(scopes), force=force)


def load_trace(name: str | Path, operations: int | None = None) -> Trace:
    """Return a trace of zsemu's own, or one in a file; of it the first ``operations``."""
    trace = trace_file.load(trace_file.find(name))
    return trace if operations is None else trace.head(operations)


def build_image(
    strategy: str | Path | Strategy,
    arch: str,
    *,
    page_size: int = 4096,
    cc: str = "zig",
    optimisation: str = "O2",
) -> Image:
    """Return a strategy compiled for an architecture: its ELF file, symbols and instructions.

    ZsemuError as run() has it.
    """
    target = targets.target(arch)
    path = build(
        target,
        _strategy(strategy),
        cc=cc,
        page_shift=page_size.bit_length() - 1,
        optimisation=optimisation,
    )
    return Image(path, target)


def place(
    trace: str | Path | Trace | TraceFile,
    arch: str,
    *,
    geometry: str | None = None,
    page_size: int | None = None,
) -> PlacedTrace | PlacedStream:
    """Return a trace with its objects placed as the kernel of an architecture would: for Replay.

    ``geometry``, ``page_size`` and errors as in run().
    """
    asked = requests.request(
        archs=[arch], strategies={}, trace=trace, geometry=geometry, page_size=page_size
    )
    return placed_trace.place(asked.trace, asked.geometry_for(targets.target(arch)))
