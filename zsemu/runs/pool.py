# SPDX-License-Identifier: GPL-2.0-only
"""Run tasks in worker processes that end at once: on Ctrl-C, on an error, when a worker dies.

Python's own executors wait for what is running and, on Ctrl-C, leave it running. Here every worker
leads a process group of its own, so that the terminal's Ctrl-C reaches only the parent, which ends
the workers together with whatever they started (compilers).

Workers are spawned, not forked: a fork copies the locks of threads that do not exist in the copy
(NumPy's, a progress bar's).
"""

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from types import FrameType, TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from zsemu.errors import ZsemuError

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_GRACE: Final = 2.0
"""seconds in which workers may remove what they were writing"""

_ADVANCED, _DONE, _FAILED = range(3)

_Context = TypeVar("_Context")
_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")

Report = Callable[[int], None]
"""what a task calls with the amount of its work that is done since the last call"""


class Watch:
    """Is told the progress of tasks by their names; this class ignores it."""

    def started(self, name: str) -> None:
        """Hear that a worker has taken up the task."""

    def advanced(self, name: str, amount: int) -> None:
        """Hear that ``amount`` more of the task is done."""

    def finished(self, name: str) -> None:
        """Hear that the task has given its result."""


class Stages(Watch):
    """A Watch that is also told which stage of the work begins; this class ignores that, too."""

    def stage(self, title: str, total: int) -> None:
        """Hear that tasks begin that will advance by ``total`` together."""


@contextmanager
def _deferred() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back while a process is started.

    This process gets them at the end, the new process when it unblocks them. Otherwise Ctrl-C could
    strike after the process has started and before it is entered in the list of workers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []

    def defer(number: int, frame: FrameType | None) -> None:
        pending.append(number)

    # Handlers and mask: another thread may take a signal that this one masks, and a new process
    # inherits only the mask.
    previous = {each: signal.signal(each, defer) for each in _SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for each, handler in previous.items():
            # None: not set from Python, which cannot put it back either.
            signal.signal(each, signal.SIG_DFL if handler is None else handler)
        for number in pending:
            signal.raise_signal(number)


def _serve(connection: Connection) -> None:
    """Carry out tasks until the parent closes its end, in a worker."""
    os.setpgid(0, 0)
    try:
        # Between tasks, the end of the connection ends this process, which has nothing to remove.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

        def report(amount: int) -> None:
            connection.send((_ADVANCED, amount))

        context = connection.recv()
        # Modules stay until the end: the collector need not go through them again and again.
        gc.freeze()
        while True:
            function, argument = connection.recv()
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                try:
                    result = function(context, argument, report)
                finally:
                    signal.signal(signal.SIGINT, signal.SIG_IGN)
            except ZsemuError as error:
                connection.send((_FAILED, error))
            except MemoryError:
                connection.send((_FAILED, ZsemuError("out of memory: choose fewer --jobs")))
            else:
                connection.send((_DONE, result))
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        pass  # The parent is gone, or wants this process gone.


class _Worker:
    """One process, which is given its context over a connection and not as an argument.

    If the process died while it starts, an argument that does not fit into the pipe would block the
    parent for ever.
    """

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.connection, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the worker and to all that it has started."""
        if not self.process.is_alive():
            return
        assert self.process.pid is not None
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            # It leads no group yet; then it has not begun to write anything, either.
            self.process.kill()

    def death(self, name: str) -> ZsemuError:
        """Say how the worker ended while it had a task."""
        self.process.join(_GRACE)
        code = self.process.exitcode
        if code is None or code >= 0:
            return ZsemuError(f"{name}: its process ended with status {code}: a bug in zsemu")
        line = f"{name}: its process was killed by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            line += ", as Linux does when memory runs out: choose fewer --jobs or --operations"
        return ZsemuError(line)


class Pool(Generic[_Context]):
    """Up to ``jobs`` processes, each of which is given ``context`` once. Use it in a ``with``."""

    def __init__(self, jobs: int, context: _Context) -> None:
        self._jobs, self._context = jobs, context
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all workers, whatever they are doing."""
        workers, self._workers = self._workers, []
        try:
            for worker in workers:
                worker.connection.close()
                worker.signal(signal.SIGINT)
            deadline = time.monotonic() + _GRACE
            for worker in workers:
                worker.process.join(max(0.0, deadline - time.monotonic()))
        finally:
            for worker in workers:
                worker.signal(signal.SIGKILL)
            for worker in workers:
                worker.process.join()

    def run(
        self,
        function: Callable[[_Context, _Argument, Report], _Result],
        tasks: Mapping[str, _Argument],
        watch: Watch | None = None,
        enough: Callable[[_Result], bool] | None = None,
    ) -> dict[str, _Result]:
        """Call ``function(context, argument, report)`` for every task, each in some worker.

        ``tasks`` maps names, which progress and errors show, to arguments, and is begun in its
        order. The results have the names and the order of the tasks. pickle must be able to name
        ``function``. ``enough`` is called with each result as soon as it is there; once it says so,
        what still runs is given up, and only the results so far are returned. If tasks raise
        ZsemuError, no further task is begun, and the error of the first of them in order is raised.
        ZsemuError also if a worker dies.
        """
        watch = watch or Watch()
        names = list(tasks)
        waiting = deque(range(len(names)))
        idle = list(self._workers)
        busy: dict[object, tuple[int, _Worker]] = {}
        results: dict[int, _Result] = {}
        failures: dict[int, ZsemuError] = {}
        while waiting or busy:
            while waiting and (idle or len(self._workers) < self._jobs):
                index = waiting.popleft()
                worker = idle.pop() if idle else self._start(names[index])
                self._send(worker, names[index], (function, tasks[names[index]]))
                busy[worker.connection] = index, worker
                watch.started(names[index])
            for connection in wait([worker.connection for _, worker in busy.values()]):
                index, worker = busy[connection]
                kind, value = self._receive(worker, names[index])
                if kind == _ADVANCED:
                    watch.advanced(names[index], value)
                    continue
                del busy[connection]
                idle.append(worker)
                if kind == _FAILED:
                    failures[index] = value
                    waiting.clear()
                else:
                    results[index] = value
                    watch.finished(names[index])
                    if enough and enough(value):
                        self.close()
                        return {names[each]: results[each] for each in sorted(results)}
            # A task that is earlier in order may still fail.
            if failures and not any(index < min(failures) for index, _ in busy.values()):
                raise failures[min(failures)]
        return {name: results[index] for index, name in enumerate(names)}

    def _start(self, name: str) -> _Worker:
        # Before _deferred(): starting the tracker unblocks the signals that _deferred() blocks.
        resource_tracker.ensure_running()
        with _deferred():
            worker = _Worker()
            self._workers.append(worker)
        self._send(worker, name, self._context)
        return worker

    @staticmethod
    def _send(worker: _Worker, name: str, message: object) -> None:
        try:
            worker.connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            raise worker.death(name) from None

    @staticmethod
    def _receive(worker: _Worker, name: str) -> tuple[int, Any]:
        try:
            kind, value = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            raise worker.death(name) from None
        return kind, value
