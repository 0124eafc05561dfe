# SPDX-License-Identifier: GPL-2.0-only
"""Find what did something wrong that shows late, by a second replay.

A wrong byte in memory is noticed when somebody reads it, long after the store that made it wrong.
And only an observing CPU knows the very instruction at which the guest stopped. So the trace is
replayed once more. In the batches that matter every access is hooked, and the hooks watch that
byte.
"""

import numpy as np

from zsemu.guest.hooks import Place
from zsemu.replay.batch import Batch
from zsemu.replay.by_shape import EachLength
from zsemu.replay.machines import Stopped
from zsemu.replay.observation import Observation, StrictTranslations


class Culprit:
    """Finds the culprits of one replay; this class does not."""

    def of_byte(self, batch: Batch, which: int, byte: int) -> Place | None:
        """Return where a byte of RAM was changed last before the end of an operation of a batch."""

    def of_stop(self, batch: Batch, which: int) -> Stopped | None:
        """Return what stops an operation of a batch, as an observing CPU sees it."""


class SecondReplay(Culprit):
    """Finds them by replaying the same again."""

    def __init__(self, observation: Observation) -> None:
        """Take the observation of the replay in which something went wrong."""
        self._subject, self._first = observation.subject, observation

    def of_byte(self, batch: Batch, which: int, byte: int) -> Place | None:
        """Return where a byte of RAM was changed last before the end of an operation of a batch.

        A byte that the user's access took to its buffer was wrong before, where the payload lies.
        """
        found = self._of_byte(batch, which, byte)
        image = self._subject.image
        if found is None or found.pc < image.address("zs_access_start"):
            return found
        payload = _in_slot(batch, which, byte)
        stored = None if payload is None else self._of_byte(batch, which, payload)
        return found if stored is None or stored.pc == found.pc else stored

    def _of_byte(self, batch: Batch, which: int, byte: int) -> Place | None:
        machines, first = self._first.machines, batch.number
        if byte >= machines.memory.pool:
            # It may have been changed since its object's birth.
            first = int(machines.writer.born[batch.part.trace.object[which]])
        try:
            return self._replay(batch, which, first, byte)
        except Stopped as stop:
            return stop.place

    def of_stop(self, batch: Batch, which: int) -> Stopped | None:
        """Return what stops an operation of a batch, as an observing CPU sees it."""
        try:
            self._replay(batch, which, batch.number, -1)
        except Stopped as stop:
            return stop
        return None

    def _replay(self, batch: Batch, which: int, first: int, byte: int) -> Place | None:
        """Replay up to an operation, everything hooked from batch ``first`` on; watch a byte."""
        kind = StrictTranslations if self._first.machines.strict else EachLength
        observation = kind(self._subject, watch=byte)
        hooked = range(first, batch.number + 1)
        return _Search(observation, hooked, batch.index[which]).run()


def _in_slot(batch: Batch, which: int, byte: int) -> int | None:
    """Return where in the pool the byte lies that was seen in the caller's buffer, if there."""
    expected = batch.expected[which]
    inside = byte - int(expected["given"])
    if not 0 <= inside < int(expected["length"]):
        return None
    at, first = inside + int(expected["header"]), int(expected["bytes"][0])
    return int(expected["part"][0]) + at if at < first else int(expected["part"][1]) + at - first


class _Search:
    """A replay that ends with the operation whose culprit is wanted."""

    def __init__(self, observation: Observation, hooked: range, until: int) -> None:
        self.observation, self._hooked, self._until = observation, hooked, int(until)

    def run(self) -> Place | None:
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

    def _found(self) -> Place | None:
        return self.observation.machines.events.watched
