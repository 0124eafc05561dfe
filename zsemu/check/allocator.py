# SPDX-License-Identifier: GPL-2.0-only
"""The suites of a kernel's own allocator: what it is put through beside traces."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from zsemu.check.findings import Failure, Result
from zsemu.check.suites import CHECKS, Suite
from zsemu.guest.targets import Target
from zsemu.kernel import exercise
from zsemu.kernel.facts import KernelFacts
from zsemu.kernel.replay import KernelReplay
from zsemu.kernel.strategy import KernelStrategy
from zsemu.replay import violations
from zsemu.replay.placed_trace import place_in_memory
from zsemu.replay.violations import Violation, check_of

SLOTS: Final = Suite("every slot", "", 4096)
"""every slot of every class in every mode, on two CPUs, and where each is"""
SEQUENCES: Final = Suite("sequences with compaction and migration", "", 4096, search=True)
"""random operations on two CPUs, with zs_compact() and migrations of pages between them"""
LIMITS: Final = Suite("limits", "", 4096)
"""sizes 0 and more than a page, and page allocation that fails at every step"""
SUITES: Final = (SLOTS, SEQUENCES, LIMITS)
ALLOCATOR_CHECKS: Final = (*CHECKS, violations.PLACEMENT, violations.ALLOCATOR)
"""what can fail: kinds of violation"""
_SEEDS: Final = 4
"""random sequences that one check has"""
_OPERATIONS: Final = 3000
"""of each of them"""


def check(target: Target, strategy: KernelStrategy, suite: Suite, *, seed: int = 0) -> Result:
    """Run one of SUITES on an architecture; ZsemuError if there is no object of it."""
    facts = strategy.facts(target.name)
    result = Result(target.name, strategy.name, suite.name)
    if suite == SLOTS:
        trace = exercise.slots(facts.geometry)
        outcome = KernelReplay(facts, place_in_memory(trace, facts.geometry)).run()
        result = replace(result, operations=len(trace), violation_count=outcome.violation_count)
        return replace(result, failures=_failures(outcome.violations, "of this suite"))
    if suite == LIMITS:
        judge = exercise.limits(facts).judge
        result = replace(result, operations=judge.behind, violation_count=judge.count)
        return replace(result, failures=_failures(judge.violations, "of this suite"))
    return _sequences(facts, result, seed)


def _sequences(facts: KernelFacts, result: Result, seed: int) -> Result:
    """Run sequences up to the first that goes wrong."""
    for number in range(_SEEDS):
        judge = exercise.sequence(facts, seed + number, _OPERATIONS).judge
        result = replace(result, operations=result.operations + judge.behind, sequences=number + 1)
        if judge.count:
            where = f"of sequence {number} of this suite, with --seed {seed}"
            failures = _failures(judge.violations, where)
            return replace(result, violation_count=judge.count, failures=failures)
    return result


def _failures(found: Sequence[Violation], where: str) -> list[Failure]:
    """Return the first violation of each kind, in the order of ALLOCATOR_CHECKS."""
    firsts: dict[str, Violation] = {}
    for violation in found:
        firsts.setdefault(check_of(violation), violation)
    return [
        Failure(check, firsts[check], [f"operation {firsts[check].operation} {where}"])
        for check in ALLOCATOR_CHECKS
        if check in firsts
    ]
