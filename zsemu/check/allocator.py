# SPDX-License-Identifier: GPL-2.0-only
"""The suites of a kernel's own allocator: what it is put through beside traces."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile
from pathlib import Path
from typing import Final

import numpy as np

from zsemu.check.ddmin import Budget, smallest
from zsemu.check.findings import Failure, Result, firsts
from zsemu.check.suites import CHECKS, Suite
from zsemu.guest import debug_lines
from zsemu.guest.targets import Target
from zsemu.kernel import exercise, steps
from zsemu.kernel.facts import KernelFacts
from zsemu.kernel.replay import KernelReplay
from zsemu.kernel.steps import Step
from zsemu.kernel.strategy import KernelStrategy
from zsemu.replay import violations
from zsemu.replay.placed_trace import place_in_memory
from zsemu.replay.violations import Violation, check_of

SLOTS: Final = Suite("every slot", "", 4096)
"""every slot of every class in every mode, on two CPUs, and where each is"""
SEQUENCES: Final = Suite("sequences with compaction and migration", "", 4096, search=True)
"""random operations on two CPUs, with zs_compact() and migrations of pages between them"""
LIMITS: Final = Suite("limits", "", 4096)
"""sizes 0, 1, a page and more than that, and page allocation that fails at every step"""
SUITES: Final = (SLOTS, SEQUENCES, LIMITS)
ALLOCATOR_CHECKS: Final = (*CHECKS, violations.PLACEMENT, violations.ALLOCATOR)
"""what can fail: kinds of violation"""
_SEQUENCES: Final = 4
"""random sequences that one check has"""
_OPERATIONS: Final = 3000
"""of each of them"""
_RUNS: Final = 60
_STEPS: Final = 100_000
"""of all smaller cases together that are tried of a failure"""
_CLASSES: Final = 8
"""size classes of which each alone is tried when a failure is shrunk"""


@dataclass(frozen=True)
class Done:
    """What came of some steps."""

    violations: Sequence[Violation]
    """the first of them"""
    number: int
    """how many there were"""


def _do(facts: KernelFacts, some: Sequence[Step], order: int) -> Done:
    """Do steps; if all are operations as traces have them, placement is compared, too."""
    if any(not step.operates for step in some):
        judge = steps.run(facts, some, order)
        return Done(judge.violations, judge.count)
    trace = steps.as_trace(some, facts.geometry)
    outcome = KernelReplay(facts, place_in_memory(trace, facts.geometry), seed=order).run()
    return Done(outcome.violations, outcome.violation_count)


def check(target: Target, strategy: KernelStrategy, suite: Suite, *, seed: int = 0) -> Result:
    """Run one of SUITES on an architecture; ZsemuError if there is no object of it."""
    facts = strategy.facts(target.name)
    result = Result(target.name, strategy.name, suite.name)
    if suite.search:
        return _search(facts, result, seed)
    make = exercise.slots if suite == SLOTS else exercise.limits
    some = make(facts.geometry)
    done = _do(facts, some, 0)
    return replace(
        result,
        operations=sum(step.operates for step in some),
        violation_count=done.number,
        failures=_failures(facts, some, 0, done),
    )


def _search(facts: KernelFacts, result: Result, seed: int) -> Result:
    """Run sequences up to the first that goes wrong."""
    for number in range(_SEQUENCES):
        order = seed + number
        some = exercise.sequence(facts.geometry, order, _OPERATIONS)
        done = _do(facts, some, order)
        operations = result.operations + sum(step.operates for step in some)
        result = replace(result, operations=operations, sequences=number + 1)
        if done.number:
            failures = _failures(facts, some, order, done)
            return replace(result, violation_count=done.number, failures=failures)
    return result


def run_case(target: Target, strategy: KernelStrategy, path: Path) -> Done:
    """Run a case that was printed; zsemu.kernel.steps has its format."""
    facts = strategy.facts(target.name)
    some, order = steps.read(path, facts.geometry)
    done = _do(facts, some, order)
    return replace(done, violations=_blamed(facts, some, order, done))


# Failures.


def _failures(facts: KernelFacts, some: list[Step], order: int, done: Done) -> list[Failure]:
    """Return what failed, in the order of ALLOCATOR_CHECKS, each with its smallest case."""
    found: dict[str, Failure] = {}
    for check, violation in firsts(done.violations).items():
        if check not in found:
            case, shown = _smallest(facts, some, order, violation)
            for name, one in firsts(shown).items():
                found.setdefault(name, Failure(name, one, steps.lines(case, order)))
    return [found[check] for check in ALLOCATOR_CHECKS if check in found]


def _smallest(
    facts: KernelFacts, some: list[Step], order: int, violation: Violation
) -> tuple[list[Step], Sequence[Violation]]:
    """Return the smallest case found that fails the same check, and its violations."""
    check = check_of(violation)

    def shows(chosen: list[Step]) -> bool:
        case = steps.possible(chosen)
        return bool(case) and check in map(check_of, _do(facts, case, order).violations)

    begin = next((one for one in _beginnings(facts, some, violation) if shows(one)), some)
    case = steps.possible(smallest(begin, shows, Budget(_RUNS, _STEPS)))
    return case, _blamed(facts, case, order, _do(facts, case, order))


def _beginnings(facts: KernelFacts, some: list[Step], violation: Violation) -> Iterable[list[Step]]:
    """Yield steps that may show a violation on their own, of classes with few slots first."""
    geometry = facts.geometry
    allocated = [step for step in some if step.action == "allocate"]
    of_class = geometry.class_index([step.length for step in allocated])
    # A zspage of few objects is soon full.
    found = np.unique(of_class)
    for one in found[np.argsort(geometry.objects[found], kind="stable")][:_CLASSES].tolist():
        same = {
            step.object for step, at in zip(allocated, of_class.tolist(), strict=True) if at == one
        }
        yield [s for s in some if s.action in ("compact", "refuse") or s.object in same]
    until = [n for n, step in enumerate(some) if step.operates][: violation.operation + 2]
    # What is done between operations belongs to the one before.
    yield some[: until[-1]] if violation.operation + 2 == len(until) else some


def _stopped(
    facts: KernelFacts, some: Sequence[Step], order: int, violation: Violation
) -> Violation:
    """Return the last violation of a run with the calls that led there, if it has ended the run."""
    calls = steps.calls(facts, some, order)
    image, own = facts.linked.image, facts.linked.own
    symbol = image.symbols.get(violation.pc.partition("+")[0])
    if violation.kind in violations.ENDS and symbol and symbol.address not in own:
        by_object = list(dropwhile(lambda pc: pc not in own, calls))
        if by_object:
            called, *calls = by_object
            violation = replace(
                violation,
                detail=f"{violation.detail}, in a stand-in: {violation.pc}",
                pc=debug_lines.where(image, called),
                instruction=image.disassemble(called),
            )
    return replace(violation, calls=tuple(debug_lines.where(image, pc) for pc in calls))


def _blamed(facts: KernelFacts, some: Sequence[Step], order: int, done: Done) -> list[Violation]:
    """Return violations that name instructions of the object.

    The first wrong byte names the store that made it wrong; a stop in a stand-in, the call of it;
    and what ended the run, the chain of calls that led there.
    """
    found = list(done.violations)
    if found and found[-1].kind in (*violations.ENDS, violations.ALLOCATOR):
        found[-1] = _stopped(facts, some, order, found[-1])
    at = next((n for n, one in enumerate(found) if one.kind == violations.WRONG_BYTES), None)
    if at is None:
        return found
    wrong = found[at]
    if wrong.action == violations.FINAL_READ:
        born = next(s for s in some if (s.action, s.object) == ("allocate", wrong.object_number))
        until = [*some, replace(born, action="read")]
    else:
        operations = [n for n, step in enumerate(some) if step.operates]
        until = list(some[: operations[wrong.operation] + 1])
    blamed = steps.culprit(facts, until, order)
    if blamed:
        found[at] = replace(wrong, pc=blamed[0], instruction=blamed[1])
    return found
