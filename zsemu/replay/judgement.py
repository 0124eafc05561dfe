# SPDX-License-Identifier: GPL-2.0-only
"""What is wrong after a batch: in memory, and with what the native callbacks saw."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zsemu.counts import PHASES
from zsemu.guest.hooks import MISALIGNED, PROMISE, STALE, STRAY, Hooks
from zsemu.guest.memory import RAM_BASE, Memory
from zsemu.guest.strategies import PROMISES
from zsemu.replay import violations
from zsemu.replay.batch import Batch, BatchWriter
from zsemu.traces.trace import Operation


@dataclass(frozen=True)
class Finding:
    """Something wrong with an operation of a batch."""

    which: int
    """operation of the batch"""
    kind: str
    """one of those of zsemu.replay.violations"""
    detail: str
    expected: bytes = b""
    found: bytes = b""
    offset: int = -1
    """of the first wrong byte in RAM; -1 where there is none"""
    pc: int | None = None


def _broken(promise: int, phase: str, size: int, place: str) -> str:
    """Say how a promise was broken."""
    name = PROMISES[promise]
    how = {
        "ro-clean": f"{phase} of a read-only map stores {size} bytes into {place}",
        "neighbour-clean": f"{phase} stores {size} bytes into {place}, outside the slot",
        "stateless": f"after unmap {size} page words or window entries are left",
        "no-leak": f"after unmap {size} bytes of the slot differ that were not written",
    }
    return f"{name}: {how[name]}"


def accesses(hooks: Hooks, memory: Memory) -> Iterator[Finding]:
    """Yield what the native callbacks found: stray stores, misaligned accesses, broken promises."""
    order = memory.target.byte_order
    for raw in hooks.findings():
        what, phase = int(raw["what"]), PHASES[int(raw["phase"])]
        address, size = int(raw["address"]), int(raw["size"])
        place = memory.describe(address - RAM_BASE)
        found = b""
        if what == STRAY:
            kind, detail = violations.STRAY, f"{phase} stores {size} bytes into {place}"
            value = int(raw["value"]).to_bytes(8, order)
            found = value[:size] if order == "little" else value[-size:]
        elif what == MISALIGNED:
            kind, detail = violations.MISALIGNED, f"{phase} accesses {size} bytes at {place}"
        elif what == STALE:
            kind = violations.STALE
            detail = f"after {phase} the old entry for {address:#x} can still be used"
        else:
            kind, detail = violations.PROMISE, _broken(what - PROMISE, phase, size, place)
        yield Finding(int(raw["operation"]), kind, detail, found=found, pc=int(raw["pc"]))


def first_words(batch: Batch, builder: BatchWriter, memory: Memory) -> Iterator[Finding]:
    """Yield headers and free-list links that are not what the allocator left there."""
    size, order = memory.target.word, memory.target.byte_order
    for which in np.flatnonzero(batch.looks & (batch.ops["found"] != batch.first_word)).tolist():
        link = batch.operation[which] == Operation.ALLOCATE
        expected = int(batch.first_word[which]).to_bytes(size, order)
        found = int(batch.ops["found"][which]).to_bytes(size, order)
        first = next(i for i in range(size) if expected[i] != found[i])
        slot = builder.slot_offset(batch.expected["zspage"][which], batch.ops[which])
        yield Finding(
            which,
            violations.LINK if link else violations.HEADER,
            "found when the allocator looked at it",
            expected,
            found,
            slot + first,
        )


def contents(batch: Batch, memory: Memory) -> Iterator[Finding]:
    """Yield bytes that accesses saw, or that lie between the buffers, and are wrong."""
    buffers = batch.arena
    wrong = buffers.mismatches(batch.words)
    start = buffers.start * 8
    buffer = np.searchsorted(start, wrong, side="right") - 1
    seen, expected = batch.words.view(np.uint8), buffers.after.view(np.uint8)
    distinct, first, number = np.unique(buffer, return_index=True, return_counts=True)
    for index, at, bad in zip(
        distinct.tolist(), wrong[first].tolist(), number.tolist(), strict=True
    ):
        length = int(buffers.length[index])
        inside = at - int(start[index])
        if inside < length:
            shown = slice(at, at + min(8, length - inside))
            detail = f"{bad} of {length} bytes, the first at {inside}"
        else:
            shown = slice(at, at + 8)
            detail = f"{bad} bytes behind the caller's buffer of {length}"
        owner = int(buffers.owner[index])
        # What an update saw passed through its first buffer.
        caller = int(start[np.searchsorted(buffers.owner, owner)])
        yield Finding(
            owner,
            violations.WRONG_BYTES,
            detail,
            expected[shown].tobytes(),
            seen[shown].tobytes(),
            memory.arena + caller + inside,
        )
