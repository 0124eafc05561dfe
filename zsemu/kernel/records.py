# SPDX-License-Identifier: GPL-2.0-only
"""Write the records of operations, and the callers' buffers, into a kernel's guest memory."""

import numpy as np
from numpy.typing import NDArray

from zsemu.kernel.memory import KernelMemory
from zsemu.kernel.operations import Operations
from zsemu.replay import oracle
from zsemu.replay.batch import MODES, buffer_offsets


def write(
    memory: KernelMemory, versions: oracle.Versions, batch: Operations
) -> tuple[NDArray[np.void], oracle.Arena, NDArray[np.uint64]]:
    """Write some operations, which follow those that ``versions`` has followed.

    Return the records, what the buffers must hold afterwards, and the buffers' words, in place.
    """
    operation = batch.operation
    history = versions.advance(operation, batch.object, batch.length)
    buffers = oracle.arena(operation, batch.number.astype(np.uint32), batch.length, history)
    words = memory.view(memory.arena, np.dtype(np.uint64), buffers.words)
    buffers.write(words)
    ops = memory.view(memory.ops, memory.types.op, len(batch))
    ops[:] = np.zeros(1, memory.types.op)[0]
    ops["kind"], ops["mode"] = operation, MODES[operation]
    ops["cpu"], ops["object"], ops["length"] = batch.cpu, batch.object, batch.length
    start = np.uint64(memory.virtual(0))
    offsets = buffer_offsets(len(batch), buffers, memory.arena)
    for name, offset in zip(("caller", "update"), offsets, strict=True):
        there = offset > 0
        ops[name][there] = start + offset[there].astype(np.uint64)
    return ops, buffers, words
