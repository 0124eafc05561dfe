# SPDX-License-Identifier: GPL-2.0-only
"""What bytes each shipped strategy must move, from the definitions of facts and mails alone.

Nothing here looks at the strategies' code or at what was measured. Every function returns, per
operation, bytes by (phase, "region.loads" or "region.stores").
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsemu.traces.operation import Operation

Ints = NDArray[np.int64]
Bytes = dict[tuple[str, str], Ints]


@dataclass(frozen=True)
class Case:
    """n operations and where their objects lie; arrays of shape (n,)."""

    operation: Ints
    zspage: Ints
    slot: Ints
    page: Ints
    offset: Ints
    class_size: Ints
    header: Ints
    length: Ints
    page_size: int

    @property
    def spans(self) -> NDArray[np.bool_]:
        return self.offset + self.class_size > self.page_size

    @property
    def first(self) -> Ints:
        """Bytes of the object (slot without header) in its first page, if it spans."""
        return self.page_size - self.offset - self.header

    @property
    def second(self) -> Ints:
        return self.offset + self.class_size - self.page_size

    def where(self, condition: NDArray[np.bool_], value: Ints | int) -> Ints:
        return np.where(condition, value, 0)


def _access(case: Case, home: str, condition: NDArray[np.bool_]) -> Bytes:
    """Copy between where the object is whole and the caller, where the condition holds."""
    out = case.where(condition & (case.operation != Operation.WRITE), case.length)
    into = case.where(condition & (case.operation != Operation.READ), case.length)
    return {
        ("access", f"{home}.loads"): out,
        ("access", "caller.stores"): out,
        ("access", "caller.loads"): into,
        ("access", f"{home}.stores"): into,
    }


def _sum(*parts: Bytes) -> Bytes:
    total: Bytes = {}
    for part in parts:
        for key, value in part.items():
            total[key] = total.get(key, np.zeros_like(value)) + value
    return total


def _move(phase: str, source: str, target: str, number: Ints) -> Bytes:
    return {(phase, f"{source}.loads"): number, (phase, f"{target}.stores"): number}


def _exchange(phase: str, number: Ints) -> Bytes:
    return _move(phase, "pool", "pool", 2 * number)


def untouched(case: Case) -> Bytes:
    """pgtable, sg: nothing but the access."""
    uses = case.operation >= Operation.READ
    return _access(case, "pool", uses)


def copy(case: Case) -> Bytes:
    """The whole slot in and out."""
    uses = case.operation >= Operation.READ
    moved = case.where(uses & case.spans, case.class_size)
    return _sum(
        _move("map", "pool", "buffer", moved),
        _move("unmap", "buffer", "pool", moved),
        _access(case, "buffer", uses & case.spans),
        _access(case, "pool", uses & ~case.spans),
    )


def copy_modes(case: Case) -> Bytes:
    """Nothing in for a write, nothing out for a read, the header never out."""
    uses = case.operation >= Operation.READ
    enters = uses & case.spans & (case.operation != Operation.WRITE)
    leaves = uses & case.spans & (case.operation != Operation.READ)
    return _sum(
        _move("map", "pool", "buffer", case.where(enters, case.class_size)),
        _move("unmap", "buffer", "pool", case.where(leaves, case.class_size - case.header)),
        _access(case, "buffer", uses & case.spans),
        _access(case, "pool", uses & ~case.spans),
    )


def swap(case: Case) -> Bytes:
    """What lies in the first page changes places, and back."""
    uses = case.operation >= Operation.READ
    moved = case.where(uses & case.spans, case.first)
    return _sum(_exchange("map", moved), _exchange("unmap", moved), _access(case, "pool", uses))


def swap_min(case: Case) -> Bytes:
    """The smaller part changes places, and back."""
    uses = case.operation >= Operation.READ
    moved = case.where(uses & case.spans, np.minimum(case.first, case.second))
    return _sum(_exchange("map", moved), _exchange("unmap", moved), _access(case, "pool", uses))


def readwrite(case: Case) -> Bytes:
    """Length bytes between pages and caller, if the object itself spans or is written."""
    uses = case.operation >= Operation.READ
    spans = case.offset + case.header + case.length > case.page_size
    enters = uses & spans & (case.operation != Operation.WRITE)
    leaves = (case.operation == Operation.WRITE) | (case.operation == Operation.UPDATE) & spans
    return _sum(
        _move("map", "pool", "caller", case.where(enters, case.length)),
        _move("unmap", "caller", "pool", case.where(leaves, case.length)),
        _access(case, "pool", uses & ~spans & (case.operation != Operation.WRITE)),
    )


def swap_lazy(case: Case) -> Bytes:
    """As swap, undone only for whoever needs the displaced bytes; followed one by one."""
    n = len(case.operation)
    moved = {phase: np.zeros(n, np.int64) for phase in ("settle", "map")}
    # (zspage, slot) of every object that is whole in its second page -> bytes to undo
    whole: dict[tuple[int, int], int] = {}
    for i in range(n):
        zspage, slot = int(case.zspage[i]), int(case.slot[i])
        spans = bool(case.spans[i])
        uses = case.operation[i] >= Operation.READ
        phase = "map" if uses else "settle"
        # The slot before has this one's first bytes, if it is whole.
        moved[phase][i] += whole.pop((zspage, slot - 1), 0)
        if not uses:
            moved[phase][i] += whole.pop((zspage, slot), 0)
        elif spans and (zspage, slot) not in whole:
            # The slot behind must have its own bytes before they are displaced.
            moved[phase][i] += whole.pop((zspage, slot + 1), 0)
            whole[zspage, slot] = int(case.first[i])
            moved[phase][i] += int(case.first[i])
        if case.operation[i] == Operation.FREE:
            # Nothing of a freed slot is left that a new zspage of the same number could inherit.
            assert (zspage, slot) not in whole
    return _sum(
        _exchange("settle", moved["settle"]),
        _exchange("map", moved["map"]),
        _access(case, "pool", case.operation >= Operation.READ),
    )


STRATEGIES = {
    "pgtable": untouched,
    "copy": copy,
    "copy-modes": copy_modes,
    "swap": swap,
    "swap-min": swap_min,
    "swap-lazy": swap_lazy,
    "readwrite": readwrite,
    "sg": untouched,
}
