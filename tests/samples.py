# SPDX-License-Identifier: GPL-2.0-only
"""Small traces and the runs of them that several tests share."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from zsemu.check import properties, run_suite, shrinking
from zsemu.check.exhaustive import exhaustive
from zsemu.counts import COLUMNS
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import names, strategy
from zsemu.guest.targets import Target, target
from zsemu.replay.batch import Batch
from zsemu.replay.observation import EveryOperation, Listener
from zsemu.replay.placed_trace import PAGE_ORDERS, PlacedTrace, place_in_memory
from zsemu.replay.replay import Outcome, Replay
from zsemu.traces.operation import Operation
from zsemu.traces.trace import Metadata, Trace
from zsemu.zsmalloc.geometry import Geometry, geometry


def trace(rows: list[tuple[Operation, int, int, int]], geometry: str = "chain-8") -> Trace:
    """Return a trace of rows (operation, object, length, cpu)."""
    columns = np.array(rows, np.int64).reshape(-1, 4)
    time = np.arange(len(rows), dtype=np.int64)
    return Trace(
        "sample",
        Metadata(kernel="test", geometry=geometry, page_size=4096, provenance="made by a test"),
        columns[:, 0].astype(np.uint8),
        columns[:, 1].astype(np.uint32),
        columns[:, 2].astype(np.uint32),
        columns[:, 3].astype(np.uint16),
        time,
        time.copy(),
    )


# In classes of which many slots span, under every geometry; 2900 has chains of spanning neighbours.
_LENGTHS = (700, 1632, 2100, 2900, 3030, 3250)


@cache
def busy_trace(operations: int = 700, seed: int = 1) -> Trace:
    """Return a trace that allocates, uses and frees objects of all lengths on two CPUs.

    Most lengths are of few classes, so that zspages fill and spanning objects have neighbours.
    """
    random = np.random.default_rng(seed)
    rows: list[tuple[Operation, int, int, int]] = []
    live: list[int] = []
    lengths: list[int] = []
    while len(rows) < operations:
        cpu, action = int(random.integers(2)), int(random.integers(10))
        if action < 3 or not live:
            length = int(random.integers(1, 4097))
            if random.integers(4):
                length = int(random.choice(_LENGTHS)) - int(random.integers(8))
            live.append(len(lengths))
            rows.append((Operation.ALLOCATE, len(lengths), length, cpu))
            rows.append((Operation.WRITE, len(lengths), length, cpu))
            lengths.append(length)
        elif action == 3 and len(live) > 40:
            gone = live.pop(int(random.integers(len(live))))
            rows.append((Operation.FREE, gone, lengths[gone], cpu))
        else:
            which = live[int(random.integers(len(live)))]
            operation = (Operation.READ, Operation.READ, Operation.WRITE, Operation.UPDATE)[
                int(random.integers(4))
            ]
            rows.append((operation, which, lengths[which], cpu))
    return trace(rows)


@cache
def versions() -> dict[str, str]:
    """Return the text of one strategy as it is, of one instruction more a map, and with a bug."""
    text, check = strategy("copy-modes").path.read_text(), "\tif (!zs_spans(loc))\n"
    assert check in text and "class_size - first)" in text
    # Empty where the other is not, so that a compiler makes the same of the rest.
    good = text.replace(check, f'\tasm volatile("");\n{check}')
    return {
        "good": good,
        "more": good.replace('volatile("")', 'volatile("nop")'),
        "broken": good.replace("class_size - first)", "class_size - first - 1)"),
    }


@cache
def shipped(target: Target, name: str, page_shift: int = 12) -> Image:
    """Build a shipped strategy, once in a process: many tests ask for the same few."""
    return Image(build(target, strategy(name), page_shift=page_shift), target)


def image(target: Target, strategy_: str | Path) -> Image:
    """Build a shipped strategy, or a file."""
    if isinstance(strategy_, str) and strategy_ in names():
        return shipped(target, strategy_)
    return Image(build(target, strategy(str(strategy_))), target)


@cache
def placed(trace_: Trace, arch: str, name: str = "chain-8") -> PlacedTrace:
    """Place a trace as a kernel for ``arch`` would."""
    machine = target(arch)
    return place_in_memory(
        trace_,
        geometry(
            name,
            page_size=4096,
            word_bits=machine.word_bits,
            physical_bits=machine.physical_bits,
        ),
    )


@cache
def few_classes(classes: Geometry, page_order: str = PAGE_ORDERS[0]) -> PlacedTrace:
    """Return what exhaustive() does in every eighth size class."""
    whole = exhaustive(classes, page_order)
    part = whole.trace.take(np.flatnonzero(whole.placed.class_index % 8 == 0))
    part = part.with_objects(np.unique(part.object, return_inverse=True)[1])
    return replace(place_in_memory(part, classes), page_order=page_order)


def exhaust_few_classes(patch: pytest.MonkeyPatch) -> None:
    """Let checks do only what few_classes() returns, in an eighth of the time.

    For tests of what is found, shrunk and shown. That every slot of every class is mapped is tested
    in tests/check/test_exhaustive.py.
    """
    for module in (properties, run_suite, shrinking):
        patch.setattr(module, "exhaustive", few_classes)


class Rows(Listener):
    """Keeps what each operation of a trace cost that was observed."""

    def __init__(self) -> None:
        self._kept: list[NDArray[np.uint32]] = []

    def observed(
        self, batch: Batch, which: NDArray[np.int64] | slice, rows: NDArray[np.uint32]
    ) -> None:
        """Keep the counts, without what a promise may exclude."""
        if not batch.is_readback:
            self._kept.append(rows[:, :, : len(COLUMNS)].copy())

    @property
    def rows(self) -> NDArray[np.uint32]:
        """Return them, shape (operations, phases, columns)."""
        return np.concatenate(self._kept)


def observed(one: Image, placed_: PlacedTrace) -> tuple[NDArray[np.uint32], Outcome]:
    """Replay with everything hooked, and return the row of every operation, too."""
    kept = Rows()
    outcome = Replay(one, placed_, observe=lambda subject: EveryOperation(subject, kept)).run()
    assert [str(v) for v in outcome.violations] == []
    return kept.rows, outcome


def replay(
    arch: str, strategy_: str | Path, trace_: Trace, name: str = "chain-8", *, full: bool = False
) -> Outcome:
    """Replay a trace."""
    return Replay(image(target(arch), strategy_), placed(trace_, arch, name), full=full).run()


@cache
def replayed(
    arch: str, name: str, trace_: Trace, geometry_: str = "chain-8", *, full: bool = False
) -> Outcome:
    """Replay a trace through a shipped strategy, once in a process."""
    outcome = replay(arch, name, trace_, geometry_, full=full)
    outcome.sums.setflags(write=False)
    return outcome
