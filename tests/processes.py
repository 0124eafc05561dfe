# SPDX-License-Identifier: GPL-2.0-only
"""Processes: zsemu's own on a terminal, and any through /proc."""

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

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
