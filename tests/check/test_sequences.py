# SPDX-License-Identifier: GPL-2.0-only
"""Sequences: the same ones each time, rich enough, and small once they show something."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from faulty import FAULTS
from samples import image

import zsemu.check.sequences as sequences_
from zsemu.check.run_suite import check
from zsemu.check.sequences import (
    SEQUENCES,
    Action,
    interesting_classes,
    perform,
    resolve,
    search,
    sequence,
    side_by_side,
)
from zsemu.check.shrinking import Failed, shrink
from zsemu.check.suites import suites
from zsemu.guest.strategies import strategy
from zsemu.guest.structures import Kind
from zsemu.guest.targets import target
from zsemu.paths import ARCH as ARCH_FOLDER
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
    """Collect the sequences that are run, each as a script of its own."""
    kept: list[ScriptBuilder] = []
    real = sequences_.side_by_side

    def watched(one: Geometry, every: list[list[Action]]) -> ScriptBuilder:
        kept.extend(real(one, [actions]) for actions in every)
        return real(one, every)

    monkeypatch.setattr(sequences_, "side_by_side", watched)
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


def test_sequences_run_side_by_side_as_they_do_alone() -> None:
    """Each keeps its own order, zspages and contents; only few batches end for a migration."""
    one = chain_8()
    every = [sequence(one, 5, number) for number in range(COUNT)]
    together = side_by_side(one, every)
    alone = [perform(one, actions) for actions in every]
    lengths = [len(builder) for builder in alone]
    whole_length = len(together)
    assert whole_length == sum(lengths)
    work = together.placed()
    assert work.number is not None
    for number, (builder, length) in enumerate(zip(alone, lengths, strict=True)):
        own = builder.placed()
        assert own.number is not None
        # Behind these, what is alive at the end may be read once more.
        rows = np.flatnonzero(np.isin(work.number[:whole_length], own.number))
        for whole, part in (
            (work.trace.operation, own.trace.operation),
            (work.trace.length, own.trace.length),
            (work.placed.slot, own.placed.slot),
            (work.number, own.number),
        ):
            assert whole[rows].tolist() == part[:length].tolist(), number
    assert len(work.bounds) < sum(len(builder.placed().bounds) for builder in alone) / 5


def test_what_only_all_together_show(tmp_path: Path) -> None:
    """A strategy that goes wrong after more maps than one sequence has."""
    mine = tmp_path / "mine.c"
    before = "	if (!zs_spans(loc))\n		return;\n"
    code = (ARCH_FOLDER / "strategies/copy.c").read_text()
    assert before in code
    wrong = "	if (++area->private[0] > 300)\n		area->buffer[loc->header] ^= 1;\n"
    mine.write_text(code.replace(before, before + wrong, 1))
    checked, machine = strategy(str(mine)), target(ARCH)
    (suite,) = (suite for suite in suites(("chain-8",), (4096,)) if suite.search)
    result = check(machine, checked, suite)
    assert result.sequences == SEQUENCES
    assert WRONG_BYTES in {failure.check for failure in result.failures}
    ((failure, *_),) = shrink(checked, WRONG_BYTES, [Failed(machine, suite, result)])
    (line,) = failure.case
    assert "fewer do not show it" in line
