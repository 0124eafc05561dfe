# SPDX-License-Identifier: GPL-2.0-only
"""A CPU that is stuck in the driver is stopped, and one that gets on is not."""

import threading
import time
import weakref

import numpy as np
import pytest
import unicorn
from samples import busy_trace, image, placed

from zsemu.guest import watchdog
from zsemu.guest.memory import RAM_BASE
from zsemu.guest.targets import target
from zsemu.replay.replay import Replay
from zsemu.replay.violations import ENDLESS

_LOOP = b"\xeb\xfe"
"""x86: a jump to itself"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PATIENCE", 0.3)
    monkeypatch.setattr(watchdog, "POLL", 0.05)


def endless() -> unicorn.Uc:
    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    uc.mem_map(0, 4096)
    uc.mem_write(0, _LOOP)
    return uc


def test_stuck() -> None:
    uc = endless()
    watch = watchdog.Watch([uc], np.zeros(1, np.uint64))
    uc.emu_start(0, 1024)
    assert watch.end()


def test_gets_on() -> None:
    """An operation every 0.1 s, for a second."""
    uc, progress = endless(), np.zeros(1, np.uint64)
    watch = watchdog.Watch([uc], progress)

    def operations() -> None:
        for _ in range(10):
            time.sleep(0.1)
            progress[0] += 1
        uc.emu_stop()

    thread = threading.Thread(target=operations)
    thread.start()
    uc.emu_start(0, 1024)
    thread.join()
    assert not watch.end()


def test_memory_is_given_back() -> None:
    """The thread that looks keeps nothing of what it has looked at."""
    progress = np.zeros(1, np.uint64)
    gone = weakref.ref(progress)
    watch = watchdog.Watch([endless()], progress)
    time.sleep(5 * watchdog.POLL)
    assert not watch.end()
    del watch, progress
    assert gone() is None


def test_driver_is_stuck() -> None:
    one = image(target("x86_64"), "copy")
    replay = Replay(one, placed(busy_trace(60), "x86_64"))
    at = one.address("zs_driver") - RAM_BASE
    # The observing CPU has translated its driver, and the counting CPU has not.
    replay.machines.memory.ram[at : at + len(_LOOP)] = list(_LOOP)
    (found,) = replay.run().violations
    assert found.kind == ENDLESS
    assert found.detail.startswith("the driver does not return")
