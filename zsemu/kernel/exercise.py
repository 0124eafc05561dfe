# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel's allocator is put through beside traces: slots, sequences, limits, failures."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from zsemu.kernel.facts import KernelFacts
from zsemu.kernel.guest import Kind
from zsemu.kernel.operations import Operations
from zsemu.kernel.run import KernelRun
from zsemu.replay.placed_trace import PlacedTrace, place_in_memory
from zsemu.traces.operation import Operation
from zsemu.traces.trace import Metadata, Trace
from zsemu.zsmalloc.geometry import Geometry

_ENOMEM, _EINVAL, _ENOSPC = 12, 22, 28


def generated(name: str, geometry: Geometry, rows: list[tuple[int, int, int, int]]) -> Trace:
    """Return a trace of rows: operation, object, length and CPU."""
    columns = np.array(rows, np.int64).reshape(-1, 4)
    times = np.arange(len(rows), dtype=np.int64)
    return Trace(
        name,
        Metadata("none", geometry.name, geometry.page_size, f"generated: {name}"),
        columns[:, 0].astype(np.uint8),
        columns[:, 1].astype(np.uint32),
        columns[:, 2].astype(np.uint32),
        columns[:, 3].astype(np.uint16),
        times,
        times,
    )


def slots(geometry: Geometry) -> Trace:
    """Return a trace that fills a zspage of every class, and maps every slot in every mode.

    Zspages are filled on one CPU and looked at on the other.
    """
    rows: list[tuple[int, int, int, int]] = []
    number = 0
    for size in geometry.classes:
        length = min(size.size - size.header, geometry.page_size)
        if length + geometry.header > size.size and not size.huge:
            continue
        mine = range(number, number + size.objects)
        number += size.objects
        rows += [(Operation.ALLOCATE, one, length, 0) for one in mine]
        for operation in (Operation.WRITE, Operation.UPDATE, Operation.READ):
            rows += [(operation, one, length, operation & 1) for one in mine]
        rows += [(Operation.FREE, one, length, 1) for one in mine]
    return generated("slots", geometry, rows)


def random_trace(geometry: Geometry, seed: int, operations: int) -> Trace:
    """Return a random trace on two CPUs, of few classes, so that zspages fill and empty."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, geometry.page_size + 1, size=6)
    live: dict[int, int] = {}
    rows: list[tuple[int, int, int, int]] = []
    number = 0
    while len(rows) < operations:
        cpu, choice = int(random.integers(2)), random.random()
        if not live or choice < (0.45 if len(live) < 150 else 0.2):
            length = int(random.choice(lengths))
            live[number] = length
            rows.append((Operation.ALLOCATE, number, length, cpu))
            rows.append((Operation.WRITE, number, length, cpu))
            number += 1
            continue
        chosen = int(random.choice(list(live)))
        length = live[chosen]
        if choice < 0.65:
            rows.append((Operation.FREE, chosen, length, cpu))
            del live[chosen]
        else:
            operation = (Operation.READ, Operation.WRITE, Operation.UPDATE)[random.integers(3)]
            rows.append((int(operation), chosen, length, cpu))
    return generated(f"random-{seed}", geometry, rows)


class Moved(KernelRun):
    """A run in which something is done after every few operations: compaction, for instance.

    Nothing is counted, and placement is not compared, since the model knows nothing of it.
    """

    def __init__(
        self,
        facts: KernelFacts,
        trace: Trace,
        every: int,
        move: Callable[["Moved"], None],
        seed: int,
    ) -> None:
        """``move`` is called after ``every`` so many operations."""
        placed = place_in_memory(trace, facts.geometry)
        bounds = np.append(np.arange(0, len(trace), every), len(trace))
        super().__init__(facts, replace(placed, bounds=bounds), seed=seed)
        self._move = move

    def learn(
        self,
        part: PlacedTrace,
        batch: Operations,
        ops: NDArray[np.void],
        observed: NDArray[np.bool_],
        scope: NDArray[np.uint8],
    ) -> None:
        """Do it."""
        self._move(self)


def _mover(random: np.random.Generator) -> Callable[[Moved], None]:
    def move(run: Moved) -> None:
        live = run.live.handles()
        if random.random() < 0.5:
            run.run_plain(Kind.COMPACT)
        for _ in range(int(random.integers(1, 4))):
            if len(live):
                frame = run.frame_of(int(random.choice(live)))
                (op,) = run.run_plain(Kind.MIGRATE, frame=frame)
                if op["result"]:
                    run.complain(f"migration fails with {int(op['result']):#x}", "migrate")

    return move


def sequence(facts: KernelFacts, seed: int, operations: int = 3000) -> Moved:
    """Replay a random trace, with zs_compact() and migrations of pages between its operations."""
    trace = random_trace(facts.geometry, seed, operations)
    run = Moved(facts, trace, 40, _mover(np.random.default_rng(seed + 1)), seed)
    run.go()
    return run


def limits(facts: KernelFacts) -> Moved:
    """Allocate sizes at the limits, and without pages, while other objects are alive."""
    trace = random_trace(facts.geometry, 1, 300)
    bits = facts.linked.image.target.word_bits

    def answers(run: Moved, errors: tuple[int, ...], what: str, length: int) -> None:
        state = run.memory.state[0]
        before = int(state["pages_out"]), int(state["objects_out"])
        (op,) = run.run_plain(Kind.ALLOCATE, length=length)
        if int(op["handle"]) not in (0, *((1 << bits) - error for error in errors)):
            run.complain(f"zs_malloc() {what} returns {int(op['handle']):#x}", "allocate")
        state = run.memory.state[0]
        if (int(state["pages_out"]), int(state["objects_out"])) != before:
            run.complain(f"zs_malloc() {what} leaks", "allocate")

    def probe(run: Moved) -> None:
        answers(run, (_EINVAL,), "of 0 bytes", 0)
        answers(run, (_EINVAL, _ENOSPC), "of more than a page", facts.geometry.page_size + 1)
        # Classes of one page more than may be out at every step of building a zspage.
        for more in range(int(facts.geometry.pages.max())):
            out = int(run.memory.state["pages_out"][0])
            run.memory.config["fail_after"] = max(out + more, 1)
            length = _empty_class(facts, trace, more)
            if length:
                answers(run, (_ENOMEM,), f"after {more} pages", length)
        run.memory.config["fail_after"] = 0

    run = Moved(facts, trace, 100, probe, 0)
    run.go()
    return run


def _empty_class(facts: KernelFacts, trace: Trace, pages: int) -> int:
    """Return a length whose class has chains of more than so many pages and no zspage; 0 if none.

    The lengths of the trace's own objects are avoided.
    """
    geometry = facts.geometry
    used = set(geometry.class_index(np.unique(trace.length)).tolist())
    for index, size in enumerate(geometry.classes):
        if index not in used and size.pages > pages and not size.huge:
            return size.size - geometry.header
    return 0
