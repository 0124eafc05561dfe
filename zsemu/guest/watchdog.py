# SPDX-License-Identifier: GPL-2.0-only
"""Stop an emulated CPU that is stuck where no hook counts what it spends: in the driver.

What a strategy executes has a budget. The driver needs none, unless a stray store has changed what
it keeps in memory.
"""

import os
import threading
import time
from collections.abc import Sequence
from typing import Final

import numpy as np
import unicorn
from numpy.typing import NDArray

POLL: Final = 1.0
"""seconds between two looks"""
PATIENCE: Final = 10.0
"""seconds of CPU time that one operation may take; even with Python hooks it is far below one"""


class Watch:
    """A run of CPUs, one at a time, that is being watched."""

    def __init__(self, cpus: Sequence[unicorn.Uc], progress: NDArray[np.unsignedinteger]) -> None:
        """Watch CPUs from now on; ``progress`` changes with each operation, shape (1,)."""
        self._cpus, self._progress = cpus, progress
        self._seen, self._since = -1, 0.0
        self._stopped = False
        _start()
        _watches.add(self)

    def end(self) -> bool:
        """End it, and say whether the CPUs were stopped."""
        _watches.discard(self)
        return self._stopped

    def look(self) -> None:
        """Stop the CPUs if they have been with one operation for too long."""
        now, seconds = int(self._progress[0]), time.process_time()
        if now != self._seen:
            self._seen, self._since = now, seconds
        elif seconds - self._since > PATIENCE:
            self._stopped = True
            for uc in self._cpus:
                uc.emu_stop()


_watches: set[Watch] = set()
_process = 0
"""the process that has a thread which looks; none is left in one that was forked"""


def _start() -> None:
    global _process
    if _process != os.getpid():
        _process = os.getpid()
        _watches.clear()
        threading.Thread(target=_look, name="watchdog", daemon=True).start()


def _look() -> None:
    while True:
        time.sleep(POLL)
        _look_once()


def _look_once() -> None:
    # A function of its own: what it has looked at, and all memory of that guest, is forgotten.
    for watch in tuple(_watches):
        watch.look()
