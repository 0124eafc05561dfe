# SPDX-License-Identifier: GPL-2.0-only
"""For which operations the length matters, and that nothing is lost where it is thought not to."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from samples import busy_trace, image, placed, trace

from zsemu.counts import COLUMNS
from zsemu.errors import ZsemuError
from zsemu.guest.image import Image
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.replay import access_costs, by_shape
from zsemu.replay.by_shape import EachShape
from zsemu.replay.placed_trace import PlacedTrace, place
from zsemu.replay.replay import Outcome, Replay
from zsemu.replay.shapes import ShapeRules
from zsemu.runs.compare import run_here
from zsemu.runs.request import request
from zsemu.traces.file import TraceFile, find
from zsemu.traces.operation import Operation
from zsemu.traces.trace import zsmapbench

ARCHS = target_names()
WHOLE = ("x86_64", "arm")
MAPS = (Operation.READ, Operation.WRITE, Operation.UPDATE)


def found(one: Image, placed_: PlacedTrace) -> tuple[Replay, Outcome]:
    """Replay by shapes, and hold the result against a replay in which everything is observed."""
    replay = Replay(one, placed_)
    outcome = replay.run()
    full = Replay(one, placed_, full=True).run()
    assert outcome.violation_count == full.violation_count == 0
    np.testing.assert_array_equal(outcome.sums, full.sums)
    assert outcome.by_shape == full.by_shape
    return replay, outcome


def rules(replay: Replay) -> ShapeRules:
    """Return what is part of a shape, as a replay has found out."""
    assert isinstance(replay.observation, EachShape)
    return replay.observation.rules


@pytest.mark.parametrize("name", strategy_names())
@pytest.mark.parametrize("arch", ARCHS)
def test_recorded_trace(arch: str, name: str) -> None:
    """The sums over shapes and accesses are what a counted replay counts, to the last one.

    All of the recording on an architecture of each width, and its beginning on the others.
    """
    machine = target(arch)
    recorded = TraceFile(find("compile-zstd"))
    for trace_ in (recorded if arch in WHOLE else recorded.head(4000), zsmapbench(200)):
        asked = request(archs=[arch], strategies={name: strategy(name)}, trace=trace_)
        here = place(trace_, asked.geometry_for(machine))
        assert isinstance(here, PlacedTrace)
        replay, outcome = found(image(machine, name), here)
        assert outcome.shapes
        matters = rules(replay).by_length
        # Those that copy `length` bytes, and those that say where two pieces are.
        spanning = {(one, 1) for one in MAPS}
        by_length = {"readwrite": {(Operation.WRITE, 0), *spanning}, "sg": spanning}
        expected = by_length.get(name, set())
        assert {(one, s) for one in MAPS for s in (0, 1) if matters[one, s]} == expected


@pytest.mark.parametrize("arch", ["x86_64", "arm"])
@pytest.mark.parametrize("name", ["copy-modes", "swap-lazy", "readwrite"])
def test_part_of_the_large_trace(arch: str, name: str) -> None:
    machine = target(arch)
    trace_ = TraceFile(find("sqlite-lzo-rle")).head(12_000)
    asked = request(archs=[arch], strategies={name: strategy(name)}, trace=trace_)
    here = place(trace_, asked.geometry_for(machine))
    assert isinstance(here, PlacedTrace)
    _, outcome = found(image(machine, name), here)
    assert outcome.shapes


def changed(directory: Path, line: str) -> Path:
    """Write copy-modes with one more line at the beginning of its map."""
    text = strategy("copy-modes").path.read_text()
    begin = "\tif (!zs_spans(loc))\n"
    assert begin in text
    path = directory / "mine.c"
    path.write_text(text.replace(begin, f"{line}\n{begin}", 1))
    return path


SEEN = {
    # A loop, and the lines that are touched, depend on it.
    "loop": '\tfor (u32 i = 0; i < loc->length; i += 64)\n\t\tasm volatile("");',
    "lines": "\t(void)*(volatile char *)area->buffer;"
    "\n\t(void)*(volatile char *)(area->buffer + loc->length / 2);",
}
UNSEEN = {
    # A few lengths that nobody would try.
    "few": '\tif (loc->length >= 1625 && loc->length <= 1630)\n\t\tasm volatile("nop");',
}


@pytest.mark.parametrize("line", SEEN.values(), ids=SEEN)
@pytest.mark.parametrize("arch", ARCHS)
def test_a_strategy_to_which_the_length_matters(arch: str, line: str, tmp_path: Path) -> None:
    one = image(target(arch), changed(tmp_path, line))
    replay, outcome = found(one, placed(busy_trace(), arch))
    assert outcome.shapes
    # Where an object spans, a copy may touch those lines anyway.
    assert rules(replay).by_length[Operation.READ :, 0].all()


@pytest.mark.parametrize("line", UNSEEN.values(), ids=UNSEEN)
@pytest.mark.parametrize("arch", ARCHS)
def test_what_is_found_too_late_is_observed_from_the_beginning(
    arch: str, line: str, tmp_path: Path
) -> None:
    one = image(target(arch), changed(tmp_path, line))
    replay, outcome = found(one, placed(busy_trace(), arch))
    assert not rules(replay).by_length.any()
    assert outcome.shapes == 0


TWO_SPANS = """
	if (mode == ZS_MM_RO && loc->length == 1628) {
		span[0].addr = zs_payload(loc);
		span[0].length = 8;
		span[1].addr = zs_payload(loc) + 8;
		span[1].length = loc->length - 8;
		return 2;
	}
"""


def test_two_spans_where_there_was_one(tmp_path: Path) -> None:
    """The access is then no longer one that can be measured apart."""
    path = tmp_path / "mine.c"
    text = strategy("copy-modes").path.read_text()
    begin = "\tif (!zs_spans(loc))\n"
    path.write_text(text.replace(begin, begin.rstrip("\n") + " {" + TWO_SPANS + "\t}\n" + begin, 1))
    rows = [(Operation.ALLOCATE, 0, 1632, 0), (Operation.WRITE, 0, 1632, 0)]
    rows += [(Operation.READ, 0, length, 0) for length in (1632, 1000, 1628)]
    _, outcome = found(image(target("riscv64"), path), placed(trace(rows), "riscv64"))
    assert outcome.shapes == 0


def test_accesses_that_are_not_what_was_measured_are_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = access_costs.Measured.cost

    def wrong(self: access_costs.Measured, keys: NDArray[np.uint64]) -> NDArray[np.uint32]:
        cost = real(self, keys)
        cost[:, COLUMNS.index("lines_touched")] += (keys > 0).astype(np.uint32)
        return cost

    here = placed(busy_trace(), "x86_64")
    assert found(image(target("x86_64"), "copy"), here)[1].shapes
    monkeypatch.setattr(access_costs.Measured, "cost", wrong)
    assert found(image(target("x86_64"), "copy"), here)[1].shapes == 0


def test_a_shipped_strategy_must_be_a_function_of_its_shape(tmp_path: Path) -> None:
    """What is said of a user's own in the table is an error of ours in a shipped one."""
    path = changed(tmp_path, UNSEEN["few"])
    mine = strategy(str(path))
    ask = request(archs=["arm"], strategies={"mine": mine}, trace=busy_trace())
    assert run_here(ask).records[0].shapes == 0
    shipped = replace(mine, own=False)
    ask = request(archs=["arm"], strategies={"mine": shipped}, trace=busy_trace())
    with pytest.raises(ZsemuError, match=r"mine on arm: .* a bug in zsemu"):
        run_here(ask)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder of what is kept."""
    monkeypatch.setenv("ZSEMU_CACHE", str(tmp_path))
    return tmp_path / "results"


def test_is_found_out_once(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By image and geometry, for all traces."""
    one, work = image(target("arm"), "readwrite"), placed(busy_trace(300), "arm")
    replay, outcome = found(one, work)
    matters = rules(replay).by_length
    assert matters.any() and not matters[Operation.READ :].all()
    assert len(list(results.glob("lengths-*"))) == 1
    # From here on nobody can find out.
    monkeypatch.delattr(by_shape, "LengthProbe")
    again, same = found(one, work)
    assert np.array_equal(rules(again).by_length, matters) and same.shapes == outcome.shapes
    found(one, placed(busy_trace(100), "arm"))
    copy = image(target("arm"), "copy")
    for other, geometry in ((one, "chain-4"), (copy, "chain-8")):
        with pytest.raises(NameError, match="LengthProbe"):
            Replay(other, placed(busy_trace(100), "arm", geometry)).run()


def test_counts_are_right_whatever_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.zeros((len(Operation), 2), bool)
    monkeypatch.setattr(by_shape, "kept", lambda name, of, make: nothing.tobytes())
    replay, outcome = found(image(target("arm"), "readwrite"), placed(busy_trace(300), "arm"))
    assert not rules(replay).by_length.any()
    # Everything was observed, once block hits had shown that it must be.
    assert outcome.shapes == 0
