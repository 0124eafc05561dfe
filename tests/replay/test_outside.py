# SPDX-License-Identifier: GPL-2.0-only
"""Counts confirmed from outside: the same code over the same shapes under other counters.

Every column of every phase of every operation, as native/count_events.c counts under Unicorn, is
held against QEMU's user mode with a plugin of our own (tests/outside/plugin.c); on x86_64 the sums
over a phase also against callgrind and, where the machine has it, the CPU's own counter.
"""

import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray
from outside.counting import CALLGRIND_COLUMNS, Counted, callgrind, perf, qemu
from outside.process import REPLACEMENTS, Process
from samples import image, observed, placed, trace

from replay.test_definitions import PROBES, length_of, probes
from zsemu.counts import COLUMNS, PHASES
from zsemu.guest.image import Image
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target, variants
from zsemu.replay.placed_trace import PlacedTrace
from zsemu.replay.replay import Outcome, Replay
from zsemu.replay.shapes import ShapeRules
from zsemu.traces.operation import Operation
from zsemu.traces.trace import Trace
from zsemu.zsmalloc.geometry import NAMES as GEOMETRIES

pytestmark = pytest.mark.external

each_arch = pytest.mark.parametrize("arch", target_names())
each_strategy = pytest.mark.parametrize("name", strategy_names())
native = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="runs x86_64 code on the CPU itself"
)


@cache
def shapes_trace(geometry: str) -> Trace:
    """Return a trace of many shapes: objects of 28 classes or so, in all modes, in random order.

    Objects are freed and others take their slots, so that settle has something to do.
    """
    random = np.random.default_rng(GEOMETRIES.index(geometry))
    # Most are of classes that have slots that span.
    lengths = [24, 200, 4000, 4096, *random.integers(600, 3600, 24).tolist()]
    live: list[tuple[int, int]] = []
    rows: list[tuple[Operation, int, int, int]] = []
    number = 0
    modes = (Operation.READ, Operation.WRITE, Operation.UPDATE)
    while number < 420:
        cpu = int(random.integers(2))
        length = lengths[number % len(lengths)] - int(random.integers(16))
        rows += [(Operation.ALLOCATE, number, length, cpu), (Operation.WRITE, number, length, cpu)]
        live.append((number, length))
        number += 1
        if random.integers(5) == 0:
            gone, length = live.pop(int(random.integers(len(live))))
            rows.append((Operation.FREE, gone, length, cpu))
        for _ in range(2):
            some, length = live[int(random.integers(len(live)))]
            rows.append((modes[int(random.integers(3))], some, length, cpu))
    return trace(rows, geometry)


@cache
def work(arch: str, geometry: str) -> PlacedTrace:
    return placed(shapes_trace(geometry), arch, geometry)


@dataclass(frozen=True)
class Observed:
    """What the engine says."""

    rows: NDArray[np.int64]
    """shape (operations, phases, columns); zero in the columns that nobody outside has"""
    outcome: Outcome


def confirmable(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return rows without the classes of instructions, which are not counted outside."""
    classes = [at for at, name in enumerate(COLUMNS) if name.startswith("class_")]
    rows = rows.copy()
    rows[..., classes] = 0
    return rows


def observe(image_: Image, work_: PlacedTrace) -> Observed:
    """Replay with everything hooked and keep the row of every operation."""
    rows, outcome = observed(image_, work_)
    return Observed(confirmable(rows.astype(np.int64)), outcome)


def differences(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> list[str]:
    """Name every count that differs."""
    assert ours.shape == theirs.shape
    return [
        f"operation {operation}: {PHASES[phase]}.{COLUMNS[column]}: ours"
        f" {ours[operation, phase, column]}, outside {theirs[operation, phase, column]}"
        for operation, phase, column in np.argwhere(ours != theirs).tolist()
    ]


def intact(process: Process, counted: Counted) -> bool:
    """Say whether the process saw in every object what it should have."""
    return not len(process.batch.arena.mismatches(np.frombuffer(counted.output, np.uint64)))


def variant(directory: Path, name: str, statement: str) -> Path:
    """Write a strategy that is the shipped one with a statement at the start of its map."""
    text = strategy(name).path.read_text()
    head, brace, body = text.partition(
        "enum zs_mapmode mode, void *caller, struct zs_span *span)\n{\n"
    )
    assert brace
    path = directory / "variant.c"
    path.write_text(f"{head}{brace}{statement}\n{body}")
    return path


@each_arch
def test_enough_shapes(arch: str) -> None:
    """At least 500 shapes that span and 500 that do not, and 100 of either in every mode."""
    number = np.zeros((2, 3), np.int64)
    for geometry in GEOMETRIES:
        here = work(arch, geometry)
        batch = Process(image(target(arch), "sg"), here).batch
        shapes = ShapeRules(settles=False).keys(batch)
        for mode in range(3):
            chosen = batch.operation == Operation.READ + mode
            for spans in range(2):
                keys = shapes[chosen & (here.placed.spans == spans)]
                number[spans, mode] += len(np.unique(keys))
    assert number.min() >= 100
    assert number.sum(axis=1).min() >= 500


# Of a variant, what copies: all else is that of its architecture.
VARIANTS = [(arch, name) for arch in variants() for name in ("copy", "readwrite")]


@pytest.mark.parametrize(
    ("arch", "name"),
    [*((arch, name) for arch in target_names() for name in strategy_names()), *VARIANTS],
)
def test_qemu_counts_the_same(arch: str, name: str) -> None:
    """Every count of every phase of every operation, no matter what column."""
    for geometry in GEOMETRIES:
        here, image_ = work(arch, geometry), image(target(arch), name)
        ours = observe(image_, here)
        process = Process(image_, here)
        theirs = qemu(process)
        assert differences(ours.rows, theirs.rows) == []
        # A window is plain memory to the process.
        assert intact(process, theirs) == (name != "pgtable")
        # What is published is the sum, by scope, of what has just been confirmed.
        published = confirmable(Replay(image_, here).run().sums)
        sums = np.zeros_like(published)
        np.add.at(sums, process.batch.expected["scope"].astype(np.int64), theirs.rows)
        np.testing.assert_array_equal(published, sums)


@each_arch
def test_the_process_has_the_code_of_the_image(arch: str, tmp_path: Path) -> None:
    """Byte for byte, but for the exchanged invalidates, which only pgtable has."""
    for name in strategy_names():
        image_ = image(target(arch), name)
        process = Process(image_, work(arch, "chain-8"))
        process.write(tmp_path / "process")
        with (tmp_path / "process").open("rb") as stream:
            segments = [
                (segment["p_vaddr"], segment.data())
                for segment in ELFFile(stream).iter_segments("PT_LOAD")
            ]
        base, code = image_.sections[".text"]
        there = next(data for address, data in segments if address == base)[: len(code)]
        rule = REPLACEMENTS[arch]
        expected = bytearray(code)
        for address in process.replaced:
            at = address - base
            expected[at : at + rule.size] = rule.apply(code[at : at + rule.size])
        assert there == expected
        assert len(process.replaced) == (2 if name == "pgtable" else 0)
        changed = np.flatnonzero(np.frombuffer(there, np.uint8) != np.frombuffer(code, np.uint8))
        start = image_.address("zs_driver_start") - base
        inside = [any(a <= i + base < a + rule.size for a in process.replaced) for i in changed]
        assert all(inside) and start < changed.min(initial=len(code))


@each_arch
def test_an_instruction_more_is_seen(arch: str, tmp_path: Path) -> None:
    """Of a strategy that has one only outside, every map differs, by one instruction."""
    here = work(arch, "chain-8")
    ours = observe(image(target(arch), "copy"), here)
    other = image(target(arch), variant(tmp_path, "copy", '\tasm volatile("nop");'))
    theirs = qemu(Process(other, here))
    found = differences(ours.rows, theirs.rows)
    assert len(found) == int(shapes_trace("chain-8").maps.sum())
    assert all("map.instructions" in line for line in found)
    more = theirs.rows - ours.rows
    assert more.max() == 1 and more.min() == 0


@each_arch
def test_a_load_more_is_seen(arch: str, tmp_path: Path) -> None:
    """And so is one byte loaded from the per-CPU buffer, in the column of that region."""
    here = work(arch, "chain-8")
    ours = observe(image(target(arch), "sg"), here)
    other = image(target(arch), variant(tmp_path, "sg", "\t(void)*(volatile char *)area->buffer;"))
    found = differences(ours.rows, qemu(Process(other, here)).rows)
    maps = int(shapes_trace("chain-8").maps.sum())
    for column in ("loads", "buffer.loads", "buffer.bytes_loaded", "lines_touched"):
        assert sum(f": map.{column}:" in line for line in found) == maps
    assert not any("stores" in line or "unmap" in line for line in found)


@each_arch
def test_qemu_has_the_same_definitions(arch: str, tmp_path: Path) -> None:
    """The probes of test_definitions.py, as far as a user process may execute them."""
    numbers = [
        number
        for number, probe in enumerate(PROBES)
        if arch in probe.code
        and (not probe.name.startswith("invalidate") or probe.name.endswith("page here"))
    ]
    rows = [
        (operation, number, length_of(number), 0)
        for number in numbers
        for operation in (Operation.ALLOCATE, Operation.WRITE, Operation.READ, Operation.UPDATE)
    ]
    here = placed(trace(rows), arch)
    image_ = probes(arch, tmp_path)
    ours, theirs = observe(image_, here), qemu(Process(image_, here))
    wrong = np.unique(np.argwhere(ours.rows != theirs.rows)[:, 0]).tolist()
    # QEMU clears a block outside of what a plugin sees.
    assert {PROBES[rows[operation][1]].name for operation in wrong} <= {"dc zva"}
    assert len(wrong) < len(rows) / 4


def phase_sums(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum the columns that callgrind has, shape (phases, CALLGRIND_COLUMNS)."""
    columns = [COLUMNS.index(name) for name in CALLGRIND_COLUMNS]
    sums: NDArray[np.int64] = rows[:, :, columns].sum(axis=0)
    return sums


@native
@each_strategy
def test_callgrind_counts_the_same(name: str) -> None:
    """Instructions, rounds of string instructions, loads and stores of every phase."""
    for geometry in GEOMETRIES:
        here, image_ = work("x86_64", geometry), image(target("x86_64"), name)
        ours = phase_sums(observe(image_, here).rows)
        assert ours.any()
        np.testing.assert_array_equal(callgrind(Process(image_, here)), ours)


@native
def test_callgrind_sees_an_instruction_more(tmp_path: Path) -> None:
    here = work("x86_64", "chain-8")
    ours = phase_sums(observe(image(target("x86_64"), "copy"), here).rows)
    other = image(target("x86_64"), variant(tmp_path, "copy", '\tasm volatile("nop");'))
    more = callgrind(Process(other, here)) - ours
    assert more[PHASES.index("map"), 0] == int(shapes_trace("chain-8").maps.sum())
    assert np.count_nonzero(more) == 1


@native
@each_strategy
def test_the_cpu_counts_the_same(name: str) -> None:
    """All of the process, the driver's instructions too, by the CPU's own counter if it has one.

    It counts one more for an interrupt or page fault (Weaver, Terpstra, Moore: "Non-determinism
    and overcount on modern hardware performance counter implementations", ISPASS 2013).
    """
    here = work("x86_64", "chain-8")
    process = Process(image(target("x86_64"), name), here)
    theirs = qemu(process)
    counted = theirs.rows[:, :, COLUMNS.index("instructions")].sum()
    assert 0 < counted < theirs.instructions
    hardware = perf(process)
    if hardware is not None:
        instructions, faults = hardware
        assert 0 <= instructions - theirs.instructions <= faults + theirs.instructions // 1000
