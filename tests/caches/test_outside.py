# SPDX-License-Identifier: GPL-2.0-only
"""The model of caches against cachegrind, which runs the same code over the same memory.

The driver's accesses are among those here, because cachegrind sees them, too. It sees virtual
addresses, which lie as the physical ones do but for windows, so ``pgtable`` is left out. It counts
an access to two lines as one; there is none here. It knows no write-backs, so its last level is not
used by them: only one that keeps every line can be compared. There is no outside model for other
architectures here: Debian's QEMU has no ``cache`` plugin.
"""

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
import unicorn
from numpy.typing import NDArray
from outside.counting import call, need
from outside.process import Process
from samples import busy_trace, image, placed

from caches.reference import Access, Reference, packed
from zsemu.caches.hierarchy import Hierarchy, Level, find
from zsemu.caches.model import Model
from zsemu.guest.image import Image
from zsemu.guest.memory import RAM_BASE
from zsemu.guest.targets import target
from zsemu.replay.batch import Batch
from zsemu.replay.observation import EveryOperation, Listener
from zsemu.replay.placed_trace import PlacedTrace
from zsemu.replay.replay import Replay

pytestmark = pytest.mark.external

HIERARCHIES = ("l1=1K:1,l2=64M:16", "l1=4K:4,l2=64M:16", "l1=32K:8,l2=64M:16")


class _Stop(Listener):
    """Ends recording with the first batch."""

    done = False

    def ran(
        self, batch: Batch, keys: NDArray[np.uint64] | None, observed: NDArray[np.int64]
    ) -> None:
        self.done = True


def accesses(image_: Image, work: PlacedTrace) -> list[Access]:
    """Return all accesses of the first batch, the driver's included, as Unicorn tells them."""
    found: list[Access] = []
    stop = _Stop()
    replay = Replay(image_, work, observe=lambda subject: EveryOperation(subject, stop))

    def keep(uc: object, kind: int, address: int, size: int, value: int, data: object) -> None:
        if not stop.done:
            found.append(Access(address - RAM_BASE, size, int(kind == unicorn.UC_MEM_WRITE)))

    replay.observer.uc.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, keep)
    assert not replay.run().violation_count
    return found


def option(level: Level) -> str:
    return f"{level.size},{level.ways},{level.line}"


def cachegrind(process: Process, hierarchy: Hierarchy) -> dict[str, int]:
    """Return cachegrind's counts of all of a process, by name."""
    with tempfile.TemporaryDirectory() as name:
        program, output = Path(name) / "process", Path(name) / "out"
        process.write(program)
        call(
            [
                *(need("valgrind", "valgrind"), "--tool=cachegrind", "--cache-sim=yes"),
                *("--vex-iropt-level=0", "--I1=65536,2,64"),
                *(f"--D1={option(hierarchy.l1)}", f"--LL={option(hierarchy.l2)}"),
                *(f"--cachegrind-out-file={output}", program),
            ]
        )
        text = output.read_text()
    names = re.search(r"^events: (.*)$", text, re.MULTILINE)
    totals = re.search(r"^summary: (.*)$", text, re.MULTILINE)
    assert names and totals
    return dict(zip(names[1].split(), map(int, totals[1].split()), strict=True))


@pytest.mark.parametrize("name", ["copy", "swap", "swap-lazy", "readwrite", "sg"])
@pytest.mark.parametrize("text", HIERARCHIES)
def test_cachegrind(name: str, text: str) -> None:
    hierarchy, image_ = find(text), image(target("x86_64"), name)
    work = placed(busy_trace(60), "x86_64")
    every = accesses(image_, work)
    model, reference = Model(hierarchy), Reference(hierarchy)
    model.run(packed(every), np.array([len(every)], np.uint64), np.zeros(1, np.uint32))
    reference.run(every)
    assert not reference.twice
    l1, _, l2, _ = model.sums[0].sum(axis=0).tolist()
    theirs = cachegrind(Process(image_, work), hierarchy)
    assert theirs["Dr"] + theirs["Dw"] == len(every)
    assert theirs["D1mr"] + theirs["D1mw"] == l1
    assert theirs["DLmr"] + theirs["DLmw"] == l2
    assert l1 >= l2 > 500
