# SPDX-License-Identifier: GPL-2.0-only
"""Programs of the literature have exactly the outcomes of sequential consistency.

Store buffering, message passing and load buffering are tests SB, MP and LB of Alglave, Maranget and
Tautschnig, "Herding cats", TOPLAS 2014. Peterson's lock: Information Processing Letters 12, 1981.
"""

from itertools import product
from pathlib import Path

import pytest

from race.litmus import Litmus
from zsemu.guest.targets import names
from zsemu.race.native_structures import DONE, ENDLESS, TO_END
from zsemu.race.schedule import Schedule
from zsemu.race.searched import Bounds

SB = "if (me) { STORE(y, 1); r[0] = LOAD(x); } else { STORE(x, 1); r[0] = LOAD(y); }"
MP = "if (me) { r[0] = LOAD(y); r[1] = LOAD(x); } else { STORE(x, 1); STORE(y, 1); }"
LB = "if (me) { r[0] = LOAD(y); STORE(x, 1); } else { r[0] = LOAD(x); STORE(y, 1); }"
COUNTER = "for (i = 0; i < 2; i++) { unsigned long v = LOAD(x); STORE(x, v + 1); }"
ATOMIC = "for (i = 0; i < 2; i++) __atomic_fetch_add(&x, 1, __ATOMIC_SEQ_CST);"
EXCHANGE = """for (i = 0; i < 2; i++) {
	unsigned long v = LOAD(x);
	while (!__atomic_compare_exchange_n(&x, &v, v + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) ;
}"""
PETERSON = """STORE(flag[me], 1);
	STORE(turn, !me);
	while (LOAD(flag[!me]) && LOAD(turn) == !me)
		;
	i = LOAD(x);
	STORE(x, i + 1);
	STORE(flag[me], 0);"""
# Without the turn, both may wait for each other for ever.
FLAGS_ONLY = PETERSON.replace(" && LOAD(turn) == !me", "")
# And with the turn set before the flag, both may enter: a bug that is made to this day.
TURN_FIRST = PETERSON.replace(
    "STORE(flag[me], 1);\n	STORE(turn, !me);", "STORE(turn, !me);\n	STORE(flag[me], 1);"
)

# The result of CPU A is in the first two words, B's in the others.
RESULTS = {
    "store buffering": (SB, {(0, 0, 1, 0), (1, 0, 0, 0), (1, 0, 1, 0)}),
    "message passing": (MP, {(0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 1)}),
    "load buffering": (LB, {(0, 0, 0, 0), (0, 0, 1, 0), (1, 0, 0, 0)}),
}
COUNTS = {
    "plain": (COUNTER, {2, 3, 4}),
    "atomic": (ATOMIC, {4}),
    "compare and exchange": (EXCHANGE, {4}),
    "Peterson's lock": (PETERSON, {2}),
    "turn first": (TURN_FIRST, {1, 2}),
}
BOUNDS = (Bounds(preemptions=3), Bounds(exhaustive=True))


@pytest.mark.parametrize("bounds", BOUNDS, ids=("bounded", "exhaustive"))
@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("arch", names())
def test_outcomes(arch: str, name: str, bounds: Bounds, tmp_path: Path) -> None:
    text, expected = RESULTS[name]
    litmus = Litmus(arch, text, tmp_path)
    searched = litmus.search(bounds)
    assert {found[2:] for found in litmus.outcomes} == expected
    assert {found[:2] for found in litmus.outcomes} == {(DONE, DONE)}
    assert searched.complete
    assert sum(outcome.number for outcome in searched.outcomes) == searched.schedules


@pytest.mark.parametrize("bounds", BOUNDS, ids=("bounded", "exhaustive"))
@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("arch", names())
def test_counters(arch: str, name: str, bounds: Bounds, tmp_path: Path) -> None:
    text, expected = COUNTS[name]
    litmus = Litmus(arch, text, tmp_path, watched=("x",))
    searched = litmus.search(bounds)
    assert set(litmus.outcomes) == {(DONE, DONE, count) for count in expected}
    assert searched.complete


@pytest.mark.parametrize("arch", names())
def test_deadlock(arch: str, tmp_path: Path) -> None:
    litmus = Litmus(arch, FLAGS_ONLY, tmp_path, watched=("x",))
    litmus.search(Bounds(2))
    assert set(litmus.outcomes) == {(DONE, DONE, 2), (ENDLESS, ENDLESS, 0)}


@pytest.mark.parametrize(
    ("arch", "text"),
    [("x86_64", SB), ("riscv32", MP), ("x86_64", LB), ("riscv32", COUNTER)],
    ids=("SB", "MP", "LB", "plain"),
)
def test_no_schedule_is_missed(arch: str, text: str, tmp_path: Path) -> None:
    """Compare a bounded search with all schedules of up to two preemptions at any instruction."""
    litmus = Litmus(arch, text, tmp_path, watched=("result", "x", "y"))
    searched = litmus.search(Bounds(2))
    found = set(litmus.outcomes)
    most = 90
    every: set[tuple[int, ...]] = set()
    for first, (one, other) in product((0, 1), product(range(most), repeat=2)):
        # One, then the other, then both to their ends; an end that comes earlier is no error.
        blocks = [(first, one), (1 - first, other), (first, TO_END), (1 - first, TO_END)]
        every.add(litmus.replay(Schedule(tuple(block for block in blocks if block[1]))))
    assert every == found
    assert searched.schedules < 100


@pytest.mark.parametrize("arch", names())
def test_replay(arch: str, tmp_path: Path) -> None:
    litmus = Litmus(arch, COUNTER, tmp_path, watched=("x",))
    searched = litmus.search(Bounds(2))
    verdicts = {verdict: result for result, verdict in litmus.outcomes.items()}
    assert len(searched.outcomes) == 3
    for outcome in searched.outcomes:
        assert litmus.replay(outcome.schedule) == verdicts[outcome.verdict]


@pytest.mark.parametrize("arch", ["aarch64", "i386"])
def test_samples(arch: str, tmp_path: Path) -> None:
    """A lost update has depth 2: each schedule finds it with a probability of 1 in 2k or more."""
    litmus = Litmus(arch, COUNTER, tmp_path, watched=("x",))
    litmus.search(Bounds(0))
    litmus.outcomes.clear()
    searched = litmus.cpus.sample(1, 200, 1, litmus.judge)
    assert searched.schedules == 200
    by_verdict = {outcome.verdict: outcome for outcome in searched.outcomes}
    lost = [by_verdict[v].number for r, v in litmus.outcomes.items() if r != (DONE, DONE, 4)]
    assert sum(lost) >= 200 / 8
    for outcome in searched.outcomes:
        assert outcome.schedule.preemptions <= 1
