# SPDX-License-Identifier: GPL-2.0-only
"""Replays with no hook, or with other hooks than zsemu's: same batches, driver and judgement."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar
from unittest.mock import patch

import numpy as np
import unicorn
from outside.counting import strings
from unicorn.unicorn_const import (
    UC_HOOK_CODE,
    UC_HOOK_MEM_READ,
    UC_HOOK_MEM_WRITE,
    UC_MEM_WRITE,
)

from zsemu.counts import PHASES, REGIONS
from zsemu.guest.alternation import Alternation
from zsemu.guest.hook_structures import ENTRIES, EXPECTED
from zsemu.guest.image import Image
from zsemu.guest.machine import Machine
from zsemu.guest.memory import BATCH, RAM_BASE, STATE, ZSPAGE
from zsemu.guest.structures import ZSPAGE_SIZE, ZSPAGE_WORDS
from zsemu.replay.batch import Batch
from zsemu.replay.machines import Machines
from zsemu.replay.observation import Observation, Subject
from zsemu.replay.placed_trace import PlacedStream, PlacedTrace
from zsemu.replay.replay import Replay

P = ParamSpec("P")
R = TypeVar("R")

_DRIVER = "driver"


@dataclass
class Clock:
    """CPU time spent in the emulator."""

    seconds: float = 0.0


@contextmanager
def emulation() -> Iterator[Clock]:
    """Measure the CPU time in which machines are driven, all together."""
    clock = Clock()

    def timed(function: Callable[P, R]) -> Callable[P, R]:
        def run(*arguments: P.args, **named: P.kwargs) -> R:
            start = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                clock.seconds += time.process_time() - start

        return run

    with (
        patch.object(Machine, "drive", timed(Machine.drive)),
        patch.object(Alternation, "run", timed(Alternation.run)),
    ):
        yield clock


class _Unhooked(Machines):
    """A counting CPU that counts nothing."""

    def boot(self) -> tuple[Machine, Machine]:
        return Machine(self.memory), Machine(self.memory)


class _Nothing(Observation):
    """Observes nothing: all batches run on the CPU that has no hook."""

    machines_class = _Unhooked
    operations = 0

    def run(self, batch: Batch) -> None:
        self.machines.count(batch)
        self.operations += len(batch.index)

    def read_back(self, batch: Batch) -> None:
        self.run(batch)


class Unhooked(Replay):
    """Nothing is observed: contents are judged, and that is all."""

    def __init__(self, image: Image, work: PlacedTrace | PlacedStream) -> None:
        super().__init__(image, work, observe=self._observe)

    def _observe(self, subject: Subject) -> _Nothing:
        self._nothing = _Nothing(subject)
        return self._nothing

    @property
    def operations(self) -> int:
        """Return how many were run, those of the read-back included."""
        return self._nothing.operations


class _Blocks(_Nothing):
    """Counts the blocks of everything, and of the driver without any operation."""

    runs = idle = 0

    def run(self, batch: Batch) -> None:
        if not self.runs:
            # What the driver takes without any operation.
            self.machines.count(batch, len(batch.index))
            self.runs, self.idle = 1, self.total()
        self.runs += 1
        super().run(batch)

    def total(self) -> int:
        return int(self.machines.blocks.instructions().sum())


class Counting(Unhooked):
    """Block hits of everything, the driver's too, by the hook that counts those of a strategy."""

    def __init__(self, image: Image, work: PlacedTrace | PlacedStream) -> None:
        super().__init__(image, work)
        hooks = self.machines.blocks
        hooks.expect(np.zeros(1, EXPECTED))
        hooks.attach_all_blocks(self.machines.counter.uc)

    def _observe(self, subject: Subject) -> _Nothing:
        self._nothing = self._blocks = _Blocks(subject)
        return self._blocks

    @property
    def idle(self) -> int:
        """Return how many instructions the driver takes without any operation."""
        return self._blocks.idle

    @property
    def instructions(self) -> int:
        """Return how many instructions the operations took."""
        return self._blocks.total() - self._blocks.runs * self._blocks.idle


class Scripted(Unhooked):
    """Python hooks, as a script would have them: by phase and region what is executed and moved."""

    def __init__(self, image: Image, work: PlacedTrace | PlacedStream) -> None:
        super().__init__(image, work)
        self.instructions: Counter[str] = Counter()
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
        self._memory = self.machines.memory
        self._regions = self._memory.regions().tolist()
        self._phase, self._pc = _DRIVER, 0
        uc = self.machines.counter.uc
        uc.hook_add(UC_HOOK_CODE, self._on_code)
        uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, self._on_access)

    def _on_code(self, uc: unicorn.Uc, address: int, size: int, data: object) -> None:
        if address in self._driver:
            self._phase = _DRIVER
        elif self._phase == _DRIVER:
            self._phase = self._entries.get(address, _DRIVER)
        # The next round of a string instruction is no other instruction.
        if address != self._pc or address not in self._strings:
            self.instructions[self._phase] += 1
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
        counts = {(phase, "instructions"): self.instructions[phase] for phase in PHASES}
        for moved, *names in (
            (self._loaded, "loads", "bytes_loaded"),
            (self._stored, "stores", "bytes_stored"),
        ):
            for (phase, region), values in moved.items():
                for name, value in zip(names, values, strict=True):
                    counts[phase, f"{REGIONS[region]}.{name}"] = value
        return counts
