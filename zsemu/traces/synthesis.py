# SPDX-License-Identifier: GPL-2.0-only
"""Synthesise traces of any length, drawn from a recorded one.

Objects are drawn at random, with replacement, each with its whole history: when it was allocated,
its length, its maps with their modes, lengths and CPUs, the number of operations between them, and
its free. So the lengths, modes and lifetimes, and how these depend on each other, are those of the
recording.

A *round* draws as many objects as the recording has, and moves each in time by up to :data:`SHIFT`
of the recording. Then the next round begins, as if the recording were replayed from its start. An
object that was alive at the end of the recording is freed where the next round begins. So the
number of live objects rises and falls as in the recording, however long the trace is.

Time is counted in operations of the recording. If two operations of one object followed each other
directly, such as its allocation and its first write, they still do.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.errors import ZsemuError
from zsemu.traces.operation import Operation
from zsemu.traces.trace import Metadata, Trace
from zsemu.zsmalloc import geometry

MAX_OPERATIONS: Final = 100_000_000
SHIFT: Final = 1 / 64
"""Share of the recording by which an object is moved at most, so that no two rounds are alike."""
_NANOSECONDS: Final = 1000
"""From the begin of one operation to that of the next: a synthetic trace has no real times."""


@dataclass(frozen=True, eq=False)
class _Histories:
    """The operations of a recording, sorted by object: arrays of shape (operations,)."""

    first: NDArray[np.int64]
    """Index of each object's first operation, shape (objects,)."""
    count: NDArray[np.int64]
    """Number of operations of each object, shape (objects,)."""
    clock: NDArray[np.int64]
    """Index in the recording. Operations of one object that follow each other directly all have the
    index of the first of them."""
    operation: NDArray[np.uint8]
    length: NDArray[np.uint32]
    cpu: NDArray[np.uint16]


def _histories(recorded: Trace) -> _Histories:
    """Sort the operations of a recording by object, and add the frees at its end."""
    freed = recorded.object[recorded.operation == Operation.FREE]
    born = np.flatnonzero(recorded.operation == Operation.ALLOCATE)
    survivors = np.setdiff1d(np.arange(len(born)), freed)
    # An object that survives is freed where the recording ends, by the CPU that allocated it.
    row = np.concatenate([np.arange(len(recorded)), np.full(len(survivors), len(recorded))])
    source = np.concatenate([np.arange(len(recorded)), born[survivors]])
    operation = recorded.operation[source]
    operation[len(recorded) :] = Operation.FREE
    object_ = recorded.object[source]

    order = np.argsort(object_, kind="stable")
    row, source = row[order], source[order]
    count = np.bincount(object_)
    first = np.cumsum(count) - count
    head = np.ones(len(row), bool)
    head[1:] = np.diff(row) != 1
    head[first] = True
    at_head = np.maximum.accumulate(np.where(head, np.arange(len(row)), 0))
    return _Histories(
        first=first,
        count=count,
        clock=row[at_head],
        operation=operation[order],
        length=recorded.length[source],
        cpu=recorded.cpu[source],
    )


def _draw(
    histories: _Histories, period: int, operations: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Draw objects; return for each operation its index in the histories and the draw's number.

    Both arrays have shape (operations,), in the order of the new trace. ``period`` is the length of
    a round, in operations of the recording.
    """
    objects = len(histories.first)
    rounds = -(-operations // period)
    while True:
        drawn = random.integers(objects, size=rounds * objects)
        count = histories.count[drawn]
        if (total := int(count.sum())) >= operations:
            break
        rounds *= 2
    begin = np.repeat(np.arange(rounds) * period, objects)
    most = int(period * SHIFT)
    begin += random.integers(-most, most, size=len(drawn), endpoint=True)

    draw = np.repeat(np.arange(len(drawn), dtype=np.int32), count)
    place = np.arange(total)
    place -= np.repeat(np.cumsum(count) - count - histories.first[drawn], count)
    clock = histories.clock[place]
    clock += begin[draw]
    # The sort is stable, so operations with the same clock in one history stay together in order.
    order = np.argsort(clock, kind="stable")[:operations]
    return place[order], draw[order]


def synthesise(
    recorded: Trace,
    *,
    operations: int | None = None,
    seed: int = 0,
    update_share: float = 0,
    page_size: int | None = None,
) -> Trace:
    """Return a trace drawn from a recorded one: always the same for one NumPy and equal arguments.

    ``operations`` defaults to the recording's number. Every map becomes an update with a
    probability of ``update_share``; a map that is an update already remains one. If ``page_size``
    is not the recording's, all lengths are scaled in proportion, to at least one byte. ZsemuError
    for an argument out of range.
    """
    source = recorded.metadata
    operations = len(recorded) if operations is None else operations
    page_size = source.page_size if page_size is None else page_size
    _check(operations, seed, update_share, page_size)
    random = np.random.default_rng(seed)
    histories = _histories(recorded)
    place, draw = _draw(histories, len(recorded), operations, random)
    operation = histories.operation[place]
    allocates = operation == Operation.ALLOCATE
    number = np.empty(int(draw.max()) + 1, np.uint32)
    number[draw[allocates]] = np.arange(np.count_nonzero(allocates), dtype=np.uint32)
    if update_share:
        updates = (operation >= Operation.READ) & (random.random(operations) < update_share)
        operation[updates] = Operation.UPDATE
    length = histories.length[place]
    if page_size != source.page_size:
        scaled = length.astype(np.int64) * page_size // source.page_size
        length = np.maximum(scaled, 1).astype(np.uint32)
    begin = np.arange(operations, dtype=np.int64) * _NANOSECONDS
    return Trace(
        f"{recorded.name}-synthetic",
        Metadata(
            kernel="none",
            geometry=source.geometry,
            page_size=page_size,
            provenance=(
                f"synthetic, not recorded: zsemu trace synth --operations {operations} "
                f"--seed {seed} --update-share {update_share:g} --page-size {page_size}, from "
                f"{recorded.name} (kernel {source.kernel}, sha256 {recorded.digest()}); "
                "times are ordinal numbers"
            ),
            notes=_notes(recorded, page_size),
        ),
        operation,
        number[draw],
        length,
        histories.cpu[place],
        begin,
        begin.copy(),
    )


def _check(operations: int, seed: int, update_share: float, page_size: int) -> None:
    """Raise ZsemuError for an argument out of range."""
    if not 1 <= operations <= MAX_OPERATIONS:
        raise ZsemuError(f"{operations} operations: give 1 to {MAX_OPERATIONS} with --operations")
    if seed < 0:
        raise ZsemuError(f"seed {seed}: give 0 or more with --seed")
    if not 0 <= update_share <= 1:
        raise ZsemuError(f"update share {update_share}: give 0 to 1 with --update-share")
    if page_size not in geometry.PAGE_SIZES:
        choices = ", ".join(map(str, geometry.PAGE_SIZES))
        raise ZsemuError(f"unknown page size {page_size}; choose one of {choices}")


def _notes(recorded: Trace, page_size: int) -> tuple[str, ...]:
    """Return the notes of a synthetic trace: what the recording was, and what was scaled."""
    source = recorded.metadata
    notes = [f"{recorded.name}: {source.provenance}"] if source.provenance else []
    if page_size != source.page_size:
        notes.append(
            f"lengths are those recorded with pages of {source.page_size} bytes, scaled to pages "
            f"of {page_size}: no measurement of what compresses to how much there"
        )
    return tuple(notes)
