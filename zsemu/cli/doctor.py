# SPDX-License-Identifier: GPL-2.0-only
"""zsemu doctor: whether counts and checks can be trusted on this machine."""

import json
from enum import StrEnum
from typing import Annotated, Final

import typer

from zsemu.cli.options import Archs, values
from zsemu.cli.terminal import emit

UNTRUSTED: Final = 1
_NAME: Final = 14
"""columns of the longest name, of a part and an architecture"""


class Format(StrEnum):
    """How the lines are written."""

    TEXT = "text"
    JSON = "json"


def doctor(
    arch: Archs = None,
    format: Annotated[
        Format, typer.Option("--format", help="A line for each part, or a document.")
    ] = Format.TEXT,
) -> None:
    """Test this installation: emulator, hooks, MMU, compiler, versions, memory.

    A few instructions of every architecture, whose events are known, run under the hooks that count
    for "compare" and judge for "check". A warning leaves counts trustworthy.

    Exit status: 0 counts and checks can be trusted here, 1 they cannot, 2 bad use.

    Example: zsemu doctor --arch aarch64
    """
    from zsemu.guest import targets
    from zsemu.runs.doctor import Verdict, examine, verdict

    chosen = [targets.target(name) for name in values(arch) or targets.names()]
    lines = []
    for line in examine(chosen):
        lines.append(line)
        if format == Format.TEXT:
            emit(f"{line.name:{_NAME}}  {line.verdict:7}  {line.text}\n")
    failed = any(line.verdict == Verdict.FAILED for line in lines)
    if format == Format.TEXT:
        emit(f"{verdict(lines)}\n")
    else:
        document = {
            "trusted": not failed,
            "lines": [
                {"part": one.part, "arch": one.arch, "verdict": one.verdict, "text": one.text}
                for one in lines
            ],
        }
        emit(f"{json.dumps(document, indent=2)}\n")
    if failed:
        raise typer.Exit(UNTRUSTED)
