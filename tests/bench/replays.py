# SPDX-License-Identifier: GPL-2.0-only
"""Replays with no hook, or with other hooks than zsemu's: same batches, driver and judgement."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import unicorn
from outside.counting import strings
from unicorn.unicorn_const import (
    UC_HOOK_BLOCK,
    UC_HOOK_CODE,
    UC_HOOK_MEM_READ,
    UC_HOOK_MEM_WRITE,
    UC_MEM_WRITE,
)

from zsemu.counts import PHASES, REGIONS
from zsemu.guest.hooks import ENTRIES, EXPECTED
from zsemu.guest.image import Image
from zsemu.guest.machine import Machine
from zsemu.guest.memory import BATCH, RAM_BASE, STATE, ZSPAGE
from zsemu.guest.structures import ZSPAGE_SIZE, ZSPAGE_WORDS, StopAt
from zsemu.replay.batch import Batch
from zsemu.replay.placed_trace import PlacedStream, PlacedTrace
from zsemu.replay.replay import Replay

_DRIVER = "driver"


@dataclass
class Clock:
    """Time spent in the emulator."""

    seconds: float = 0.0


@contextmanager
def emulation() -> Iterator[Clock]:
    """Measure how long all machines together are driven."""
    clock, drive = Clock(), Machine.drive

    def timed(machine: Machine) -> None:
        start = time.perf_counter()
        try:
            drive(machine)
        finally:
            clock.seconds += time.perf_counter() - start

    with patch.object(Machine, "drive", timed):
        yield clock


class Unhooked(Replay):
    """Nothing is observed: contents are judged, and that is all."""

    def __init__(self, image: Image, work: PlacedTrace | PlacedStream) -> None:
        # With everything to be observed, _observe_all() is all that runs a batch.
        super().__init__(image, work, full=True)
        # One that never had a hook.
        self._fast = Machine(self._memory)
        self.operations = 0
        """that were run, those of the read-back included"""

    def _observe_all(self, batch: Batch) -> None:
        self.operations += self._drive(self._fast, self._fast_hooks, batch, 0, StopAt.NEVER)


class Counting(Unhooked):
    """Block hits of everything, the driver's too, by the hook that counts those of a strategy."""

    def __init__(self, image: Image, work: PlacedTrace | PlacedStream) -> None:
        super().__init__(image, work)
        hooks = self._fast_hooks
        # One phase of one operation, which nothing ends.
        hooks.raw.driver = hooks.raw.driver_end = hooks.raw.phase = 0
        hooks.raw.budget = (1 << 64) - 1
        hooks.point("expected", np.zeros(1, EXPECTED))
        # Of all code, whatever attach_blocks() leaves out.
        hooks._add(self._fast.uc, UC_HOOK_BLOCK, hooks._library.on_block)
        self._runs = self._idle = 0

    def _observe_all(self, batch: Batch) -> None:
        if not self._runs:
            # What the driver takes without any operation.
            self._drive(self._fast, self._fast_hooks, batch, 0, StopAt.NEVER, last=0)
            self._runs, self._idle = 1, self._total()
        self._runs += 1
        super()._observe_all(batch)

    def _total(self) -> int:
        return int(self._fast_hooks.instructions(self._image).sum())

    @property
    def instructions(self) -> int:
        """Return how many instructions the operations took."""
        return self._total() - self._runs * self._idle


class Scripted(Unhooked):
    """Python hooks, as a script would have them: by phase and region what is executed and moved."""

    def __init__(self, image: Image, work: PlacedTrace | PlacedStream) -> None:
        super().__init__(image, work)
        self._instructions: Counter[str] = Counter()
        # (accesses, bytes) by phase and region.
        self._loaded: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
        self._stored: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
        phases = ("settle", "map", "access", "access", "unmap")
        self._entries = {
            image.symbols[name].address: phase
            for name, phase in zip(ENTRIES, phases, strict=True)
            if name in image.symbols
        }
        self._driver = range(image.address("zs_driver_start"), image.address("zs_driver_end"))
        self._strings = frozenset(strings(image))
        self._regions = self._memory.regions().tolist()
        self._phase, self._pc = _DRIVER, 0
        uc = self._fast.uc
        uc.hook_add(UC_HOOK_CODE, self._on_code)
        uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, self._on_access)

    def _on_code(self, uc: unicorn.Uc, address: int, size: int, data: object) -> None:
        if address in self._driver:
            self._phase = _DRIVER
        elif self._phase == _DRIVER:
            self._phase = self._entries.get(address, _DRIVER)
        # The next round of a string instruction is no other instruction.
        if address != self._pc or address not in self._strings:
            self._instructions[self._phase] += 1
        self._pc = address

    def _on_access(
        self, uc: unicorn.Uc, access: int, address: int, size: int, value: int, data: object
    ) -> None:
        if self._phase == _DRIVER:
            return
        offset = address - RAM_BASE
        region = self._regions[offset >> self._memory.page_shift]
        if region == ZSPAGE:
            inside = (offset - self._memory.zspages) % ZSPAGE_SIZE
            region = STATE if inside >= ZSPAGE_WORDS else BATCH
        moved = self._stored if access == UC_MEM_WRITE else self._loaded
        counts = moved[self._phase, region]
        counts[0] += 1
        counts[1] += size

    def counted(self) -> dict[tuple[str, str], int]:
        """Return what was counted by phase, and by what, as zsemu.counts has it."""
        counts = {(phase, "instructions"): self._instructions[phase] for phase in PHASES}
        for moved, *names in (
            (self._loaded, "loads", "bytes_loaded"),
            (self._stored, "stores", "bytes_stored"),
        ):
            for (phase, region), values in moved.items():
                for name, value in zip(names, values, strict=True):
                    counts[phase, f"{REGIONS[region]}.{name}"] = value
        return counts
