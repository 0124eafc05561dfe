# SPDX-License-Identifier: GPL-2.0-only
"""Ask llvm-mca how many cycles a piece of code takes on LLVM's model of a CPU.

The code is disassembled by llvm-mc, which comes with it in Debian's package llvm. Neither is needed
for anything else.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from zsemu.errors import ZsemuError
from zsemu.guest.compiler import verbose
from zsemu.guest.targets import Target
from zsemu.results.throughput import ITERATIONS

_VERSION: Final = re.compile(r"LLVM version (\S+)")
_NO_MODEL: Final = (
    "is not a recognized processor",
    "unable to find instruction-level scheduling information",
)
_INSTRUCTION: Final = re.compile(r"^note: instruction:\s*(.+)$", re.MULTILINE)
_COMPLAINT: Final = re.compile(r"(?:error|warning): (.+?)(?:, use -.*)?\.?$", re.MULTILINE)


@dataclass(frozen=True)
class NotModelled:
    """Why llvm-mca gives no cycles."""

    reason: str


def _run(command: Sequence[str], given: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of LLVM and keep what it writes; ZsemuError if it is not there."""
    if not shutil.which(command[0]):
        raise ZsemuError(f"no {command[0]}, for --mca: install it with 'apt-get install llvm'")
    if verbose():
        sys.stderr.write(f"{shlex.join(command)} <<'END'\n{given}\nEND\n")
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


def version() -> str:
    """Return the version of llvm-mca, such as 14.0.6; ZsemuError if it is not there."""
    done = _run(("llvm-mca", "--version"), "")
    found = _VERSION.search(done.stdout)
    if not found:
        raise ZsemuError("llvm-mca does not run", detail=done.stdout + done.stderr)
    return found[1]


def models(target: Target, chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the CPUs to ask for: those that are ``chosen``, or else those of the target's folder.

    ZsemuError if this LLVM has no model of one.
    """
    cpus = tuple(chosen) or tuple(cpu for cpu, _ in target.models.cpus)
    for cpu in cpus:
        cycles(target, cpu, ("nop",))
    return cpus


def disassemble(target: Target, code: bytes) -> tuple[str, ...] | NotModelled:
    """Return machine code as assembly that llvm-mca reads, an instruction a line."""
    known = target.models.cpus[-1][0]
    command = ("llvm-mc", "--disassemble", f"-triple={target.models.triple}", f"-mcpu={known}")
    done = _run(command, " ".join(f"{byte:#04x}" for byte in code))
    if done.returncode or done.stderr:
        return NotModelled("llvm-mc cannot disassemble all of it")
    lines = (line.strip() for line in done.stdout.splitlines())
    return tuple(" ".join(line.split()) for line in lines if line and line != ".text")


def cycles(target: Target, cpu: str, assembly: Sequence[str]) -> int | NotModelled:
    """Return the cycles of ITERATIONS runs through the code, or why there are none.

    ZsemuError if this LLVM has no model of the CPU.
    """
    triple = target.models.triple
    options = (f"-mtriple={triple}", f"-mcpu={cpu}", f"-iterations={ITERATIONS}", "-json")
    done = _run(("llvm-mca", *options), "\n".join(assembly))
    if any(text in done.stderr for text in _NO_MODEL):
        there = ", ".join(cpu for cpu, _ in target.models.cpus)
        raise ZsemuError(
            f"LLVM {version()} has no model of a CPU {cpu!r} of {target.name}: there are {there},"
            f" and some of those that 'llvm-mc -triple={triple} -mcpu=help' lists"
        )
    if done.returncode or done.stderr:
        complaint, where = _COMPLAINT.search(done.stderr), _INSTRUCTION.search(done.stderr)
        reason = complaint[1] if complaint else done.stderr.strip() or "llvm-mca failed"
        return NotModelled(f"{' '.join(where[1].split())}: {reason}" if where else reason)
    (region,) = json.loads(done.stdout)["CodeRegions"]
    return int(region["SummaryView"]["TotalCycles"])
