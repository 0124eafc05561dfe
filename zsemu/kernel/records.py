# SPDX-License-Identifier: GPL-2.0-only
"""Write the records of operations, and the callers' buffers, into a kernel's guest memory."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.guest.structures import Mode
from zsemu.kernel.memory import KernelMemory
from zsemu.kernel.operations import Operations
from zsemu.replay import oracle

_MODES: Final = np.array([Mode.RW, Mode.RW, Mode.RO, Mode.WO, Mode.RW], np.uint8)


def write(
    memory: KernelMemory, versions: oracle.Versions, batch: Operations
) -> tuple[NDArray[np.void], oracle.Arena, NDArray[np.uint64]]:
    """Write some operations, which follow those that ``versions`` has followed.

    Return the records, what the buffers must hold afterwards, and the buffers' words, in place.
    """
    operation = batch.operation
    history = versions.advance(operation, batch.object, batch.length)
    buffers = oracle.arena(operation, batch.number.astype(np.uint32), batch.length, history)
    words = memory.view(memory.arena, np.dtype(np.uint64), len(buffers.after))
    words[:] = buffers.before
    second = np.zeros(len(buffers.owner), bool)
    second[1:] = buffers.owner[1:] == buffers.owner[:-1]
    ops = memory.view(memory.ops, memory.types.op, len(batch))
    ops[:] = np.zeros(1, memory.types.op)[0]
    ops["kind"], ops["mode"] = operation, _MODES[operation]
    ops["cpu"], ops["object"], ops["length"] = batch.cpu, batch.object, batch.length
    start = (buffers.start * 8).astype(np.uint64) + np.uint64(memory.virtual(memory.arena))
    ops["caller"][buffers.owner[~second]] = start[~second]
    ops["update"][buffers.owner[second]] = start[second]
    return ops, buffers, words
