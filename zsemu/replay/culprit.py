# SPDX-License-Identifier: GPL-2.0-only
"""Find the culprit of a wrong byte, the instruction that last stored into it, by a second replay.

A wrong byte in memory is noticed when somebody reads it, long after the store that made it wrong.
So the trace is replayed once more. In the batches that matter every access is hooked, and the hooks
watch that byte.
"""

import numpy as np

from zsemu.replay.batch import Batch
from zsemu.replay.by_shape import EachLength
from zsemu.replay.machines import Stopped
from zsemu.replay.observation import Observation, StrictTranslations, Subject


def culprit(
    subject: Subject, batch: Batch, which: int, *, byte: int, first: int, strict: bool
) -> int | None:
    """Return the pc of the last store before the end of an operation that changed a byte of RAM.

    The operation is number ``which`` of ``batch``. ``byte`` is an offset in RAM; with -1 the pc is
    that where the replay ends. ``first`` is the batch from which on everything is hooked; with
    ``strict`` that is all of them. None if there was no such store.
    """
    kind = StrictTranslations if strict else EachLength
    search = _Search(kind(subject, watch=byte), range(first, batch.number + 1), batch.index[which])
    try:
        return search.run()
    except Stopped:
        return search.observation.machines.events.pc


class _Search:
    """A replay that ends with the operation whose culprit is wanted."""

    def __init__(self, observation: Observation, hooked: range, until: int) -> None:
        self.observation, self._hooked, self._until = observation, hooked, int(until)

    def run(self) -> int | None:
        writer = self.observation.machines.writer
        for batch in writer.batches():
            if batch.number in self._hooked:
                self.observation.observe_all(batch, self._end(batch))
            else:
                self.observation.run(batch)
            if self._is_last(batch):
                return self._found()
        for batch in writer.readback():
            self.observation.observe_all(batch, self._end(batch))
            if self._is_last(batch):
                return self._found()
        return None

    def _is_last(self, batch: Batch) -> bool:
        return batch.number == self._hooked[-1] and self._until in batch.index

    def _end(self, batch: Batch) -> int | None:
        """Return where to stop in the last batch: what comes after it may store there, too."""
        if not self._is_last(batch):
            return None
        return int(np.searchsorted(batch.index, self._until, side="right"))

    def _found(self) -> int | None:
        return self.observation.machines.events.watched_pc


def first_batch(observation: Observation, batch: Batch, which: int, byte: int) -> int:
    """Return the batch from which on a byte may have been changed: that of its object's birth."""
    machines = observation.machines
    if byte < machines.memory.pool:
        return batch.number
    return int(machines.writer.born[batch.part.trace.object[batch.rows[which]]])
