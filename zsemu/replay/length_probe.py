# SPDX-License-Identifier: GPL-2.0-only
"""Find out whether it matters to a strategy how long the object is that it maps.

A strategy may copy a whole slot, or only say where an object is: then what it does is the same for
every length, and one shape stands for all. Whether that is so is found out before a trace is
replayed, by mapping objects that differ in nothing but their lengths, each map observed.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import COLUMNS, PHASES, STRATEGY_PHASES
from zsemu.replay.batch import Batch
from zsemu.replay.observation import Listener
from zsemu.replay.placed_trace import PlacedTrace
from zsemu.replay.script import ScriptBuilder
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import Geometry

_MAPS: Final = (Operation.READ, Operation.WRITE, Operation.UPDATE)
_SHARES: Final = (0.88, 0.4, 0.09)
"""sizes of the classes, in pages: of the first all slots but one span, of the last few"""
_PHASES: Final = [PHASES.index(phase) for phase in STRATEGY_PHASES]


class LengthProbe(Listener):
    """Maps of objects in a few slots, in every mode and of lengths from the least to the most."""

    def __init__(self, geometry: Geometry, *, settles: bool) -> None:
        """``settles``: the strategy has zs_settle(), so that a neighbour may be displaced."""
        self._builder = ScriptBuilder(geometry)
        self._group: list[int] = []
        self._at: list[int] = []
        self._kind: list[tuple[int, bool]] = []
        """of each group: operation, and whether the slot spans"""
        for share in _SHARES:
            class_index = int(geometry.class_index(int(share * geometry.page_size)))
            spans = geometry.slots_of(class_index).spans
            inner, crossing = np.flatnonzero(~spans), np.flatnonzero(spans)
            for slot in np.unique([*inner[:1], *crossing[:1], *crossing[-1:]]).tolist():
                self._add(class_index, slot, settles=settles)
        self.placed: PlacedTrace = self._builder.placed()
        """what is to be replayed, every operation observed"""
        self._rows: list[NDArray[np.uint32]] = []
        self._spans: list[NDArray[np.integer]] = []

    def _add(self, class_index: int, slot: int, *, settles: bool) -> None:
        builder, geometry = self._builder, self._builder.geometry
        slots = geometry.slots_of(class_index)
        zspage = builder.zspage(class_index)
        full = builder.capacity(zspage)
        near = range(max(0, slot - 1), min(len(slots), slot + 2))
        objects = {one: builder.allocate(zspage, one, full) for one in near}
        for number in objects.values():
            builder.use(Operation.WRITE, number)
        inside = geometry.page_size - int(slots.offset[slot] + geometry.headers[class_index])
        lengths = {1, 7, 64, inside, inside + 1, full - 1, full}
        for operation in _MAPS:
            for first in (None, *objects) if settles else (None,):
                self._kind.append((operation, bool(slots.spans[slot])))
                for length in sorted(one for one in lengths if 0 < one <= full):
                    for number in objects.values() if settles else ():
                        builder.settle(number)
                    if first is not None:
                        builder.use(Operation.READ, objects[first])
                    self._group.append(len(self._kind) - 1)
                    self._at.append(len(builder))
                    builder.use(operation, objects[slot], length)

    def observed(
        self, batch: Batch, which: NDArray[np.int64] | slice, rows: NDArray[np.uint32]
    ) -> None:
        """Keep what each operation cost, and where it found its object."""
        if not batch.is_readback:
            self._rows.append(rows.copy())
            self._spans.append(batch.ops["span"][which].copy())

    def matter(self) -> NDArray[np.bool_]:
        """Return for which maps the length matters, shape (operations, 2): not spanning, spanning.

        It does not if maps that differ in nothing else cost the same, and if each found its object
        in one piece.
        """
        rows, span = np.concatenate(self._rows), np.concatenate(self._spans)
        group = np.array(self._group)
        cost = rows[self._at][:, _PHASES, : len(COLUMNS)]
        first = np.searchsorted(group, group)
        differs = (cost != cost[first]).any(axis=(1, 2)) | (span[self._at] == 0)
        kind = np.array(self._kind, np.int64)[group]
        matter = np.zeros((len(Operation), 2), bool)
        for operation in _MAPS:
            for spans in (0, 1):
                chosen = (kind == (operation, spans)).all(axis=1)
                matter[operation, spans] = differs[chosen].any() or not chosen.any()
        return matter
