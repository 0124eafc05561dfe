# SPDX-License-Identifier: GPL-2.0-only
"""Replay: runs a placed trace through one image, proves every object intact and counts.

Two machines share the memory. The fast one counts block hits; the guest's driver stops it before
an operation whose shape has not been measured, which the observing one then runs with every event
hooked. Where the length of an object does not matter to the strategy, all lengths are one shape,
and the accesses are measured by themselves when all has been replayed.

In every run, what the shapes sum up to must equal what the block hits say of all that the strategy
executed; operations of a known shape, of which some are observed again, must cost the same; and
accesses that were observed what was measured for them. A strategy whose cost turns out to be no
function of the shape is replayed once more with everything hooked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import (
    CHECKS,
    COLUMNS,
    INSTRUCTIONS,
    PHASES,
    PROFILE,
    SCOPE_COLUMNS,
    UNCOUNTED,
)
from zsemu.errors import ZsemuError
from zsemu.guest.hooks import EXPECTED, TOO_MANY_BLOCKS, TOO_MUCH_MEMORY, Hooks
from zsemu.guest.image import Image
from zsemu.guest.machine import Fault, Machine
from zsemu.guest.memory import Memory, Sizes
from zsemu.guest.structures import StopAt
from zsemu.replay import accesses, judgement, spanning_costs, violations
from zsemu.replay.batch import Batch, BatchWriter
from zsemu.replay.judgement import Finding
from zsemu.replay.lengths import Lengths
from zsemu.replay.placed_trace import MAX_ARENA, MAX_OPERATIONS, PlacedStream, PlacedTrace
from zsemu.replay.shapes import Index, Shapes
from zsemu.replay.spanning_costs import ByShape, SpanningCosts
from zsemu.replay.violations import FINAL_READ, Violation
from zsemu.traces.trace import Operation

BUDGET: Final = 1 << 20
"""blocks, or instructions where those are hooked, that one phase of one operation may take"""

_ACCESS: Final = PHASES.index("access")

_SAMPLES: Final = 4
"""operations of each batch that are observed whether their shape is known or not"""

_READBACK: Final = 1 << 62
"""number that stands for all batches of the read-back"""


@dataclass(frozen=True)
class Outcome:
    """What one replay found."""

    sums: NDArray[np.int64]
    """counts, shape (SCOPE_COLUMNS, phases, columns); meaningless after a violation"""
    by_shape: ByShape
    """what spanning maps cost by where the end of the page falls; meaningless after a violation"""
    violation_count: int
    violations: list[Violation]
    shapes: int
    """distinct shapes measured; 0 if every operation was"""
    shows: dict[str, int]
    """for those of counts.CHECKS that some observed operation was not zero in, the first such"""


class _Stopped(Exception):  # noqa: N818 - not an error, a way out
    """The replay cannot go on."""


@dataclass(frozen=True)
class _Watch:
    """Hook everything in some batches, and find the last store that changed a byte of RAM."""

    first: int
    last: int
    """batches"""
    offset: int
    """-1 for none"""
    until: int
    """operation of the trace with which the watch ends"""


class Replay:
    """One run of one image over one Work.

    ``full`` observes every operation. ``strict`` does so, too, and keeps translations as a TLB may
    that never forgets: a page-table entry that was valid is served as it was until its invalidate.
    The strategy is held to the ``promises`` given.

    With ``lengths``, an operation of each length is observed, whether or not that matters to the
    strategy, and its access with it. With ``brief``, only one is of each mode and state in each
    size class, on an object that spans and on one that does not; contents are judged as ever, and
    nothing is counted.

    With ``weigh``, which says how often each operation of a batch is to count, shape (n,), what
    those that are observed do is counted by instruction, too.
    """

    def __init__(
        self,
        image: Image,
        work: PlacedTrace | PlacedStream,
        *,
        full: bool = False,
        strict: bool = False,
        lengths: bool = False,
        brief: bool = False,
        promises: Sequence[str] = (),
        progress: Callable[[int], None] | None = None,
        weigh: Callable[[Batch], NDArray[np.integer]] | None = None,
        watch: _Watch | None = None,
    ) -> None:
        self._image, self._work, self._watch = image, work, watch
        self._full, self._strict, self._promises = full or strict, strict, promises
        # What is weighed is what is observed, and so the accesses must be.
        self._lengths, self._brief = lengths or weigh is not None, brief
        self._progress, self._weigh = progress, weigh
        sizes = Sizes(
            cpus=work.cpus,
            operations=MAX_OPERATIONS,
            # One operation may be larger than the limit of a batch, if it is alone in it.
            arena=MAX_ARENA + 4 * work.geometry.page_size,
            zspages=work.zspages,
            pages=work.pages,
        )
        self._memory = memory = Memory(image, sizes, work.page_shift)
        self._builder = BatchWriter(work, memory, by_slot=not brief)
        self._fast_hooks, self._hooks_all = (Hooks(memory, budget=BUDGET) for _ in range(2))
        self._hooks_all.observe(
            self._builder.owner,
            self._builder.index,
            promises=promises,
            watch=watch.offset if watch else -1,
        )
        if not strict:
            self._fast, self._observer = Machine(memory), Machine(memory)
            self._fast_hooks.attach_blocks(self._fast.uc)
        else:
            # The table is a device of this one machine.
            self._fast = self._observer = Machine(memory, strict=self._hooks_all)
        self._hooks_all.attach_everything(self._observer.uc)
        self._rows = self._hooks_all.rows(MAX_OPERATIONS)
        if weigh:
            self.profile = self._hooks_all.profile()
            """what each instruction did, shape (phases, bytes of code, PROFILE)"""
            self._weights = np.zeros(0, np.uint64)
            self.weighed = np.zeros((len(PHASES), len(PROFILE)), np.int64)
            """the same from the operations' rows"""
        self._static = Index()
        self._shapes = Shapes()
        self._regions = memory.regions()
        self._seen: list[tuple[NDArray[np.uint64], NDArray[np.uint32]]] = []
        """accesses observed with operations: keys, shape (n,), and rows, shape (n, columns)"""
        self._boundary = SpanningCosts()
        self._observed = np.zeros((len(PHASES), SCOPE_COLUMNS), np.int64)
        """instructions of the operations that were observed because their shape was new"""
        self._sums = np.zeros((SCOPE_COLUMNS, len(PHASES), len(COLUMNS)), np.int64)
        self._shows: dict[str, int] = {}
        self._violations: list[Violation] = []
        self._violation_count = 0
        self._number = 0
        self.culprit: int | None = None
        """what a watch found: a pc"""

    @property
    def observer(self) -> Machine:
        """The machine that runs what is observed: with ``full``, all; hooks may be added to it."""
        return self._observer

    def run(self) -> Outcome:
        """Replay all of the trace, then read back what is alive at the end."""
        watch = self._watch
        if self._brief:
            self._builder.by_length = np.zeros((len(Operation), 2), bool)
        elif not (self._full or watch or self._lengths):
            self._builder.by_length = self._by_length()
        try:
            for number, batch in enumerate(self._builder.batches()):
                self._number = number
                if self._full or (watch and watch.first <= number <= watch.last):
                    self._observe_all(batch)
                else:
                    self._run(batch)
                self._judge(batch)
                if self._progress:
                    self._progress(len(batch.index))
            self._number = _READBACK
            for batch in self._builder.readback():
                if watch or self._full:
                    self._observe_all(batch)
                else:
                    self._set_expected(batch)
                    self._drive(self._fast, self._fast_hooks, batch, 0, StopAt.NEVER)
                self._judge(batch)
        except _Stopped:
            return self._outcome()
        if self._full or self._brief:
            return self._outcome()
        if not self._violation_count and not self._add_up():
            again = Replay(
                self._image,
                self._work,
                full=True,
                promises=self._promises,
                progress=self._progress,
            )
            outcome = again.run()
            self._confirm(outcome)
            return outcome
        return self._outcome()

    def per_cpu(self) -> dict[str, str]:
        """Return what of each CPU's memory the strategy has used, after a run that was strict."""
        memory = self._memory
        entries = words = 0
        for cpu in range(memory.sizes.cpus):
            area = memory.view(memory.area + cpu * memory.area_stride, memory.types.area, 1)[0]
            words = max(words, sum(bool(area[f"private{i}"]) for i in range(4)))
        pte = COLUMNS.index("pte_stores")
        entries = 2 if self._sums[:, :, pte].any() else 0
        return {
            "per-CPU buffer, bytes": str(self._hooks_all.raw.buffer_used),
            "per-CPU window, pages": str(entries),
            "per-CPU words": str(words),
        }

    def occurrences(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return as Shapes does which operations were measured, and for how many, after a run."""
        return self._shapes.occurrences()

    def _outcome(self) -> Outcome:
        return Outcome(
            sums=self._sums,
            by_shape=self._boundary.document(),
            violation_count=self._violation_count,
            violations=self._violations,
            shapes=len(self._shapes),
            shows=self._shows,
        )

    def _add_up(self) -> bool:
        """Sum up shapes and accesses, and say whether observations and block hits agree."""
        measured = self._measure_accesses()
        fast = np.zeros((len(PHASES), SCOPE_COLUMNS), np.int64)
        for part in self._shapes.parts(measured.cost):
            self._boundary.add(part.label, part.times, part.rows)
            for scope in np.unique(part.scope).tolist():
                chosen = part.scope == scope
                rows = part.rows[chosen].astype(np.int64)
                self._sums[scope] += np.tensordot(part.times[chosen], rows, 1)
                fast[:, scope] += part.fast[chosen] @ rows[:, :, INSTRUCTIONS]
        fast[_ACCESS] = 0
        counted = self._fast_hooks.instructions(self._image)
        counted[:, UNCOUNTED] = 0  # the read-back
        same = all(np.array_equal(measured.cost(keys), rows) for keys, rows in self._seen)
        return same and self._shapes.consistent and np.array_equal(counted, fast)

    def _confirm(self, outcome: Outcome) -> None:
        """Hold what an observed replay has counted against this one, which did not trust shapes."""
        observed = outcome.sums[:, :, INSTRUCTIONS].T.copy()
        observed[_ACCESS] = 0
        counted = self._fast_hooks.instructions(self._image) + self._observed
        counted[:, UNCOUNTED] = 0
        if not outcome.violation_count and not np.array_equal(counted, observed):
            raise ZsemuError(
                f"{self._image.path.name}: block hits stand for {counted.sum()} instructions, and"
                f" {observed.sum()} were observed: a bug in zsemu, or the strategy is not"
                " deterministic"
            )

    # How a batch runs.

    def _set_expected(self, batch: Batch) -> None:
        for hooks in (self._fast_hooks, self._hooks_all):
            hooks.point("expected", batch.expected)
        if self._weigh:
            counted = self._weigh(batch) if self._number < _READBACK else np.zeros(len(batch.index))
            self._weights = counted.astype(np.uint64)
            self._hooks_all.point("weight", self._weights)

    def _add_weighed(self, observed: NDArray[np.int64] | slice) -> None:
        """Add up the rows of operations that were observed, by their numbers in the batch."""
        if self._weigh:
            rows = self._rows[observed, :, : len(PROFILE)].astype(np.int64)
            self.weighed += np.tensordot(self._weights[observed].astype(np.int64), rows, 1)

    def _drive(
        self,
        machine: Machine,
        hooks: Hooks,
        batch: Batch,
        first: int,
        stop_at: StopAt,
        last: int | None = None,
    ) -> int:
        """Run operations from ``first`` on; return the one before which the driver stopped."""
        control = self._memory.batch
        control["first"], control["stop_at"] = first, stop_at
        control["last"] = len(batch.index) if last is None else last
        fault = None
        try:
            machine.drive()
        except Fault as found:
            fault = found
        at = int(control["current"][0])
        if fault:
            self._stop(
                batch, at, hooks, violations.FAULT, f"page fault or other exception: {fault}"
            )
        if hooks.raw.exhausted == TOO_MANY_BLOCKS:
            raise ZsemuError("the image has more blocks than there is room for: a bug in zsemu")
        if hooks.raw.exhausted:
            what = "does not return"
            if hooks.raw.exhausted == TOO_MUCH_MEMORY:
                what = "touches more memory than any object has"
            detail = f"{PHASES[hooks.raw.phase]} {what}"
            self._stop(batch, at, hooks, violations.ENDLESS, detail)
        if at < len(batch.index) and batch.ops["error"][at]:
            detail = "zs_map_object() must give 1 or 2 spans of the object's length together"
            spans = Finding(at, violations.SPANS, detail)
            self._add(batch, spans, pc=self._image.address("zs_map_object"))
            raise _Stopped
        return at

    def _observe_all(self, batch: Batch) -> None:
        """Run a batch with everything hooked."""
        self._set_expected(batch)
        self._rows[: len(batch.index)] = 0
        last = len(batch.index)
        if self._watch and self._number == self._watch.last and self._watch.until in batch.index:
            # What comes after it was found may store there, too.
            last = int(np.searchsorted(batch.index, self._watch.until, side="right"))
        self._drive(self._observer, self._hooks_all, batch, 0, StopAt.NEVER, last)
        checks = self._rows[: len(batch.index), :, len(COLUMNS) :].sum(axis=1)
        for name, column in zip(CHECKS, checks.T, strict=True):
            if name not in self._shows and self._number < _READBACK and column.any():
                self._shows[name] = int(batch.index[np.argmax(column > 0)])
        rows = self._rows[: len(batch.index), :, : len(COLUMNS)]
        for scope in range(UNCOUNTED):
            self._sums[scope] += rows[batch.expected["scope"] == scope].sum(axis=0, dtype=np.int64)
        self._add_weighed(slice(len(batch.index)))
        if self._number < _READBACK:
            self._boundary.add(self._labels(batch), 1, rows)

    def _labels(self, batch: Batch) -> NDArray[np.uint64]:
        """Return where the operations belong by the boundary, shape (n,)."""
        return spanning_costs.keys(batch.operation, batch.expected["bytes"])

    def _run(self, batch: Batch) -> None:
        """Run a batch, observing only operations of shapes that are new."""
        n = len(batch.index)
        self._set_expected(batch)
        shape = self._static.numbers(batch.keys)
        batch.ops["shape"] = shape
        # Numbers from the other end, which no shape has.
        free = self._memory.sizes.shapes - _SAMPLES * (self._number + 1)
        if len(self._static) > free:
            raise ZsemuError("the trace has more shapes than there is room for")
        sampled = np.random.default_rng(self._number).integers(n, size=_SAMPLES)
        batch.ops["shape"][sampled] = free + np.arange(_SAMPLES)
        fast = np.ones(n, bool)
        at = 0
        while True:
            at = self._drive(self._fast, self._fast_hooks, batch, at, StopAt.NEW)
            if at == n:
                break
            first, at = at, self._drive(self._observer, self._hooks_all, batch, at, StopAt.KNOWN)
            fast[first:at] = False
        sizes = self._memory.sizes
        if int(self._memory.batch["nr_known"][0]) > sizes.states // 2:
            raise ZsemuError("the strategy has more states than there is room for")
        keys = shape.astype(np.uint64) << np.uint64(32) | batch.ops["state"].astype(np.uint64)
        access = self._accesses(batch)
        if not fast.all():
            self._learn(batch, keys, access, np.flatnonzero(~fast))
        self._shapes.occur(keys, access, fast)

    def _learn(
        self,
        batch: Batch,
        keys: NDArray[np.uint64],
        access: NDArray[np.uint64],
        observed: NDArray[np.int64],
    ) -> None:
        """Take the rows of operations that were observed, by their numbers in the batch."""
        rows = self._rows[observed, :, : len(COLUMNS)]
        scopes = batch.expected["scope"][observed]
        for scope in np.unique(scopes).tolist():
            chosen = rows[scopes == scope, :, INSTRUCTIONS]
            chosen[:, _ACCESS] = 0
            self._observed[:, scope] += chosen.sum(axis=0, dtype=np.int64)
        self._add_weighed(observed)
        access = access[observed]
        apart = access > 0
        self._seen.append((access[apart], rows[apart, _ACCESS]))
        rows[apart, _ACCESS] = 0
        labels = self._labels(batch)[observed]
        self._shapes.learn(keys[observed], batch.index[observed], scopes, labels, rows)
        self._rows[observed] = 0

    # Lengths and accesses.

    def _by_length(self) -> NDArray[np.bool_]:
        """Find out for which operations the length matters: as Lengths.matter() has it."""
        lengths = Lengths(self._work.geometry, settles=self._image.has("zs_settle"))
        rows: list[NDArray[np.uint32]] = []
        spans: list[NDArray[np.integer]] = []

        def keep(operations: int) -> None:
            memory = probe._memory
            rows.append(probe._rows[:operations].copy())
            spans.append(memory.view(memory.ops, memory.types.op, operations)["span"].copy())

        probe = Replay(self._image, lengths.work, full=True, progress=keep)
        if probe.run().violation_count:
            # The trace will show them, too, or does not depend on them.
            return self._builder.by_length
        return lengths.matter(np.concatenate(rows), np.concatenate(spans))

    def _accesses(self, batch: Batch) -> NDArray[np.uint64]:
        """Return the keys of those accesses that are measured apart, else 0; shape (n,)."""
        spans = batch.part.placed.spans[batch.rows].astype(np.int64)
        apart = (batch.operation >= Operation.READ) & ~self._builder.by_length[
            batch.operation, spans
        ]
        if not batch.ops["span"][apart].all():
            self._shapes.consistent = False
        return np.where(apart, accesses.keys(batch, self._memory, self._regions), 0)

    def _measure_accesses(self) -> accesses.Measured:
        """Make every kind of access that has occurred once more, and observe it.

        The memory is of no use afterwards.
        """
        kinds = np.unique(accesses.kind(self._shapes.accesses()))
        found = np.zeros((len(kinds), len(COLUMNS)), np.uint32)
        control = self._memory.batch
        for first in range(0, len(kinds), MAX_OPERATIONS):
            some = kinds[first : first + MAX_OPERATIONS]
            accesses.prepare(some, self._memory)
            self._hooks_all.point("expected", np.zeros(len(some), EXPECTED))
            control["first"], control["last"], control["stop_at"] = 0, len(some), StopAt.NEVER
            self._observer.drive()
            found[first : first + len(some)] = self._rows[: len(some), _ACCESS, : len(COLUMNS)]
            self._rows[: len(some)] = 0
        # No access is where it would be in a trace.
        self._hooks_all.raw.nr_findings = 0
        return accesses.Measured(kinds, found)

    # How it is judged.

    def _judge(self, batch: Batch) -> None:
        if not self._watch:
            self._judge_accesses(batch)
            self._judge_memory(batch)
        elif self._number == self._watch.last and self._watch.until in batch.index:
            self.culprit = self._hooks_all.raw.watched_pc or None
            raise _Stopped

    def _judge_accesses(self, batch: Batch) -> None:
        """Report what the native callbacks found wrong."""
        raw = self._hooks_all.raw
        if not raw.nr_findings:
            return
        found = list(judgement.accesses(self._hooks_all, self._memory))
        for finding in found:
            self._add(batch, finding, pc=finding.pc)
        self._violation_count += int(raw.nr_findings) - len(found)
        raw.nr_findings = 0

    def _judge_memory(self, batch: Batch) -> None:
        """Report what the batch left wrong in memory, in the order of the operations."""
        found = [
            *judgement.first_words(batch, self._builder, self._memory),
            *judgement.contents(batch, self._memory),
        ]
        for finding in sorted(found, key=lambda finding: finding.which):
            pc = None
            if self._keeps(finding):
                pc = self._blame(batch, finding.which, finding.offset)
            self._add(batch, finding, pc=pc)

    def _blame(self, batch: Batch, which: int, offset: int = -1) -> int | None:
        """Replay once more, hooking everything where it matters, up to one operation.

        Return the pc of the last store that changed the byte at ``offset``, or, without that, the
        pc where the replay ended.
        """
        first = self._number
        if offset >= self._memory.pool:
            # A byte of the pool: since its object was allocated.
            first = int(self._builder.born[batch.part.trace.object[batch.rows[which]]])
        watch = _Watch(first, self._number, offset, int(batch.index[which]))
        again = Replay(
            self._image, self._work, strict=self._strict, promises=self._promises, watch=watch
        )
        again.run()
        return again.culprit

    def _stop(self, batch: Batch, which: int, hooks: Hooks, kind: str, detail: str) -> None:
        """Report what ends the replay."""
        if self._watch:
            self.culprit = int(hooks.raw.pc)
            raise _Stopped
        self._judge_accesses(batch)
        # Only an observed run knows the very instruction, on every architecture.
        pc = hooks.raw.pc if hooks is self._hooks_all else self._blame(batch, which)
        self._add(batch, Finding(which, kind, detail), pc=pc)
        raise _Stopped

    def _keeps(self, finding: Finding) -> bool:
        """Whether a finding is reported: the first ones, and the first of every check."""
        if len(self._violations) < violations.KEPT:
            return True
        check = violations.check_of(finding)
        return all(violations.check_of(known) != check for known in self._violations)

    def _add(self, batch: Batch, finding: Finding, *, pc: int | None) -> None:
        self._violation_count += 1
        if not self._keeps(finding):
            return
        part, row, image = batch.part, batch.rows[finding.which], self._image
        placed, number = part.placed, part.trace.object if part.number is None else part.number
        action = FINAL_READ
        if self._number != _READBACK:
            action = Operation(batch.operation[finding.which]).name.lower()
        self._violations.append(
            Violation(
                kind=finding.kind,
                operation=int(batch.index[finding.which]),
                action=action,
                object_number=int(number[row]),
                class_size=int(self._work.geometry.sizes[placed.class_index[row]]),
                slot=int(placed.slot[row]),
                offset=int(placed.offset[row]),
                detail=finding.detail,
                expected=finding.expected.hex(" "),
                found=finding.found.hex(" "),
                pc="" if pc is None else image.where(pc),
                instruction="" if pc is None else image.disassemble(pc),
            )
        )
