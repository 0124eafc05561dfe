# SPDX-License-Identifier: GPL-2.0-only
"""Shrink a violation to the smallest list of operations found that shows the same."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from zsemu.check.findings import Failure
from zsemu.check.suites import CHECKS
from zsemu.guest.image import Image
from zsemu.replay.observation import StrictTranslations
from zsemu.replay.placed_trace import PlacedTrace
from zsemu.replay.replay import Outcome, Replay
from zsemu.replay.script import ScriptBuilder
from zsemu.replay.violations import FINAL_READ, Violation, check_of
from zsemu.traces.operation import Operation

_AROUND: Final = 1000
"""operations before and after one that are tried where fewer do not show what it does"""

_T = TypeVar("_T")


def smallest(items: Sequence[_T], shows: Callable[[list[_T]], bool], runs: int = 150) -> list[_T]:
    """Return a small sublist of ``items``, in order, for which ``shows`` is true.

    Zeller's ddmin, within so many runs of ``shows``; ``shows(items)`` is taken to be true.
    """
    kept = list(items)
    parts = 2
    while len(kept) > 1 and runs > 0:
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            candidate = kept[:start] + kept[start + size :]
            runs -= 1
            if candidate and shows(candidate):
                kept = candidate
                parts = max(parts - 1, 2)
                break
            if runs <= 0:
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(kept))
    return kept


def _script(whole: PlacedTrace, chosen: Sequence[int]) -> ScriptBuilder:
    """Return some operations as a script, each in the zspage and slot that it had.

    An operation that is not possible without one that was left out is left out, too.
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
                objects[who] = builder.allocate(zspages[serial], slot, length, cpu)
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
    ]


def _shrink(
    image: Image, whole: PlacedTrace, promises: tuple[str, ...], violation: Violation
) -> tuple[list[str], list[Violation]]:
    """Return the smallest case found that fails the same check, and all its violations."""
    check = check_of(violation)

    def violated(chosen: Sequence[int]) -> list[Violation]:
        builder = _script(whole, chosen)
        if not len(builder):
            return []
        return (
            Replay(image, builder.placed(), observe=StrictTranslations, promises=promises)
            .run()
            .violations
        )

    def shows(chosen: list[int]) -> bool:
        return check in map(check_of, violated(chosen))

    for beginning in _beginnings(whole, violation):
        everything = np.flatnonzero(beginning).tolist()
        if shows(everything):
            small = smallest(everything, shows)
            return _script(whole, small).lines(), violated(small)
    return [f"operation {violation.operation} of the whole suite: fewer do not show it"], [
        violation
    ]


def firsts(violations: Iterable[Violation]) -> dict[str, Violation]:
    """Return the first violation of each check."""
    found: dict[str, Violation] = {}
    for violation in violations:
        found.setdefault(check_of(violation), violation)
    return found


def failures(
    image: Image, whole: PlacedTrace, promises: tuple[str, ...], outcome: Outcome
) -> list[Failure]:
    """Return what failed; a violation may hide another kind, which its smallest case shows."""
    first = firsts(outcome.violations)
    failures: dict[str, Failure] = {}
    for check, violation in first.items():
        case, shown = _shrink(image, whole, promises, violation)
        for one in shown:
            name = check_of(one)
            if name == check or name not in first:
                failures.setdefault(name, Failure(name, one, case))
    return in_order(failures)


def in_order(failures: dict[str, Failure]) -> list[Failure]:
    """Return failures by check in the order of CHECKS."""
    return [failures[check] for check in CHECKS if check in failures]
