# SPDX-License-Identifier: GPL-2.0-only
"""Judge what a batch did, and report what is wrong as violations.

The native hooks judge accesses while they happen. What the batch left in memory is
judged here: the first word of slots where the allocator looks at it, and every byte that an access
saw.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import PHASES
from zsemu.guest import debug_lines
from zsemu.guest.hook_structures import MISALIGNED, PROMISE, STALE, STRAY, STRAY_LOAD
from zsemu.guest.hooks import Place
from zsemu.guest.memory import RAM_BASE, Memory
from zsemu.guest.strategies import PROMISES
from zsemu.replay import violations
from zsemu.replay.batch import Batch
from zsemu.replay.culprit import Culprit
from zsemu.replay.machines import Stopped
from zsemu.replay.observation import Observation
from zsemu.replay.oracle import Arena
from zsemu.replay.violations import FINAL_READ, Violation
from zsemu.traces.operation import Operation


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
    place: Place | None = None
    """of the instruction that did it"""


class Judge:
    """Collects the violations of a replay, the first ones in full."""

    def __init__(self, observation: Observation, culprit: Culprit) -> None:
        """Judge what an observation runs; ``culprit`` knows who did what shows late."""
        self._machines, self._image = observation.machines, observation.subject.image
        self._geometry = observation.subject.placed.geometry
        self._culprit = culprit
        self.violations: list[Violation] = []
        """the first violations.KEPT, and the first of every check"""
        self.count = 0
        """how many there were"""

    def judge(self, batch: Batch) -> None:
        """Judge a batch that has been run."""
        self._judge_accesses(batch)
        self._judge_memory(batch)

    def stopped(self, batch: Batch, stop: Stopped) -> None:
        """Report what ended the replay in a batch."""
        if stop.kind != violations.SPANS:
            self._judge_accesses(batch)
        if stop.place is None:
            stop = self._culprit.of_stop(batch, stop.which) or stop
        self._add(batch, Finding(stop.which, stop.kind, stop.detail, place=stop.place))

    def _judge_accesses(self, batch: Batch) -> None:
        """Report what the native hooks found wrong."""
        found, number = self._machines.events.take_findings()
        for finding in accesses(found, self._machines.memory):
            self._add(batch, finding)
        self.count += number - len(found)

    def _judge_memory(self, batch: Batch) -> None:
        """Report what the batch left wrong in memory, in the order of the operations."""
        machines = self._machines
        found = [
            *first_words(batch, self._slot(batch), machines.memory),
            *contents(batch.arena, batch.words, machines.memory.arena),
        ]
        for finding in sorted(found, key=lambda finding: finding.which):
            if self._keeps(finding):
                place = self._culprit.of_byte(batch, finding.which, finding.offset)
                finding = replace(finding, place=place)
            self._add(batch, finding)

    def _slot(self, batch: Batch) -> Callable[[int], int]:
        """Return what finds the offset in RAM of the slot of one operation."""
        zspage, writer = batch.expected["zspage"], self._machines.writer
        return lambda which: writer.slot_offset(zspage[which], batch.ops[which])

    def _keeps(self, finding: Finding) -> bool:
        """Whether a finding is reported: the first ones, and the first of every check."""
        if len(self.violations) < violations.KEPT:
            return True
        check = violations.check_of(finding)
        return all(violations.check_of(known) != check for known in self.violations)

    def _add(self, batch: Batch, finding: Finding) -> None:
        self.count += 1
        if not self._keeps(finding):
            return
        part, row, place = batch.part, finding.which, finding.place
        placed, number = part.placed, part.trace.object if part.number is None else part.number
        action = Operation(batch.operation[finding.which]).name.lower()
        self.violations.append(
            Violation(
                kind=finding.kind,
                operation=int(batch.index[finding.which]),
                action=FINAL_READ if batch.is_readback else action,
                object_number=int(number[row]),
                class_size=int(self._geometry.sizes[placed.class_index[row]]),
                slot=int(placed.slot[row]),
                offset=int(placed.offset[row]),
                detail=finding.detail,
                expected=finding.expected.hex(" "),
                found=finding.found.hex(" "),
                pc=debug_lines.where(self._image, place.pc) if place else "",
                instruction=self._image.disassemble(place.pc) if place else "",
                calls=tuple(debug_lines.where(self._image, pc) for pc in place.calls)
                if place
                else (),
            )
        )


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


def accesses(found: NDArray[np.void], memory: Memory) -> Iterator[Finding]:
    """Yield what the native callbacks found: stray or misaligned accesses, broken promises.

    ``found`` has dtype FINDING.
    """
    order = memory.target.byte_order
    for raw in found:
        what, phase = int(raw["what"]), PHASES[int(raw["phase"])]
        address, size = int(raw["address"]), int(raw["size"])
        place = memory.describe(address - RAM_BASE)
        stored = b""
        if what == STRAY:
            kind, detail = violations.STRAY, f"{phase} stores {size} bytes into {place}"
            value = int(raw["value"]).to_bytes(8, order)
            stored = value[:size] if order == "little" else value[-size:]
        elif what == STRAY_LOAD:
            kind, detail = violations.STRAY_LOAD, f"{phase} loads {size} bytes from {place}"
        elif what == MISALIGNED:
            kind, detail = violations.MISALIGNED, f"{phase} accesses {size} bytes at {place}"
        elif what == STALE:
            kind = violations.STALE
            detail = f"after {phase} the old entry for {address:#x} can still be used"
        else:
            kind, detail = violations.PROMISE, _broken(what - PROMISE, phase, size, place)
        calls = tuple(filter(None, raw["calls"].tolist()))
        at = Place(int(raw["pc"]), calls)
        yield Finding(int(raw["operation"]), kind, detail, found=stored, place=at)


def first_words(
    batch: Batch, slot_offset: Callable[[int], int], memory: Memory
) -> Iterator[Finding]:
    """Yield headers and free-list links that are not what the allocator left there.

    ``slot_offset`` returns where in RAM the slot of an operation begins.
    """
    size, order = memory.target.word, memory.target.byte_order
    for which in np.flatnonzero(batch.looks & (batch.ops["found"] != batch.first_word)).tolist():
        link = batch.operation[which] == Operation.ALLOCATE
        expected = int(batch.first_word[which]).to_bytes(size, order)
        found = int(batch.ops["found"][which]).to_bytes(size, order)
        first = next(i for i in range(size) if expected[i] != found[i])
        yield Finding(
            which,
            violations.LINK if link else violations.HEADER,
            "found when the allocator looked at it",
            expected,
            found,
            slot_offset(which) + first,
        )


def contents(buffers: Arena, words: NDArray[np.uint64], offset: int) -> Iterator[Finding]:
    """Yield bytes that accesses saw, or that lie between the buffers, and are wrong.

    ``words`` is what the buffers hold after the batch, and ``offset`` where they are in RAM.
    """
    wrong = buffers.mismatches(words)
    if not len(wrong):
        return
    start = buffers.start * 8
    buffer = np.searchsorted(start, wrong, side="right") - 1
    seen, expected = words.view(np.uint8), buffers.after.view(np.uint8)
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
            offset + caller + inside,
        )
