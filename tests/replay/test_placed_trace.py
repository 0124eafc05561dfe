# SPDX-License-Identifier: GPL-2.0-only
"""Part by part: what is found does not depend on the parts, and memory not on the length."""

import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from faulty import FAULTY, Faulty
from samples import busy_trace, image, placed

from zsemu.errors import ZsemuError
from zsemu.guest.targets import target
from zsemu.replay import violations
from zsemu.replay.placed_trace import PlacedStream, PlacedTrace, place
from zsemu.replay.replay import Outcome, Replay
from zsemu.traces import file as trace_file
from zsemu.traces.file import TraceFile
from zsemu.traces.live import Live
from zsemu.traces.operation import Operation
from zsemu.traces.synthesis import synthesise
from zsemu.traces.trace import COLUMNS, Trace
from zsemu.zsmalloc.geometry import Geometry

PARTS = (1, 7, 250, 10**6)


def classes(arch: str) -> Geometry:
    return placed(busy_trace(), arch).geometry


@cache
def long_trace() -> Trace:
    """Some thousand operations of which all objects but the last die, and many handles again."""
    recorded = trace_file.load(trace_file.find("compile-zstd"))
    made = synthesise(recorded, operations=3 * len(recorded), seed=5, update_share=0.3)
    return replace(made.head(9000), metadata=busy_trace().metadata)


def outcomes(
    arch: str, strategy: str | Path, path: Path, size: int, *, full: bool = False
) -> tuple[Outcome, Outcome]:
    """Replay a file part by part, and as a whole."""
    one = image(target(arch), strategy)
    here = classes(arch)
    whole = place(TraceFile(path), here)
    assert isinstance(whole, PlacedTrace)
    stream = PlacedStream(TraceFile(path), here, size)
    return Replay(one, stream, full=full).run(), Replay(one, whole, full=full).run()


@pytest.mark.parametrize("size", PARTS)
def test_parts_of_a_file_are_the_trace(tmp_path: Path, size: int) -> None:
    made = busy_trace(3000)
    trace_file.save(made, tmp_path / "t.npz")
    parts = list(TraceFile(tmp_path / "t.npz").parts(size))
    assert [part.first for part in parts] == list(range(0, len(made), size))
    for name in COLUMNS:
        joined = np.concatenate([getattr(part.trace, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(made, name))
    assert TraceFile(tmp_path / "t.npz").digest() == made.digest()
    head = TraceFile(tmp_path / "t.npz").head(1000)
    assert len(head) == 1000
    assert head.digest() == made.head(1000).digest() != made.digest()


@pytest.mark.parametrize("size", PARTS)
def test_handles(size: int) -> None:
    """No two objects that are alive have one handle; a free one is taken before a new one."""
    made = long_trace()
    live, owner, alive = Live(), {}, {}
    peak = 0
    for part in made.parts(size):
        fault, again = live.follow(part.trace)
        assert fault is None
        np.testing.assert_array_equal(again, part.handle)
        waiting = []
        for kind, number, handle in zip(
            part.trace.operation.tolist(),
            part.trace.object.tolist(),
            part.handle.tolist(),
            strict=True,
        ):
            if kind == Operation.ALLOCATE:
                assert handle not in owner
                owner[handle], alive[number] = number, handle
            assert alive[number] == handle
            if kind == Operation.FREE:
                waiting.append((handle, number))
            peak = max(peak, len(owner))
        for handle, number in waiting:
            del owner[handle], alive[number]
    assert live.handles == peak


def test_a_fault_in_a_later_part_is_found(tmp_path: Path) -> None:
    made = busy_trace(3000)
    path = tmp_path / "t.npz"
    freed = int(np.flatnonzero(made.operation == Operation.FREE)[0])
    wrong = made.object.copy()
    length = made.length.copy()
    wrong[2900], length[2900] = made.object[freed], 1
    operation = made.operation.copy()
    operation[2900] = Operation.READ
    bad = replace(made, object=wrong, length=length, operation=operation)
    text = f"operation 2900: read of object {made.object[freed]}, already freed"
    for size in PARTS:
        with pytest.raises(ZsemuError, match=text):
            list(bad.parts(size))
    with pytest.raises(ZsemuError, match=text):
        trace_file.save(bad, path)
    trace_file.save(made, path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ZsemuError, match=r"truncated or damaged|inconsistent"):
        for part in TraceFile(path).parts(100):
            assert len(part.trace)


@pytest.mark.parametrize("size", [50, 4000])
@pytest.mark.parametrize("name", ["copy-modes", "swap-lazy", "pgtable"])
@pytest.mark.parametrize("arch", ["x86_64", "riscv32"])
def test_outcome_is_the_same(arch: str, name: str, size: int, tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    trace_file.save(long_trace(), path)
    part, whole = outcomes(arch, name, path, size)
    assert part.violations == whole.violations == []
    np.testing.assert_array_equal(part.sums, whole.sums)
    assert (part.by_shape, part.shapes) == (whole.by_shape, whole.shapes)


@pytest.mark.parametrize("fault", FAULTY, ids=lambda fault: fault.name)
def test_violations_are_the_same(
    fault: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Operation, object, slot and instruction, also where the object is as old as the trace."""
    monkeypatch.setattr(violations, "KEPT", 1)
    path = tmp_path / "t.npz"
    trace_file.save(busy_trace(), path)
    strategy = fault.write(tmp_path)
    part, whole = outcomes("aarch64", strategy, path, 90, full=True)
    assert whole.violations

    def told(outcome: Outcome) -> tuple[object, ...]:
        # What lies where in memory depends on the batches.
        first = outcome.violations[0]
        where = (first.object_number, first.class_size, first.slot, first.offset)
        return (first.kind, first.operation, first.action, *where, first.pc, first.instruction)

    assert told(part) == told(whole)


def test_scope_maps_and_memory(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    trace_file.save(long_trace(), path)
    whole = place(TraceFile(path), classes("arm"))
    stream = PlacedStream(TraceFile(path), classes("arm"), 500)
    assert isinstance(whole, PlacedTrace)
    assert stream.scope_maps == whole.scope_maps
    assert stream.cpus == whole.cpus
    assert stream.zspages <= whole.zspages + 500
    assert stream.objects < whole.objects
    # Parts cut batches short, so that what is closed is used again no later.
    assert 0 < stream.pages <= whole.pages


_PEAK = r"""
import re, sys
from zsemu.replay import placed_trace as works
from zsemu.zsmalloc.geometry import geometry
from zsemu.guest.image import Image
from zsemu.replay.replay import Replay
from zsemu.guest.targets import target
from zsemu.traces.file import TraceFile
from pathlib import Path
works.KEPT, works._PART = 0, 1 << 16
one = target("riscv64")
file = TraceFile(sys.argv[1])
placed = works.place(file, geometry(file.metadata.geometry))
outcome = Replay(Image(Path(sys.argv[2]), one), placed).run()
assert outcome.violation_count == 0 and outcome.shapes > 0
# Of this program, not of what it was forked from, as getrusage() has it.
print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_memory_is_flat(tmp_path: Path) -> None:
    """Four times as many operations take as much memory, but for what shapes are new in them."""
    recorded = trace_file.load(trace_file.find("compile-zstd"))
    path = image(target("riscv64"), "copy-modes").path
    peaks = []
    for operations in (200_000, 800_000):
        file = tmp_path / f"{operations}.npz"
        trace_file.save(synthesise(recorded, operations=operations, seed=2), file)
        command = [sys.executable, "-c", _PEAK, str(file), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout) << 10)
    # Held as a whole, the operations alone would take 60 bytes each.
    assert peaks[1] - peaks[0] < 0.5 * 60 * 600_000, peaks
