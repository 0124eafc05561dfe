# SPDX-License-Identifier: GPL-2.0-only
"""Run a command and measure what it takes: time, processors, memory of all its processes."""

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from zsemu.errors import ZsemuError

_SAMPLE: Final = 250
"""milliseconds between two samples of memory; one takes 2 to 10 milliseconds"""


@dataclass(frozen=True)
class Took:
    """What one run of a command took."""

    seconds: float
    """from start to end"""
    processor: float
    """seconds of user and system time, of the command and of all processes that were waited for"""
    memory: float
    """MiB that all of them had together at most, in four samples a second; a page that several
    share counts in parts that add up to one (Pss of proc_pid_smaps(5)); 0 if there was no sample.
    Not the ru_maxrss of wait4(2): that is of the largest process alone, and never below the memory
    of the process that started it."""


def _together(command: psutil.Process) -> int:
    """Return the bytes that a process and its descendants have."""
    found = 0
    # They may end at any time.
    with suppress(psutil.Error):
        for process in (command, *command.children(recursive=True)):
            with suppress(psutil.Error):
                found += process.memory_full_info().pss
    return found


def measured(
    command: Sequence[str], status: int, folder: Path, environment: Mapping[str, str]
) -> Took:
    """Run a command in a folder; ZsemuError with its output if it does not end with ``status``."""
    with tempfile.TemporaryFile() as output:
        start, memory = time.perf_counter(), 0
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        with process:
            watched, end = psutil.Process(process.pid), os.pidfd_open(process.pid)
            ended = select.poll()
            ended.register(end, select.POLLIN)
            while not ended.poll(_SAMPLE):
                memory = max(memory, _together(watched))
            seconds = time.perf_counter() - start
            os.close(end)
            _, wait_status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(wait_status)
        if process.returncode != status:
            output.seek(0)
            shown = " ".join(command)
            raise ZsemuError(
                f"exit status {process.returncode}, and not {status}: {shown}",
                detail=output.read().decode(errors="replace"),
            )
    return Took(
        seconds=seconds,
        processor=usage.ru_utime + usage.ru_stime,
        memory=memory / (1 << 20),
    )
