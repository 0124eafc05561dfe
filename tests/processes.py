# SPDX-License-Identifier: GPL-2.0-only
"""Processes: zsemu's own on a terminal, any through /proc, and a pool that starts none."""

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from zsemu.runs import check, compare, race
from zsemu.runs.pool import Pool, Report, Watch

_Context = TypeVar("_Context")
_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")

# Where the tests run in the background of a shell, Ctrl-C is ignored unless this is said.
ZSEMU = (
    sys.executable,
    "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from zsemu.cli import main; sys.exit(main())",
)


def alive(pid: int) -> bool:
    """Say whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that comes; far longer than it takes, since it is no test of speed."""
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


def on_terminal(*arguments: str, **more: str) -> str:
    """Run zsemu on a terminal of 160 columns and return all that it wrote there."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160", **more}
    process = subprocess.Popen([*ZSEMU, *arguments], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        written += part
    os.close(ours)
    assert process.wait() == 0
    return written.decode()


class PoolOfNone(Pool[_Context]):
    """A pool that does its tasks in this process, one after the other."""

    def __init__(self, jobs: int, context: _Context) -> None:
        super().__init__(jobs, context)
        self.context = context

    def run(
        self,
        function: Callable[[_Context, _Argument, Report], _Result],
        tasks: Mapping[str, _Argument],
        watch: Watch | None = None,
        enough: Callable[[_Result], bool] | None = None,
    ) -> dict[str, _Result]:
        """Do what Pool.run() does."""
        watch = watch or Watch()
        results: dict[str, _Result] = {}
        for name, argument in tasks.items():
            watch.started(name)
            results[name] = function(self.context, argument, partial(watch.advanced, name))
            watch.finished(name)
            if enough and enough(results[name]):
                break
        return results


def start_none(patch: pytest.MonkeyPatch) -> None:
    """Let compare, check and race start no processes, which takes longer than a short trace.

    For tests of what is found and shown. What the processes of a pool do is tested with them.
    """
    for module in (check, compare, race):
        patch.setattr(module, "Pool", PoolOfNone)
