# SPDX-License-Identifier: GPL-2.0-only
"""Counts of a kernel's object: hooks against single-stepping."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kernel.objects import ARCHS, RealKernel
from zsemu import load_trace, run
from zsemu.counts import PARTS, Counts
from zsemu.guest.image import KIND, STRING
from zsemu.guest.machine import Machine
from zsemu.guest.structures import StopAt
from zsemu.kernel.counts import ENTRIES, INSTRUCTIONS, KINDS, PHASES, document
from zsemu.kernel.exercise import slots
from zsemu.kernel.facts import discover
from zsemu.kernel.object import load
from zsemu.kernel.replay import KernelOutcome, KernelReplay
from zsemu.kernel.steps import as_trace
from zsemu.replay.placed_trace import PlacedStream, place, place_in_memory
from zsemu.results.document import LINES
from zsemu.traces.file import TraceFile, find
from zsemu.traces.operation import Operation


def _single_step(replay: KernelReplay, row: int) -> NDArray[np.int64]:
    """Run one record of the batch in memory instruction by instruction; shape (phases, kinds)."""
    memory, image = replay.memory, replay.memory.image
    entries = {image.symbols[n].address: PHASES.index(p) for n, p in ENTRIES if image.has(n)}
    start, _ = image.text
    first, behind = image.address("zs_driver_start"), image.address("zs_driver_end")
    owner = replay.slow_hooks.owner
    control = memory.batch
    control["first"], control["last"], control["stop_at"] = row, row + 1, StopAt.NEVER
    uc = Machine(memory).uc
    pc, stop = image.address("zs_start_driver"), image.address("zs_stop")
    found = np.zeros((len(PHASES), len(KINDS)), np.int64)
    phase, before = -1, -1
    uc.ctl_flush_tb()
    while pc != stop:
        if first <= pc < behind:
            phase = -1
        elif phase < 0:
            phase = entries.get(pc, -1)
        string = image.kinds[pc - start] & KIND == STRING
        if phase >= 0 and not (string and pc == before):
            found[phase, owner[pc - start]] += 1
        before = pc
        uc.emu_start(pc, stop, count=1)
        pc = int(uc.reg_read(memory.target.pc))
    return found


@pytest.mark.external
@pytest.mark.parametrize("arch", ARCHS)
def test_hooks_count_what_single_steps_do(kernel: RealKernel, arch: str) -> None:
    facts = discover(load(kernel.object(arch)))
    trace = as_trace(slots(facts.geometry), facts.geometry)
    trace = trace.take(np.flatnonzero(trace.operation != Operation.FREE)).head(8192)
    placed = place_in_memory(trace, facts.geometry)
    replay = KernelReplay(facts, placed)
    wanted = [
        int(np.flatnonzero((trace.operation == kind) & (placed.placed.spans == spanning))[5])
        for kind in (Operation.READ, Operation.WRITE, Operation.UPDATE)
        for spanning in (False, True)
    ]
    replay.run_batch(placed, 0, len(trace))
    for row in wanted:
        observed = replay.observe_again(row)[..., INSTRUCTIONS].astype(np.int64)
        assert np.array_equal(_single_step(replay, row), observed), f"operation {row}"


@pytest.mark.external
@pytest.mark.parametrize("arch", ARCHS)
def test_observing_everything_counts_the_same(kernel: RealKernel, arch: str) -> None:
    facts = discover(load(kernel.object(arch)))
    placed = place_in_memory(load_trace("compile-zstd", 3000), facts.geometry)
    by_shape, observed = (
        KernelReplay(facts, placed).run(),
        KernelReplay(facts, placed, observe_from=0).run(),
    )
    assert by_shape.shapes > 100
    assert observed.shapes == 0
    assert by_shape.by_shape == observed.by_shape
    assert _without_lines(by_shape) == _without_lines(observed)


@pytest.mark.external
def test_part_by_part_is_the_same(kernel: RealKernel) -> None:
    facts = discover(load(kernel.object("x86_64")))
    source = TraceFile(find("compile-zstd"))
    whole = KernelReplay(facts, place(source, facts.geometry)).run()
    parts = KernelReplay(facts, PlacedStream(source, facts.geometry, 900)).run()
    assert whole.violations == parts.violations == []
    assert (whole.compared, whole.shapes) == (parts.compared, parts.shapes)
    assert whole.by_shape == parts.by_shape
    assert _without_lines(whole) == _without_lines(parts)


@pytest.mark.external
def test_lse_atomics_are_another_strategy(kernel: RealKernel) -> None:
    path = kernel.object("aarch64")
    document = run(path, f"{path}+lse", arch="aarch64", operations=1000)
    plain, lse = document.records
    assert (plain.strategy, lse.strategy) == ("zsmalloc.o", "zsmalloc.o+lse")
    assert plain.sum("instructions", phases=("malloc",)) > lse.sum(
        "instructions", phases=("malloc",)
    )
    builds = [builds["aarch64"] for builds in document.provenance.kernels.values()]
    assert builds[0].sha256 == builds[1].sha256
    assert builds[0].cpu_model != builds[1].cpu_model


def _without_lines(outcome: KernelOutcome) -> Counts:
    """Return counts without cache lines.

    Which lines of the slab allocator a map touches is decided by where its zspage is.
    """
    counts = document(outcome.sums, outcome.calls)
    for scopes in counts.values():
        for entry in scopes.values():
            _forget_lines(entry)
    return counts


def _forget_lines(entry: dict[str, object]) -> None:
    for name in LINES:
        entry.pop(name, None)
    for part in PARTS:
        if isinstance(found := entry.get(part), dict):
            _forget_lines(found)
