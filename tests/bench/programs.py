# SPDX-License-Identifier: GPL-2.0-only
"""Outside counters: commands that run the same code as a user process, and what they counted."""

import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from outside.counting import need, qemu_command
from outside.process import Process

from bench.clock import processor
from zsemu.errors import ZsemuError
from zsemu.guest.image import Image
from zsemu.replay.placed_trace import PlacedTrace

Command = Callable[[Process, Path, Path], list[str | Path]]
"""a process, written to the first path, run so that what is counted goes to the second"""


@dataclass(frozen=True)
class Program:
    """An outside counter."""

    name: str
    rounds: int
    """how often it runs over the operations: enough to be measured, not to be waited for"""
    command: Command
    counted: Callable[[Path], int] | None = None
    """reads the instructions of all the process, if it counts them"""
    native: bool = False
    """runs this machine's own code only, and counts every round of a string instruction, and one"""


def _qemu(level: str) -> Command:
    def command(process: Process, program: Path, output: Path) -> list[str | Path]:
        return qemu_command(process, program, output, level)

    return command


def _valgrind(*options: str) -> Command:
    def command(process: Process, program: Path, output: Path) -> list[str | Path]:
        valgrind = need("valgrind", "valgrind")
        return [valgrind, *(option.format(output=output) for option in options), program]

    return command


def _first_value(output: Path) -> int:
    return int(np.fromfile(output, np.uint64, 1)[0])


def _matched(pattern: str) -> Callable[[Path], int]:
    def counted(output: Path) -> int:
        found = re.search(pattern, output.read_text(), re.MULTILINE)
        if not found:
            raise ZsemuError(f"what valgrind counted is not understood: no {pattern!r}")
        return int(found[1].replace(",", ""))

    return counted


def _callgrind(*options: str) -> Command:
    return _valgrind("--tool=callgrind", "--callgrind-out-file={output}", *options)


def _lackey(log: str, *options: str) -> Command:
    return _valgrind("--tool=lackey", f"--log-file={log}", *options)


_DETAILED: Final = _lackey("{output}", "--detailed-counts=yes")
_EVERY_ACCESS: Final = _lackey("/dev/null", "--trace-mem=yes")
_TOTALS: Final = _matched(r"^totals: (\d+)")
_GUEST: Final = _matched(r"guest instrs: +([\d,]+)")

# Of valgrind's, callgrind counts instructions; with --cache-sim=yes, and lackey with
# --detailed-counts=yes, loads and stores, too; --trace-mem=yes writes a line for every access.
PROGRAMS: Final = (
    Program("qemu-user, instructions", 64, _qemu("instructions"), _first_value),
    Program("qemu-user, and memory by region", 32, _qemu("regions"), _first_value),
    Program("callgrind", 32, _callgrind(), _TOTALS, native=True),
    Program("callgrind --cache-sim=yes", 32, _callgrind("--cache-sim=yes"), _TOTALS, native=True),
    Program("lackey --detailed-counts=yes", 32, _DETAILED, _GUEST, native=True),
    Program("lackey --trace-mem=yes, to /dev/null", 1, _EVERY_ACCESS, native=True),
)


def versions(archs: Sequence[str]) -> dict[str, str]:
    """Return what the programs that are there say of their version."""
    found = {}
    for name in (*(f"qemu-{arch}" for arch in archs), "valgrind"):
        if path := shutil.which(name):
            done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
            found[name] = done.stdout.partition("\n")[0]
    return found


@dataclass(frozen=True)
class Ready:
    """A program, and the commands that run a process with its operations, and with none."""

    program: Program
    commands: tuple[list[str | Path], list[str | Path]]
    output: Path

    def run(self) -> tuple[float, float, int | None]:
        """Return CPU seconds with the operations, those less without, and their instructions."""
        (seconds, number), (idle, none) = (self._run(command) for command in self.commands)
        return seconds, seconds - idle, None if number is None or none is None else number - none

    def _run(self, command: list[str | Path]) -> tuple[float, int | None]:
        start = processor()
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
        seconds = processor() - start
        if done.returncode:
            shown = " ".join(map(str, command))
            raise ZsemuError(f"exit status {done.returncode}: {shown}", detail=done.stderr.decode())
        return seconds, self.program.counted(self.output) if self.program.counted else None


def prepare(image: Image, batch: PlacedTrace, directory: Path) -> tuple[list[Ready], list[str]]:
    """Write into a directory what runs a batch under each program.

    Return the programs that there are for it, and for those that are missing how to get them.
    """
    processes: dict[int, tuple[Process, Path, Path]] = {}
    found: list[Ready] = []
    missing: dict[str, None] = {}
    for number, program in enumerate(PROGRAMS):
        if program.native and platform.machine() != image.target.name:
            continue
        rounds = program.rounds
        if rounds not in processes:
            paths = directory / f"process-{rounds}", directory / f"idle-{rounds}"
            process = Process(image, batch, rounds)
            for path, operations in zip(paths, (None, 0), strict=True):
                process.write(path, operations)
            processes[rounds] = process, *paths
        process, whole, idle = processes[rounds]
        output = directory / f"output-{number}"
        try:
            commands = tuple(program.command(process, path, output) for path in (whole, idle))
        except ZsemuError as error:
            missing[str(error)] = None
        else:
            found.append(Ready(program, (commands[0], commands[1]), output))
    return found, list(missing)
