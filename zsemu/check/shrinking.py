# SPDX-License-Identifier: GPL-2.0-only
"""Shrink what failed to the smallest list of operations found that fails the same check.

The same mistake mostly fails the same check in many suites and on many architectures. So all that
fail a check are shrunk together: what was found for one is tried on the others first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from zsemu.check import sequences
from zsemu.check.ddmin import Budget, smallest
from zsemu.check.exhaustive import exhaustive
from zsemu.check.findings import Failure, Result, firsts, in_order
from zsemu.check.suites import Suite, geometry_of
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import Strategy
from zsemu.guest.targets import Target
from zsemu.replay import script_text
from zsemu.replay.observation import StrictTranslations
from zsemu.replay.placed_trace import PlacedTrace
from zsemu.replay.replay import Replay, Trial
from zsemu.replay.script import ScriptBuilder
from zsemu.replay.violations import FINAL_READ, Violation, check_of
from zsemu.traces.operation import Operation
from zsemu.zsmalloc.geometry import Geometry

_RUNS: Final = 120
_OPERATIONS: Final = 40_000
"""of all trials of one check together: some seconds"""
_CASES: Final = 4
"""cases of one check that are tried on others"""
_AROUND: Final = 1000
"""operations before and after one that are tried where fewer do not show what it does"""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Failed:
    """A suite in which the check failed."""

    target: Target
    suite: Suite
    result: Result


def shrink(
    strategy: Strategy, check: str, failed: Sequence[Failed], *, seed: int = 0, cc: str = "zig"
) -> list[list[Failure]]:
    """Return for each suite the check's failure with its case, and what else that case shows.

    A violation may hide another kind, which its smallest case shows.
    """
    return _Shrinking(strategy, check, seed, cc).run(failed)


def complete(result: Result, found: Sequence[Failure]) -> Result:
    """Return a result with the failures that shrink() has found for it."""
    known = {failure.check: failure for failure in result.failures}
    for failure in found:
        if failure.check not in known or not known[failure.check].case:
            known[failure.check] = failure
    return replace(result, failures=in_order(known))


class _Shrinking:
    """Shrinks the failures of one check of one strategy, within one budget."""

    def __init__(self, strategy: Strategy, check: str, seed: int, cc: str) -> None:
        self._strategy, self._check, self._seed, self._cc = strategy, check, seed, cc
        self._budget = Budget(_RUNS, _OPERATIONS)
        self._cases: list[list[str]] = []
        self._again: dict[tuple[str, int], Violation | None] = {}
        """by architecture and case: what fails the check there"""
        self._images: dict[tuple[str, int], Image] = {}
        """by architecture and page size"""

    def run(self, failed: Sequence[Failed]) -> list[list[Failure]]:
        return [self._known(one) or self._own(one) for one in failed]

    def _known(self, one: Failed) -> list[Failure]:
        """Return the failure if a case that another suite gave shows it here, too."""
        for number, case in enumerate(self._cases[:_CASES]):
            key = (one.target.name, number)
            if key not in self._again:
                self._again[key] = self._run_again(case, one.target)
            if violation := self._again[key]:
                return [Failure(self._check, violation, case)]
        return []

    def _run_again(self, case: list[str], target: Target) -> Violation | None:
        """Return what fails the check if a case is run on an architecture."""
        try:
            builder = script_text.parse(case, target, "case")
        except ZsemuError:
            return None  # These size classes, or slots, are not there.
        size = builder.geometry.page_size
        if not self._strategy.runs_on(target, size):
            return None
        return firsts(self._violations(self._image(target, size), builder)).get(self._check)

    def _own(self, one: Failed) -> list[Failure]:
        """Shrink it by itself, as far as the budget allows."""
        violation = next(f.violation for f in one.result.failures if f.check == self._check)
        if self._budget.ended:
            return [
                _whole(self._check, violation, "not shrunk: another of this check took too long")
            ]
        image = self._image(one.target, one.suite.page_size)
        small = self._small(one, image, violation)
        if small is None:
            ended = self._budget.ended
            why = "shrinking took too long and ended early" if ended else "fewer do not show it"
            return [_whole(self._check, violation, why)]
        case = small.lines()
        if self._budget.ended:
            case = ["# Not the smallest: shrinking took too long and ended early.", *case]
        self._cases.append(case)
        also = [failure.check for failure in one.result.failures if failure.check != self._check]
        shown = firsts(self._violations(image, small))
        return [Failure(name, shown[name], case) for name in shown if name not in also]

    def _small(self, one: Failed, image: Image, violation: Violation) -> ScriptBuilder | None:
        """Return the smallest script found, or None if only the whole suite shows it."""
        geometry = geometry_of(one.target, one.suite)
        if one.suite.search:
            return self._small_sequence(one, image, geometry)
        whole = exhaustive(geometry, one.suite.page_order)

        def script(chosen: list[int]) -> ScriptBuilder:
            return _script(whole, chosen)

        shows = self._shows(image, script)
        for beginning in _beginnings(whole, violation):
            everything = np.flatnonzero(beginning).tolist()
            if self._budget.spend(len(everything)) and shows(everything):
                return script(smallest(everything, shows, self._budget))
        return None

    def _small_sequence(
        self, one: Failed, image: Image, geometry: Geometry
    ) -> ScriptBuilder | None:
        """Return the smallest part of a sequence found, or None if only all together show it."""
        number = one.result.sequences - 1
        actions = sequences.sequence(geometry, self._seed, number)

        def perform(chosen: list[sequences.Action]) -> ScriptBuilder:
            return sequences.perform(geometry, chosen)

        shows = self._shows(image, perform)
        if not (self._budget.spend(len(actions)) and shows(actions)):
            return None
        return perform(smallest(actions, shows, self._budget))

    def _shows(
        self, image: Image, make: Callable[[list[_T]], ScriptBuilder]
    ) -> Callable[[list[_T]], bool]:
        """Return a function that says whether some items, made a script, fail the check."""

        def shows(chosen: list[_T]) -> bool:
            builder = make(chosen)
            if not len(builder):
                return False
            return self._check in map(check_of, self._violations(image, builder, Trial))

        return shows

    def _violations(
        self, image: Image, builder: ScriptBuilder, kind: type[Replay] = Replay
    ) -> list[Violation]:
        promises = self._strategy.promises
        one = kind(image, builder.placed(), observe=StrictTranslations, promises=promises)
        return one.run().violations

    def _image(self, target: Target, page_size: int) -> Image:
        key, shift = (target.name, page_size), page_size.bit_length() - 1
        if key not in self._images:
            built = build(target, self._strategy, cc=self._cc, page_shift=shift)
            self._images[key] = Image(built, target)
        return self._images[key]


def _whole(check: str, violation: Violation, why: str) -> Failure:
    """Return a failure without a case of its own."""
    case = [f"# operation {violation.operation} of the whole suite; {why}"]
    return Failure(check, violation, case)


def _script(whole: PlacedTrace, chosen: Sequence[int]) -> ScriptBuilder:
    """Return some operations as a script, each in the zspage and slot that it had.

    Objects keep their numbers, and so their content. An operation that is not possible without one
    that was left out is left out, too.
    """
    builder = ScriptBuilder(whole.geometry, whole.page_order)
    index = np.array(chosen, np.int64)
    placed, trace = whole.placed, whole.trace
    columns = (
        trace.operation,
        trace.object,
        trace.length,
        trace.cpu,
        placed.zspage,
        placed.slot,
        placed.class_index,
    )
    zspages: dict[int, int] = {}
    objects: dict[int, int] = {}
    for what, who, length, cpu, serial, slot, class_index in zip(
        *(column[index].tolist() for column in columns), strict=True
    ):
        if what == Operation.ALLOCATE:
            if serial not in zspages:
                zspages[serial] = builder.zspage(class_index)
            if builder.vacant(zspages[serial], slot):
                objects[who] = builder.allocate(zspages[serial], slot, length, cpu, who)
        elif who not in objects:
            continue
        elif what == Operation.FREE:
            builder.free(objects.pop(who), cpu)
        else:
            builder.use(Operation(what), objects[who], length, cpu)
    return builder


def _beginnings(whole: PlacedTrace, violation: Violation) -> list[NDArray[np.bool_]]:
    """Return which operations may show a violation on their own, the fewest first."""
    placed, number = whole.placed, np.arange(len(whole.trace))
    at = violation.operation
    # What is read at the end may have gone wrong any time.
    until = number <= (number[-1] if violation.action == FINAL_READ else at)
    zspage = until & (placed.zspage == placed.zspage[at])
    distance = abs(placed.slot - placed.slot[at])
    return [
        zspage & (distance <= 1),
        zspage & (distance <= 3),
        zspage,
        until & (placed.class_index == placed.class_index[at]),
        # It takes what other zspages hold, perhaps later.
        abs(number - at) <= _AROUND,
        # It takes many maps of a kind before.
        until & placed.spans & (np.cumsum((until & placed.spans)[::-1])[::-1] <= 2 * _AROUND),
    ]
