# SPDX-License-Identifier: GPL-2.0-only
"""Operations that the guest carries out together, and the objects that they leave alive."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zsemu.replay.placed_trace import PlacedTrace
from zsemu.traces.operation import Operation

_OBJECT: Final = np.dtype(
    [
        ("alive", bool),
        ("index", np.int64),
        ("number", np.int64),
        ("length", np.uint32),
        ("cpu", np.uint16),
        ("class_index", np.int32),
        ("slot", np.int64),
        ("offset", np.int64),
    ]
)


@dataclass(frozen=True)
class Operations:
    """Some operations; all arrays have shape (n,)."""

    index: NDArray[np.int64]
    """number of the operation in the whole trace; of what follows its end, of the allocation"""
    operation: NDArray[np.uint8]
    """zsemu.traces.operation.Operation"""
    object: NDArray[Any]
    """by which the guest knows the object; used again once the object is freed"""
    number: NDArray[Any]
    """of the object in the whole trace"""
    length: NDArray[np.int64]
    cpu: NDArray[np.uint16]
    class_index: NDArray[Any]
    slot: NDArray[Any]
    offset: NDArray[Any]
    """of the slot in the page in which it starts"""
    spans: NDArray[np.bool_]
    action: str = ""
    """what they are in words, if they are none of the trace's"""

    def __len__(self) -> int:
        return len(self.index)

    @property
    def maps(self) -> NDArray[np.bool_]:
        """Whether each maps its object."""
        return self.operation >= Operation.READ


def some(part: PlacedTrace, first: int, end: int) -> Operations:
    """Return operations ``first`` to ``end`` of a part of a trace."""
    chosen = slice(first, end)
    trace, placed = part.trace, part.placed
    number = trace.object if part.number is None else part.number
    return Operations(
        index=part.first + np.arange(first, end),
        operation=trace.operation[chosen],
        object=trace.object[chosen],
        number=number[chosen],
        length=trace.length[chosen].astype(np.int64),
        cpu=trace.cpu[chosen],
        class_index=placed.class_index[chosen],
        slot=placed.slot[chosen],
        offset=placed.offset[chosen],
        spans=placed.spans[chosen],
    )


class LiveObjects:
    """The objects that are alive, and where the model has put each."""

    def __init__(self, objects: int) -> None:
        self._table = np.zeros(objects, _OBJECT)

    def follow(self, done: Operations) -> None:
        """Follow operations that have been carried out."""
        rows = np.flatnonzero(done.operation <= Operation.FREE)
        # The last of each object decides: np.unique() finds the first, so it looks from the end.
        objects, last = np.unique(done.object[rows][::-1], return_index=True)
        rows = rows[::-1][last]
        self._table["alive"][objects] = done.operation[rows] == Operation.ALLOCATE
        for name in _OBJECT.names or ():
            if name != "alive":
                self._table[name][objects] = getattr(done, name)[rows]

    def handles(self) -> NDArray[np.int64]:
        """Return the objects that are alive, by what the guest knows them by."""
        return np.flatnonzero(self._table["alive"])

    def operations(
        self, objects: NDArray[np.int64], operation: Operation, action: str
    ) -> Operations:
        """Return an operation for each of some objects that are alive."""
        found = self._table[objects]
        return Operations(
            index=found["index"],
            operation=np.full(len(objects), operation, np.uint8),
            object=objects.astype(np.uint32),
            number=found["number"],
            length=found["length"].astype(np.int64),
            cpu=found["cpu"],
            class_index=found["class_index"],
            slot=found["slot"],
            offset=found["offset"],
            spans=np.zeros(len(objects), bool),
            action=action,
        )
