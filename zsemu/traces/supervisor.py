# SPDX-License-Identifier: GPL-2.0-only
"""Run the script of a recording, and see to it that nothing of it stays behind.

Whoever of the two processes is killed, the other one ends the recording. If the script is killed,
it is the supervisor that removes what the script has put up. If the supervisor is killed, the
kernel sends SIGTERM to the script, which then ends as it does after Ctrl-C.
"""

import ctypes
import os
import signal
import subprocess
from contextlib import suppress
from types import FrameType
from typing import Final

from zsemu.errors import ZsemuError

_PR_SET_PDEATHSIG: Final = 1
_STOP: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a recording in order."""


def _end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent ends (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))


def run(commands: str, removal: str) -> None:
    """Run the script; ZsemuError if it fails, or if it is killed.

    ``removal`` are the shell commands that remove what the script has put up. Ctrl-C and SIGTERM
    end the recording in order.
    """
    # In a session of its own, so that Ctrl-C does not reach what the script has started.
    process = subprocess.Popen(
        ["sh", "-c", commands],
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )

    def stop(_signal: int, _frame: FrameType | None) -> None:
        process.terminate()

    handlers = {number: signal.signal(number, stop) for number in _STOP}
    try:
        status = process.wait()
        # Nothing is left in this group but what a killed script has started.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if status < 0:
            subprocess.run(["sh", "-c", removal], check=False)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if status < 0:
        raise ZsemuError(
            f"the recording was killed by {signal.Signals(-status).name}, and is incomplete; "
            "its probes have been removed"
        )
    if status:
        raise ZsemuError(f"the recording failed with status {status}, for the reason given above")
