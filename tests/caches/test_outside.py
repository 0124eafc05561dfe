# SPDX-License-Identifier: GPL-2.0-only
"""The model of caches against cachegrind and QEMU, which run the same code over the same memory.

The driver's accesses are among those here, because the others see them, too. They see virtual
addresses, which lie as the physical ones do but for windows, so ``pgtable`` is left out. They count
an access to two lines as one; there is none here. Neither knows write-backs, so what is below L1 is
not used by them: of cachegrind's, only a last level that keeps every line can be compared. In the
L2 of QEMU's plugin are instructions, too: only L1 is compared, on all architectures.
"""

import re
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import unicorn
from numpy.typing import NDArray
from outside.cache_plugin import compile_plugin, data_misses
from outside.counting import call, need
from outside.process import Process
from samples import busy_trace, image, placed

from caches.reference import Access, packed
from zsemu.caches.hierarchy import Hierarchy, Level, find
from zsemu.caches.model import Model
from zsemu.counts import LINE
from zsemu.errors import ZsemuError
from zsemu.guest.image import Image
from zsemu.guest.memory import RAM_BASE
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.replay.batch import Batch
from zsemu.replay.observation import EveryOperation, Listener
from zsemu.replay.placed_trace import PlacedTrace
from zsemu.replay.replay import Replay

pytestmark = pytest.mark.external

HIERARCHIES = ("l1=1K:1,l2=64M:16", "l1=4K:4,l2=64M:16", "l1=32K:8,l2=64M:16")
STRATEGIES = ("copy", "swap", "swap-lazy", "readwrite", "sg")


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
    # The driver's code, which was translated without hooks (zsemu.guest.unhooked_blocks).
    replay.observer.uc.ctl_flush_tb()
    assert not replay.run().violation_count
    return found


@lru_cache(maxsize=1)
def subject(arch: str, name: str) -> tuple[NDArray[np.uint64], Process]:
    """Return the accesses of a strategy, as the model takes them, and the process that does them.

    None of them is to two lines.
    """
    image_, work = image(target(arch), name), placed(busy_trace(60), arch)
    every = accesses(image_, work)
    assert all(access.offset % LINE + access.size <= LINE for access in every)
    return packed(every), Process(image_, work)


def misses(hierarchy: Hierarchy, steps: NDArray[np.uint64]) -> tuple[int, int]:
    """Return what misses L1 and L2 of the model."""
    model = Model(hierarchy)
    model.run(steps, np.array([len(steps)], np.uint64), np.zeros(1, np.uint32))
    l1, _, l2, _ = model.sums[0].sum(axis=0).tolist()
    return l1, l2


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


@pytest.mark.parametrize("text", HIERARCHIES)
@pytest.mark.parametrize("name", STRATEGIES)
def test_cachegrind(name: str, text: str) -> None:
    hierarchy = find(text)
    steps, process = subject("x86_64", name)
    l1, l2 = misses(hierarchy, steps)
    theirs = cachegrind(process, hierarchy)
    assert theirs["Dr"] + theirs["Dw"] == len(steps)
    assert theirs["D1mr"] + theirs["D1mw"] == l1
    assert theirs["DLmr"] + theirs["DLmw"] == l2
    assert l1 >= l2 > 500


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_plugin(tmp_path_factory.mktemp("plugin"))


def qemus_misses(plugin: Path, process: Process, hierarchy: Hierarchy) -> int:
    """Return what missed L1 in QEMU's plugin, but for literals of the code that ends the process.

    The engine stops before that code (outside/exit.S).
    """
    end = process.image.address("zs_stop")
    found = data_misses(plugin, process, hierarchy.l1)
    behind = sum(number for address, number in found.items() if address >= end)
    assert behind <= 1
    return sum(found.values()) - behind


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("arch", target_names())
def test_qemus_plugin(arch: str, name: str, plugin: Path) -> None:
    steps, process = subject(arch, name)
    ours = [misses(find(text), steps)[0] for text in HIERARCHIES]
    assert ours == [qemus_misses(plugin, process, find(text)) for text in HIERARCHIES]
    assert ours[0] > ours[1] > ours[2] > 500


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("memmove(set + 1, set, i * sizeof(*set));", ""),  # not the one used last goes
        ("(line & level->mask)", "(line >> 1 & level->mask)"),  # into another set
    ],
)
def test_qemus_plugin_finds_planted_faults(
    old: str, new: str, plugin: Path, edit_caches: Callable[..., None]
) -> None:
    hierarchy = find(HIERARCHIES[1])
    steps, process = subject("riscv64", "swap-lazy")
    edit_caches(old, new)
    assert misses(hierarchy, steps)[0] != qemus_misses(plugin, process, hierarchy)


def test_says_where_the_plugin_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (None, tmp_path):
        if folder is None:
            monkeypatch.delenv("QEMU_SOURCE", raising=False)
        else:
            monkeypatch.setenv("QEMU_SOURCE", str(folder))
        with pytest.raises(ZsemuError, match=r"fetch it with '\.ci/qemu-source FOLDER'"):
            compile_plugin(tmp_path)
