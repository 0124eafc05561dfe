# SPDX-License-Identifier: GPL-2.0-only
"""The pool: order, errors, and that nothing is left of it whatever happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import alive, until

from zsemu.errors import ZsemuError
from zsemu.paths import replacing
from zsemu.runs.pool import Pool, Report, Watch

# Tasks, which workers look up by name.


def _square(context: int, argument: int, report: Report) -> tuple[int, int]:
    report(argument)
    return context + argument * argument, os.getpid()


def _ignore(context: object, argument: int, report: Report) -> None:
    """Do nothing."""


def _late(context: Path, argument: str, report: Report) -> str:
    """Finish only when every other task has."""
    if argument == "first":
        until(lambda: (context / "third").exists(), "the third task")
    (context / argument).touch()
    return argument


def _fail(context: Path, argument: str, report: Report) -> str:
    (context / argument).touch()
    if argument == "second":
        raise ZsemuError("second fails", detail="at once")
    if argument == "first":
        until(lambda: (context / "second").exists(), "the second task")
        time.sleep(0.1)
        raise ZsemuError("first fails", detail="late")
    return argument


def _die(context: None, argument: str, report: Report) -> None:
    if argument == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif argument == "exits":
        os._exit(7)


def _hang(context: Path, argument: str, report: Report) -> None:
    """Start a process, begin a file and go on for ever."""
    if argument == "deaf":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Not even Python's own code runs any more.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    with replacing(context / f"{argument}.out") as stream:
        stream.write(b"half")
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        (context / f"{argument}.pids").write_text(f"{os.getpid()} {child.pid}")
        try:
            time.sleep(1000)
        finally:
            child.wait()


class _Heard(Watch):
    def __init__(self) -> None:
        self.heard: list[tuple[str, str, int]] = []

    def started(self, name: str) -> None:
        self.heard.append(("started", name, 0))

    def advanced(self, name: str, amount: int) -> None:
        self.heard.append(("advanced", name, amount))

    def finished(self, name: str) -> None:
        self.heard.append(("finished", name, 0))


@pytest.mark.parametrize("jobs", [1, 3])
def test_results(jobs: int) -> None:
    tasks = {f"task {number}": number for number in range(10)}
    heard = _Heard()
    with Pool(jobs, 1000) as pool:
        found = pool.run(_square, tasks, heard)
        again = pool.run(_square, {"more": 5})
    assert list(found) == list(tasks)
    assert [value for value, _ in found.values()] == [1000 + n * n for n in range(10)]
    pids = {pid for _, pid in found.values()} | {again["more"][1]}
    assert len(pids) <= jobs and os.getpid() not in pids
    assert not any(map(alive, pids))
    for name, number in tasks.items():
        mine = [(kind, amount) for kind, who, amount in heard.heard if who == name]
        assert mine == [("started", 0), ("advanced", number), ("finished", 0)]


def test_no_tasks() -> None:
    with Pool(2, None) as pool:
        assert pool.run(_die, {}) == {}


def test_order_does_not_depend_on_who_is_first(tmp_path: Path) -> None:
    names = ("first", "second", "third")
    with Pool(2, tmp_path) as pool:
        found = pool.run(_late, {name: name for name in names})
    assert list(found.values()) == list(names)


def test_first_error_in_order_is_heard(tmp_path: Path) -> None:
    names = ("first", "second", "third", "fourth")
    with Pool(2, tmp_path) as pool, pytest.raises(ZsemuError, match="first fails") as caught:
        pool.run(_fail, {name: name for name in names})
    assert caught.value.detail == "late"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("killed", r"^arm copy: .*SIGKILL.*memory.*--jobs"),
        ("exits", r"^arm copy: .*status 7"),
    ],
)
def test_dead_worker_is_an_error(how: str, says: str) -> None:
    with Pool(2, None) as pool, pytest.raises(ZsemuError, match=says):
        pool.run(_die, {"arm swap": "lives", "arm copy": how})


def test_worker_killed_between_tasks() -> None:
    with Pool(1, 0) as pool:
        ((_, pid),) = pool.run(_square, {"one": 1}).values()
        os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(pid), "its end")
        with pytest.raises(ZsemuError, match=r"^two: .*SIGKILL"):
            pool.run(_square, {"two": 2})


class _Bomb:
    """Ends the process that reads it."""

    def __reduce__(self) -> tuple[Callable[[int], object], tuple[int]]:
        return os._exit, (7,)


def test_worker_that_dies_while_it_is_given_much() -> None:
    """What does not fit into a pipe must not block for ever when nobody reads it."""
    with (
        Pool(2, (_Bomb(), b"x" * (8 << 20))) as pool,
        pytest.raises(ZsemuError, match=r"^one: .*status 7"),
    ):
        pool.run(_ignore, {"one": 1})


STARTS = """
import signal
from zsemu.runs import pool

if __name__ == "__main__":
    start = pool._Worker.__init__

    def look(worker):
        start(worker)
        print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))

    pool._Worker.__init__ = look
    with pool.Pool(2, None) as made:
        made.run(len, {})
        made._start("one")
        made._start("two")
    print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""


def test_signals_are_held_back_while_a_worker_starts(tmp_path: Path) -> None:
    """In a process of its own: multiprocessing does something else the first time."""
    script = tmp_path / "starts.py"
    script.write_text(STARTS)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "False"]


class _Interrupt(Watch):
    """Ctrl-C as soon as both tasks hang."""

    def __init__(self, directory: Path, names: set[str]) -> None:
        self.directory, self.names = directory, names

    def started(self, name: str) -> None:
        self.names.discard(name)
        if self.names:
            return
        until(lambda: len(list(self.directory.glob("*.pids"))) == 2, "both tasks")
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("names", [("one", "two"), ("deaf", "two")])
def test_interrupt_leaves_nothing(tmp_path: Path, names: tuple[str, str]) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), Pool(2, tmp_path) as pool:
            pool.run(_hang, {name: name for name in names}, _Interrupt(tmp_path, set(names)))
    finally:
        signal.signal(signal.SIGINT, before)
    files = {path.name: path for path in tmp_path.iterdir()}
    pids = [int(pid) for name in names for pid in files[f"{name}.pids"].read_text().split()]
    assert len(pids) == 4
    until(lambda: not any(map(alive, pids)), "their end")
    # The deaf one had to be killed, and could not clear away its file; nobody saw it as finished.
    rest = [name for name in files if not name.endswith(".pids")]
    assert all(name.startswith(".deaf.out.") for name in rest)
    assert len(rest) == names.count("deaf")
