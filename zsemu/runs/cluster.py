# SPDX-License-Identifier: GPL-2.0-only
"""Send tasks to the workers of a Dask scheduler, and bring them the files that they lack.

Tasks go through joblib's Dask backend, which is changed so that no task is lost. The module needs
the extra ``zsemu[cluster]``, and the workers import it as well.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from distributed import Client, KilledWorker, Worker, WorkerPlugin
from joblib import Parallel
from joblib._dask import DaskDistributedBackend
from joblib.externals.loky.process_executor import TerminatedWorkerError

from zsemu.errors import ZsemuError
from zsemu.paths import replacing
from zsemu.runs.sweep_worker import delivered

PATIENCE: Final = 10
"""seconds in which the scheduler and a worker must answer; joblib waits as long for workers"""


class Delivery(WorkerPlugin):  # type: ignore[misc]
    """Brings a file to every worker, also to those that join later. Dask calls this a plugin.

    If the file were an argument of the tasks, it would travel with each of them. If it were
    scattered as data, it would be lost with the one worker that holds it.
    """

    def __init__(self, name: str, file: str, content: bytes) -> None:
        self.name = f"zsemu-{name}"
        self._name, self._file, self._content = name, file, content

    def setup(self, worker: Worker) -> None:
        """Write the file where Dask clears it away when the worker ends."""
        path = Path(worker.local_directory) / self._name / self._file
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as stream:
            stream.write(self._content)
        delivered[self._name] = path


@dataclass(frozen=True)
class _Lost:
    """A task that Dask gave up: it gave no result and raised nothing itself."""

    error: BaseException


class _Backend(DaskDistributedBackend):  # type: ignore[misc]
    """joblib's Dask backend without two faults that it has in joblib 1.6.

    That backend waits for ever for a task that Dask has given up, because Dask does not tell it.
    And it computes everything in this process if the cluster has only one thread when it begins.
    """

    def effective_n_jobs(self, n_jobs: int) -> int:
        threads: int = super().effective_n_jobs(n_jobs)
        return max(2, threads)

    def submit(self, func: object, callback: Callable[[object], None]) -> "Future[object]":
        future: Future[object] = super().submit(func, callback)

        def tell(done: "Future[object]") -> None:
            if (error := done.exception()) is not None:
                callback(_Lost(error))

        future.add_done_callback(tell)
        return future

    def retrieve_result_callback(self, out: object) -> object:
        if isinstance(out, _Lost):
            out = out.error
        if isinstance(out, (KilledWorker, CancelledError, asyncio.CancelledError)):
            # The error that joblib raises when one of its own processes dies.
            raise TerminatedWorkerError(str(out)) from out
        if isinstance(out, BaseException):
            raise ZsemuError(
                "the cluster's workers cannot take up a cell: see that the same zsemu is installed"
                " there, and the same Dask",
                detail=f"{type(out).__name__}: {out}",
            ) from out
        return super().retrieve_result_callback(out)


class Cluster:
    """A connection to a scheduler. Use connect()."""

    def __init__(self, address: str, client: Any) -> None:  # noqa: ANN401
        self._address = address
        self.client = client
        """the distributed.Client, which shows the workers"""

    def check(self) -> None:
        """Raise ZsemuError unless the scheduler answers and has workers."""
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE)
        except (TimeoutError, CancelledError, OSError, ValueError) as error:
            raise ZsemuError(
                f"{self._address}: no scheduler with workers answers ({_line(error)}):"
                " see that it runs, and start workers with:"
                f" dask worker {self._address} --nthreads 1"
            ) from error

    def threads(self) -> int:
        """Return the most threads that a worker has."""
        return max(self.client.nthreads().values(), default=0)

    def deliver(self, name: str, file: Path) -> None:
        """Bring a file to every worker: there, ``delivered[name]`` is its path."""
        self.client.register_plugin(Delivery(name, file.name, file.read_bytes()))

    def parallel(self) -> Parallel:
        """Return a joblib.Parallel that yields results as they come.

        TerminatedWorkerError if Dask gives a task up.
        """
        # All tasks are sent at once, so that workers that join later get some.
        return Parallel(
            n_jobs=-1,
            backend=_Backend(client=self.client),
            batch_size=1,
            pre_dispatch="all",
            return_as="generator_unordered",
        )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


@contextmanager
def connect(address: str) -> Iterator[Cluster]:
    """Connect to the scheduler at an address such as ``tcp://host:8786``; ZsemuError if it fails.

    When the connection ends, Dask drops what has not begun.
    """
    # Dask would log at length what is raised below in one line.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (TimeoutError, OSError, ValueError) as error:
        raise ZsemuError(
            f"{address}: no Dask scheduler answers ({_line(error)}): start one with: dask scheduler"
        ) from error
    with client:
        cluster = Cluster(address, client)
        cluster.check()
        yield cluster
