# SPDX-License-Identifier: GPL-2.0-only
"""Replay: a placed trace through a kernel's own allocator, judged, compared and counted."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsemu import counts
from zsemu.errors import ZsemuError
from zsemu.kernel.facts import KernelFacts
from zsemu.kernel.object import Api
from zsemu.kernel.operations import Operations
from zsemu.kernel.placementcheck import PlacementCheck
from zsemu.kernel.run import KernelRun
from zsemu.kernel.scout import Scout
from zsemu.kernel.shapes import Costs, Sums
from zsemu.replay.placed_trace import PlacedStream, PlacedTrace
from zsemu.replay.spanning_costs import ByShape, keys
from zsemu.replay.violations import Violation
from zsemu.traces.operation import Operation


@dataclass(frozen=True)
class KernelOutcome:
    """What one replay found."""

    sums: NDArray[np.int64]
    """counts, shape (scopes, phases, kinds, columns); meaningless after a violation"""
    by_shape: ByShape
    """what spanning maps cost, own and copy; meaningless after a violation"""
    calls: dict[str, int]
    """operations of the phases malloc and free"""
    shapes: int
    """distinct shapes measured; 0 if every operation was"""
    compared: int
    """allocations and maps whose placement was compared with the model"""
    violation_count: int
    violations: list[Violation]


class KernelReplay(KernelRun):
    """One replay of one object over one placed trace."""

    def __init__(
        self,
        facts: KernelFacts,
        placed: PlacedTrace | PlacedStream,
        *,
        observe_from: int | None = None,
        progress: Callable[[int], None] | None = None,
        seed: int = 0,
    ) -> None:
        """``observe_from``: the operation from whose batch on all are observed, 0 for every one.

        Otherwise one of each shape is observed, and a few more. If these do not agree with the
        block hits, run() does it all again and observes everything.
        """
        super().__init__(facts, placed, progress=progress, seed=seed)
        self._observe_from = observe_from
        self._everything = Sums()
        self._costs = Costs(by_length=facts.linked.kernel.api != Api.MAP)
        self._check = PlacementCheck(facts, self.memory, self.judge)
        self._scout = None if observe_from == 0 else Scout(facts, self.sizes, seed)
        self._paths: NDArray[np.uint64] | None = None
        self._random = np.random.default_rng(seed)
        self._calls = {"malloc": 0, "free": 0}

    def run(self) -> KernelOutcome:
        """Replay all of the trace."""
        self.go()
        if self.judge.count:
            return self._with_instruction()
        if self._observe_from is None and not self._costs.finish(self.fast_hooks.instructions()):
            # What it costs is no function of the shape.
            return self._again(0).run()
        return self._outcome()

    def _again(self, observe_from: int) -> "KernelReplay":
        return KernelReplay(
            self.facts,
            self.placed,
            observe_from=observe_from,
            progress=self.progress,
            seed=self.seed,
        )

    def _with_instruction(self) -> KernelOutcome:
        """Return the outcome; if the guest stopped unobserved, that of a run that names where."""
        if self.fast_stop < 0 or self._observe_from is not None:
            return self._outcome()
        observed = self._again(self.fast_stop).run()
        return observed if observed.violation_count else self._outcome()

    def _outcome(self) -> KernelOutcome:
        found = self._everything if self._observe_from == 0 else self._costs
        return KernelOutcome(
            sums=found.sums,
            by_shape=found.spanning.document(),
            calls=self._calls,
            shapes=found.shapes,
            compared=self._check.compared,
            violation_count=self.judge.count,
            violations=self.judge.violations,
        )

    def choose(self, part: PlacedTrace, batch: Operations) -> NDArray[np.bool_]:
        """Say which operations of a batch are observed, shape (n,)."""
        if self._scout is None:
            return np.ones(len(batch), bool)
        self._paths = self._scout.paths(batch)
        observed = self._costs.choose(
            batch.maps, self._keys(batch), batch.length, self._begins(part, batch), self._random
        )
        if self._paths is None:
            observed |= ~batch.maps
        if self._observe_from is not None and batch.index[-1] >= self._observe_from:
            observed[:] = True
        return observed

    def _keys(self, batch: Operations) -> NDArray[np.uint64]:
        """Return class, slot and mode of every map, and the path of what is none."""
        where = batch.class_index.astype(np.int64) << 32 | batch.slot.astype(np.int64) << 3
        key: NDArray[np.uint64] = (where | batch.operation).astype(np.uint64)
        if self._paths is None:
            return key
        # Above what a map's key can be.
        path = self._paths | np.uint64(1) << np.uint64(63)
        return np.where(batch.maps, key, path).astype(np.uint64)

    @staticmethod
    def _begins(part: PlacedTrace, batch: Operations) -> NDArray[np.int64]:
        """Return where in a cache line each payload begins; those in a buffer are apart."""
        header = part.geometry.headers[batch.class_index]
        inside = np.where(batch.spans, 0, batch.offset) + header
        begins: NDArray[np.int64] = (inside % counts.LINE + counts.LINE * batch.spans).astype(
            np.int64
        )
        return begins

    def learn(
        self,
        part: PlacedTrace,
        batch: Operations,
        ops: NDArray[np.void],
        observed: NDArray[np.bool_],
        scope: NDArray[np.uint8],
    ) -> None:
        """Compare the placement of a batch, and add what it has cost."""
        others = ~batch.maps
        if self._paths is not None and not np.array_equal(
            self.signature[: len(batch)][others], self._paths[others]
        ):
            raise ZsemuError(f"{self.facts.linked.kernel.path}: two runs of it took two paths")
        self._check.batch(part, int(batch.index[0]) - part.first, batch, ops)
        self._calls["malloc"] += int(np.count_nonzero(batch.operation == Operation.ALLOCATE))
        self._calls["free"] += int(np.count_nonzero(batch.operation == Operation.FREE))
        head = part.geometry.page_size - batch.offset
        tail = part.geometry.sizes[batch.class_index] - head
        slot = np.stack([head, np.where(batch.spans, tail, 0)], axis=1).astype(np.uint64)
        spanning = keys(batch.operation, slot)
        rows = self.rows[: len(batch)]
        if self._observe_from == 0:
            self._everything.add(scope, rows, spanning)
        else:
            self._costs.learn(observed, scope, rows, spanning)
