# SPDX-License-Identifier: GPL-2.0-only
"""Sequences: the same ones each time, rich enough, and small once they show something."""

from collections import Counter
from pathlib import Path

import pytest
from faulty import FAULTS
from samples import image

import zsemu.check.sequences as sequences_
from zsemu.check.run_suite import check
from zsemu.check.sequences import Action, interesting_classes, perform, resolve, search
from zsemu.check.shrinking import Failed, shrink
from zsemu.check.suites import suites
from zsemu.guest.strategies import strategy
from zsemu.guest.structures import Kind
from zsemu.guest.targets import target
from zsemu.replay.script import ScriptBuilder
from zsemu.replay.violations import HEADER, LINK, STRAY, WRONG_BYTES
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import Geometry, geometry

ARCH = "aarch64"
COUNT = 25


def chain_8() -> Geometry:
    return geometry("chain-8", page_size=4096, word_bits=64)


@pytest.mark.parametrize("name", ["copy", "swap-lazy", "pgtable", "sg"])
def test_good_strategy_holds(name: str) -> None:
    promises = strategy(name).promises
    shared = image(target(ARCH), name)
    assert search(shared, chain_8(), promises, seed=3, sequences=COUNT) == (COUNT, None)


@pytest.mark.parametrize(
    ("name", "checks", "operations"),
    [
        ("copy-out-short", {WRONG_BYTES}, 2),
        ("copy-in-skipped-for-update", {WRONG_BYTES}, 5),
        ("no-settle", {LINK, HEADER, WRONG_BYTES}, 6),
        # What only a move shows.
        ("settle-forgets-the-slot-itself", {WRONG_BYTES}, 6),
        ("window-kept-over-migration", {WRONG_BYTES, STRAY}, 8),
    ],
)
def test_planted_fault_is_found_and_small(
    name: str, checks: set[str], operations: int, tmp_path: Path
) -> None:
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    checked, machine = strategy(str(fault.write(tmp_path))), target(ARCH)
    (suite,) = (suite for suite in suites(("chain-8",), (4096,)) if suite.search)
    result = check(machine, checked, suite)
    found = checks & {failure.check for failure in result.failures}
    assert found
    ((failure, *_),) = shrink(checked, min(found), [Failed(machine, suite, result)])
    assert len([line for line in failure.case if "cpu" in line]) <= operations, failure.case


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[ScriptBuilder]:
    """Collect the sequences that are run."""
    kept: list[ScriptBuilder] = []
    real = sequences_.perform

    def watched(one: Geometry, actions: list[Action]) -> ScriptBuilder:
        kept.append(real(one, actions))
        return kept[-1]

    monkeypatch.setattr(sequences_, "perform", watched)
    return kept


def lines_of(seen: list[ScriptBuilder], seed: int) -> list[list[str]]:
    del seen[:]
    shared = image(target(ARCH), "sg")
    assert search(shared, chain_8(), (), seed=seed, sequences=COUNT) == (COUNT, None)
    return [builder.lines() for builder in seen]


def test_same_seed_same_sequences(seen: list[ScriptBuilder]) -> None:
    first = lines_of(seen, 1)
    assert len(first) == COUNT
    assert lines_of(seen, 1) == first
    assert lines_of(seen, 2) != first


def test_sequences_hold_what_can_go_wrong(seen: list[ScriptBuilder]) -> None:
    lines_of(seen, 0)
    kinds: Counter[int] = Counter()
    spanning: Counter[int] = Counter()
    for builder in seen:
        work = builder.placed()
        assert work.script is not None
        assert set(work.trace.cpu.tolist()) == {0, 1}
        kinds.update(work.script.kind.tolist())
        spanning.update(work.script.kind[work.placed.spans].tolist())
    for kind in (Operation.ALLOCATE, Operation.FREE, Kind.MOVE, Kind.MIGRATE):
        assert kinds[kind] >= COUNT / 2, kind
    for kind in (Operation.READ, Operation.WRITE, Operation.UPDATE):
        assert spanning[kind] >= COUNT, kind
    assert spanning[Kind.MOVE] >= COUNT / 5


def test_classes_have_chains_and_few_and_many_slots() -> None:
    one = chain_8()
    chain, few, many = (one.slots_of(index) for index in interesting_classes(one))
    assert (chain.spans[1:] & chain.spans[:-1]).any()
    assert few.spans.sum() > 1
    assert len(few) <= 20 < len(many)
    assert many.spans.any()


def test_actions_stay_the_same_when_others_are_left_out() -> None:
    one = chain_8()
    actions = resolve(one, [("allocate", 0, 5, 0), ("compact", 1, 1, 1), ("read", 0, 0, 1)])
    writes = [action for action in actions if action.what == "write"]
    assert writes
    last = actions[: actions.index(writes[-1]) + 1]
    alone = [action for action in last if action.object == writes[-1].object]
    whole, part = perform(one, last), perform(one, alone)
    assert len(part) == len(alone) < len(whole)
    assert whole.where(whole.live()[-1])[1] == part.where(part.live()[0])[1]
    # A use without its allocation is passed over.
    assert len(perform(one, writes)) == 0
