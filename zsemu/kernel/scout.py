# SPDX-License-Identifier: GPL-2.0-only
"""The path that every malloc and free of a trace takes, found before it is replayed.

What they cost depends on the state of the whole size class, but is decided by the path through the
code. So all of them are carried out once without the maps, which change nothing of that state, at
full speed, and of each path one is observed later. That the replay takes the same paths is checked.
"""

import numpy as np
from numpy.typing import NDArray

from zsemu import counts
from zsemu.guest.machine import Fault, Machine
from zsemu.guest.structures import StopAt
from zsemu.kernel.facts import KernelFacts, run
from zsemu.kernel.guest import Kind
from zsemu.kernel.hooks import Hooks
from zsemu.kernel.memory import KernelMemory, KernelSizes
from zsemu.kernel.operations import Operations


class Scout:
    """Goes ahead of a replay, batch by batch, on a machine and in memory of its own."""

    def __init__(self, facts: KernelFacts, sizes: KernelSizes, seed: int) -> None:
        """Create a pool; ``sizes`` and ``seed`` are those of the replay."""
        self._memory = memory = KernelMemory(
            facts.linked, facts.layouts, facts.address, sizes, seed
        )
        self._machine = Machine(memory)
        run(memory, self._machine, Kind.INIT, Kind.CREATE)
        self._hooks = Hooks(memory)
        self._hooks.attach_blocks(self._machine.uc)
        self._machine.uc.ctl_flush_tb()
        self._signature = np.zeros(sizes.operations, np.uint64)
        self._hooks.expect(np.full(sizes.operations, counts.UNCOUNTED, np.uint8))
        self._hooks.point("signature", self._signature)
        self._ops = memory.view(memory.ops, memory.types.op, sizes.operations)
        self._stopped = False

    def paths(self, batch: Operations) -> NDArray[np.uint64] | None:
        """Return a number for the path of each operation that is no map, shape (n,).

        Maps have 0. None if the kernel's code cannot go on: the replay will show it.
        """
        found = np.zeros(len(batch), np.uint64)
        rows = np.flatnonzero(~batch.maps)
        ops, memory = self._ops[: len(rows)], self._memory
        ops["kind"], ops["object"] = batch.operation[rows], batch.object[rows]
        ops["length"], ops["cpu"] = batch.length[rows], batch.cpu[rows]
        control = memory.batch
        control["first"], control["last"], control["stop_at"] = 0, len(rows), StopAt.NEVER
        memory.state["logged"] = 0
        self._signature[:] = 0
        if self._stopped:
            return None
        try:
            self._machine.drive()
        except Fault:
            self._stopped = True
        if self._stopped or self._hooks.raw.exhausted:
            self._stopped = True
            return None
        found[rows] = self._signature[: len(rows)]
        return found
