# SPDX-License-Identifier: GPL-2.0-only
"""A small sweep, its files, and something to do while it runs: for the tests of sweeps."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from samples import busy_trace

from zsemu.guest.strategies import strategy
from zsemu.runs.cell_store import Store
from zsemu.runs.cluster import Cluster
from zsemu.runs.pool import Stages
from zsemu.runs.request import label
from zsemu.runs.sweep import Sweep, run, write
from zsemu.runs.sweep_plan import Axes, plan
from zsemu.traces import file as trace_file
from zsemu.traces.file import TraceFile

OPERATIONS = 300


def axes(directory: Path, *archs: str, strategies: str = "copy,swap", **more: object) -> Axes:
    """Return a small sweep, of a trace in a directory that only this test has."""
    file = directory / "short.npz"
    if not file.exists():
        trace_file.save(busy_trace(OPERATIONS), file)
    chosen = label([strategy(name) for name in strategies.split(",")])
    made = Axes(archs or ("arm",), chosen, TraceFile(file), ("chain-8",))
    return replace(made, **more)  # type: ignore[arg-type]


class After(Stages):
    """Does something once some results are there."""

    def __init__(self, count: int, action: Callable[[], None]) -> None:
        self._left, self._action = count, action

    def advanced(self, name: str, amount: int) -> None:
        self._left -= 1
        if self._left == 0:
            self._action()


def swept(
    directory: Path,
    what: Axes,
    *,
    jobs: int = 1,
    cluster: Cluster | None = None,
    watch: Stages | None = None,
) -> tuple[Sweep, dict[str, bytes]]:
    """Run a sweep; return it and every file that it has written, cells included."""
    made = run(plan(what), Store(directory / "cells"), jobs=jobs, cluster=cluster, watch=watch)
    write(made, directory)
    files = {str(p.relative_to(directory)): p for p in directory.rglob("*") if p.is_file()}
    return made, {name: path.read_bytes() for name, path in sorted(files.items())}
