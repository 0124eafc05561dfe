# SPDX-License-Identifier: GPL-2.0-only
"""Compute one cell of a sweep in a worker, a process that may be on another machine.

A worker elsewhere has zsemu and the compilers, but no file of this machine. A :class:`Task` holds
all that it needs to compute the same record, and the worker refuses the task if anything that the
record depends on is different there.
"""

import hashlib
import os
import platform
import signal
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from zsemu import paths
from zsemu.errors import ZsemuError
from zsemu.guest import strategies
from zsemu.guest.compiler import cache_folder
from zsemu.guest.strategies import Strategy, strategy_files
from zsemu.guest.targets import target
from zsemu.kernel.object import files as kernel_files
from zsemu.kernel.strategy import KernelStrategy
from zsemu.kernel.strategy import strategy as kernel_strategy
from zsemu.paths import replacing
from zsemu.results.document import Record
from zsemu.runs import doctor
from zsemu.runs.cell_store import Key, digest, identify
from zsemu.runs.compare import single
from zsemu.runs.request import Request
from zsemu.runs.sweep_plan import Plan, PlannedCell
from zsemu.traces.file import SUFFIX, TraceFile

delivered: dict[str, Path] = {}
"""on a worker of a cluster: the trace files that were brought to it, by the trace's digest"""

# What travels to a worker has slots: joblib sends an object that it can refer to weakly always to
# the same worker.


@dataclass(frozen=True, slots=True)
class TraceSource:
    """A trace, for a worker that may not see this machine's files."""

    file: str
    """absolute path on the machine that sends it"""
    name: str
    operations: int
    digest: str
    """SHA-256 of its columns, hexadecimal"""


@dataclass(frozen=True, slots=True)
class Task:
    """One cell, as it is sent to a worker."""

    key: Key
    trace: TraceSource
    strategy: str
    """the name of a shipped strategy, or the path of the user's C file or object"""
    files: tuple[tuple[str, bytes], ...]
    """relative path and content of each file of a user's strategy, that at this path first; empty
    for a shipped one"""
    kernel: str = ""
    """of a kernel's object, what stands around its path: ``NAME=`` and ``+lse``, with ``%s``"""


# In the process that sends.


def task(plan: Plan, cell: PlannedCell) -> Task:
    """Return the task that computes a cell of a plan."""
    trace, strategy = plan.axes.trace, cell.request.strategies[cell.strategy]
    source = TraceSource(str(trace.path.resolve()), trace.name, len(trace), plan.trace_digest)
    if not strategy.own:
        return Task(cell.key, source, strategy.name, ())
    files, around = _files(strategy, cell.arch), ""
    if isinstance(strategy, KernelStrategy):
        around = f"{strategy.name}=%s{'+lse' if strategy.lse else ''}"
    base = Path(os.path.commonpath([path.parent for path in files]))
    content = tuple((str(path.relative_to(base)), path.read_bytes()) for path in files)
    return Task(cell.key, source, str(files[0]), content, around)


def _files(strategy: Strategy, arch: str) -> list[Path]:
    """Return the files of a user's strategy that an architecture needs."""
    if isinstance(strategy, KernelStrategy):
        return kernel_files(strategy.object(arch))
    return strategy_files(strategy)


# In the worker.


def follow(parent: int) -> None:
    """Leave Ctrl-C to the parent, which ends this process, and end when the parent is gone.

    ``parent`` is the process id of the parent. Nothing is done in the parent itself, where joblib
    calls this, too, if it needs no other process.
    """
    if os.getpid() == parent:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


_one_at_a_time = threading.Lock()
"""held during a replay, since a worker of Dask may have several threads"""


def compute(task: Task) -> tuple[str, Record]:
    """Return the digest of a cell's key, and its record.

    ZsemuError if this worker has another compiler, Unicorn or zsemu than the sender, if it does not
    find the trace, and if memory runs out.
    """
    key = task.key
    with _one_at_a_time:
        trace = find_trace(task.trace)
        request = Request(
            archs=(key["arch"],),
            strategies={key["strategy"]: find_strategy(task)},
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
def find_trace(source: TraceSource) -> TraceFile:
    """Find a trace here: by its path, among those of zsemu, or where a cluster has brought it.

    ZsemuError if none of these files holds it.
    """
    places = [Path(source.file), paths.TRACES / f"{source.name}{SUFFIX}"]
    if (brought := delivered.get(source.digest)) is not None:
        places.append(brought)
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


def find_strategy(task: Task) -> Strategy:
    """Return a task's strategy.

    A user's is taken from the sender's path if the same files are there, else written anew from
    their content, into the cache.
    """
    if not task.files:
        return strategies.strategy(task.strategy)
    content = [each for _, each in task.files]
    if Path(task.strategy).is_file():
        found = _own(task, Path(task.strategy))
        there = _files(found, task.key["arch"])
        if [each.read_bytes() for each in there] == content:
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
    return _own(task, folder / task.files[0][0])


def _own(task: Task, path: Path) -> Strategy:
    """Return a user's strategy at a path, which need not be that of the task."""
    if task.kernel:
        return kernel_strategy(task.kernel % path)
    return strategies.strategy(str(path))
