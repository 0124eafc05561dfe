# SPDX-License-Identifier: GPL-2.0-only
"""Check: whether a strategy can be trusted on an architecture, and if not, what shows it.

Every strategy must pass the checks of MUST_HOLD on every operation; a promise is checked where it
is made. A suite is one geometry and page size, exhausted, or a search by sequences. A failure is
shrunk to the smallest list of operations that shows the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zsemu import case, violations
from zsemu import geometry as geometries
from zsemu.build import build
from zsemu.errors import ZsemuError
from zsemu.exhaustive import exhaustive
from zsemu.geometry import Geometry
from zsemu.hooks import build_library
from zsemu.image import Image
from zsemu.pool import Pool, Report, Stages
from zsemu.properties import Exhausted, Property, exhaust, measure
from zsemu.propertytable import Properties
from zsemu.replay import Outcome, Replay
from zsemu.script import Builder
from zsemu.sequences import search
from zsemu.shrink import smallest
from zsemu.strategies import PROMISES, Strategy
from zsemu.targets import Target, target
from zsemu.trace import Operation
from zsemu.violations import FINAL_READ, Violation, check_of
from zsemu.work import PAGE_ORDERS, Work

MUST_HOLD: Final = (
    violations.WRONG_BYTES,
    violations.HEADER,
    violations.LINK,
    violations.STRAY,
    violations.FAULT,
    violations.ENDLESS,
    violations.SPANS,
    violations.MISALIGNED,
    violations.STALE,
)
"""what no strategy may do: kinds of violation"""
CHECKS: Final = (*MUST_HOLD, *PROMISES)
SEQUENCES: Final = 60
"""sequences that a search tries, of 50 steps each"""
SEQUENCE_GEOMETRY: Final = "chain-8"
PROPERTIES: Final = "properties"
_AROUND: Final = 1000
"""operations before and after one that are tried where fewer do not show what it does"""


@dataclass(frozen=True)
class Suite:
    """One test of a strategy on an architecture."""

    name: str
    geometry: str
    page_size: int
    page_order: str = PAGE_ORDERS[0]
    search: bool = False
    """by sequences, instead of exhausting the geometry"""

    @property
    def brief(self) -> bool:
        """Whether it would take too long to observe an operation of every shape."""
        return self.page_size > 4096 or self.geometry == "chain-16"

    @property
    def measures(self) -> bool:
        """Whether its replay is the one that properties are measured from."""
        small = self.page_size == 4096 and not self.search
        return small and self.geometry == SEQUENCE_GEOMETRY


def suites(geometry: Sequence[str] = (), page_size: Sequence[int] = ()) -> list[Suite]:
    """Return the suites for some geometries and page sizes; all, if none are named.

    Pages of 4 KiB under every geometry; larger ones under chain-8, or what is named. The pages of
    zspages lie in ascending, descending and scattered physical order. ZsemuError for an unknown
    geometry or page size.
    """
    for name in geometry or geometries.NAMES:
        for size in page_size or geometries.PAGE_SIZES:
            geometries.geometry(name, page_size=size, word_bits=64)
    found = []
    for size in page_size or geometries.PAGE_SIZES:
        names = geometry or (geometries.NAMES if size == 4096 else (SEQUENCE_GEOMETRY,))
        for number, name in enumerate(names):
            order = PAGE_ORDERS[number % len(PAGE_ORDERS)]
            found.append(Suite(f"{name}, {size >> 10} KiB pages", name, size, order))
    for name in geometry or (SEQUENCE_GEOMETRY,):
        if not page_size or 4096 in page_size:
            found.append(Suite(f"sequences, {name}", name, 4096, search=True))
    return found


@dataclass(frozen=True)
class Failure:
    """A check that failed, and the smallest case found that shows it."""

    check: str
    """one of CHECKS"""
    violation: Violation
    """of the smallest case"""
    case: list[str]
    """as zsemu.case reads it; or one line that says why there is none"""


@dataclass(frozen=True)
class Result:
    """One suite of one strategy on one architecture."""

    arch: str
    strategy: str
    suite: str
    operations: int = 0
    """how many ran"""
    sequences: int = 0
    """how many a search may try; it ends with the first that goes wrong"""
    skipped: str = ""
    """why the suite does not apply; else empty"""
    violation_count: int = 0
    failures: list[Failure] = field(default_factory=list)
    """one for each check that failed, in the order of CHECKS"""


@dataclass(frozen=True)
class Request:
    """What is to be checked."""

    archs: tuple[str, ...]
    strategies: dict[str, Strategy]
    suites: tuple[Suite, ...]
    seed: int = 0
    cc: str = "zig"
    properties: bool = True
    only: str = ""
    """what the name "ARCH STRATEGY SUITE" must contain; the properties are a suite, too"""


@dataclass(frozen=True)
class Findings:
    """All that a run of check found, in a fixed order."""

    results: list[Result]
    properties: Properties
    """empty if not asked for"""

    @property
    def passed(self) -> bool:
        """Whether every check holds."""
        return not any(result.failures for result in self.results)


def _geometry(target_: Target, suite: Suite) -> Geometry:
    return geometries.geometry(
        suite.geometry,
        page_size=suite.page_size,
        word_bits=target_.word_bits,
        physical_bits=target_.physical_bits,
    )


def _script(whole: Work, chosen: Sequence[int]) -> Builder:
    """Return some operations of a Work as a script, each in the zspage and slot that it had.

    What is not possible without those left out is left out, too.
    """
    builder = Builder(whole.geometry, whole.page_order)
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


def _beginnings(whole: Work, violation: Violation) -> list[NDArray[np.bool_]]:
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
    image: Image, whole: Work, promises: tuple[str, ...], violation: Violation
) -> tuple[list[str], list[Violation]]:
    """Return the smallest case found that fails the same check, and all its violations."""
    check = check_of(violation)

    def violated(chosen: Sequence[int]) -> list[Violation]:
        builder = _script(whole, chosen)
        if not len(builder):
            return []
        return Replay(image, builder.work(), strict=True, promises=promises).run().violations

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


def _failures(
    image: Image, whole: Work, promises: tuple[str, ...], outcome: Outcome
) -> list[Failure]:
    """Return what failed; a violation may hide another kind, which its smallest case shows."""
    firsts: dict[str, Violation] = {}
    for violation in outcome.violations:
        firsts.setdefault(check_of(violation), violation)
    failures: dict[str, Failure] = {}
    for check, violation in firsts.items():
        case, shown = _shrink(image, whole, promises, violation)
        for one in shown:
            name = check_of(one)
            if name == check or name not in firsts:
                failures.setdefault(name, Failure(name, one, case))
    return _in_order(failures)


def _in_order(failures: dict[str, Failure]) -> list[Failure]:
    return [failures[check] for check in CHECKS if check in failures]


def applies(target_: Target, strategy: Strategy, suite: Suite) -> bool:
    """Return whether the MMU has the pages that the strategy maps."""
    page_sizes = [1 << shift for shift in target_.page_shifts]
    return not strategy.needs_window or suite.page_size in page_sizes


def _exhaust(image: Image, suite: Suite, strategy: Strategy) -> Exhausted:
    work, promises = exhaustive(_geometry(image.target, suite), suite.page_order), strategy.promises
    if suite.measures or strategy.needs_window:
        return exhaust(image, work, promises)
    replay = Replay(image, work, lengths=True, brief=suite.brief, promises=promises)
    return Exhausted(work, replay, replay.run())


def check(
    target_: Target,
    strategy: Strategy,
    suite: Suite,
    *,
    seed: int = 0,
    cc: str = "zig",
    done: Exhausted | None = None,
) -> Result:
    """Run one suite of one strategy on one architecture, unless its replay is ``done``."""
    page_shift = suite.page_size.bit_length() - 1
    result = Result(target_.name, strategy.name, suite.name)
    if not applies(target_, strategy, suite):
        skipped = f"not on this architecture: its MMU has no pages of {suite.page_size >> 10} KiB"
        return replace(result, skipped=skipped)
    image = Image(build(target_, strategy, cc=cc, page_shift=page_shift), target_)
    if suite.search:
        geometry = _geometry(target_, suite)
        found = search(image, geometry, strategy.promises, seed=seed, sequences=SEQUENCES)
        failures: dict[str, Failure] = {}
        for one in found.outcome.violations if found else []:
            assert found
            failures.setdefault(check_of(one), Failure(check_of(one), one, found.lines))
        return replace(
            result,
            sequences=SEQUENCES,
            violation_count=found.outcome.violation_count if found else 0,
            failures=_in_order(failures),
        )
    done = done or _exhaust(image, suite, strategy)
    return replace(
        result,
        operations=len(done.work.trace),
        violation_count=done.outcome.violation_count,
        failures=_failures(image, done.work, strategy.promises, done.outcome),
    )


def run_case(target_: Target, strategy: Strategy, path: Path, *, cc: str = "zig") -> Outcome:
    """Run a case that was printed (zsemu.case) with everything checked."""
    builder = case.read(path, target_)
    page_shift = builder.geometry.page_size.bit_length() - 1
    image = Image(build(target_, strategy, cc=cc, page_shift=page_shift), target_)
    return Replay(image, builder.work(), strict=True, promises=strategy.promises).run()


_Cell = tuple[str, str, Suite | None]


def _build(request: Request, cell: tuple[str, str, int], report: Report) -> None:
    arch, name, size = cell
    page_shift = size.bit_length() - 1
    build(target(arch), request.strategies[name], cc=request.cc, page_shift=page_shift)
    report(1)


def _build_hooks(request: Request, nothing: None, report: Report) -> None:
    build_library()


def _run(
    request: Request, cells: tuple[_Cell, ...], report: Report
) -> list[Result | list[Property]]:
    """Do one cell, or a suite and the properties that are measured from its replay."""
    found: list[Result | list[Property]] = []
    done: Exhausted | None = None
    for arch, name, suite in cells:
        one, strategy = target(arch), request.strategies[name]
        if suite and len(cells) > 1:
            done = _exhaust(Image(build(one, strategy, cc=request.cc), one), suite, strategy)
        if suite:
            result = check(one, strategy, suite, seed=request.seed, cc=request.cc, done=done)
            found.append(replace(result, strategy=name))
        else:
            geometry = _geometry(one, Suite("", SEQUENCE_GEOMETRY, 4096))
            image = Image(build(one, strategy, cc=request.cc), one)
            found.append(measure(image, geometry, done))
        report(1)
    return found


def _cells(request: Request) -> dict[str, _Cell]:
    """Return what is to be done, in the order of the results."""
    cells: dict[str, _Cell] = {}
    for arch in request.archs:
        for name in request.strategies:
            for suite in request.suites:
                cells[f"{arch} {name} {suite.name}"] = (arch, name, suite)
            if request.properties:
                cells[f"{arch} {name} {PROPERTIES}"] = (arch, name, None)
    return {name: cell for name, cell in cells.items() if request.only in name}


def _images(request: Request, cells: Iterable[_Cell]) -> dict[str, tuple[str, str, int]]:
    """Return what is to be built; the user's own first, which may not compile."""
    images = set()
    for arch, name, suite in cells:
        if not suite or applies(target(arch), request.strategies[name], suite):
            images.add((arch, name, suite.page_size if suite else 4096))
    ordered = sorted(images, key=lambda image: (not request.strategies[image[1]].own, image))
    return {f"{arch} {name} {size >> 10} KiB": (arch, name, size) for arch, name, size in ordered}


def _tasks(cells: dict[str, _Cell]) -> dict[str, tuple[str, ...]]:
    """Return which cells are done together, those that take longest first."""
    tasks: dict[str, tuple[str, ...]] = {}
    for name, (arch, strategy, suite) in cells.items():
        properties = f"{arch} {strategy} {PROPERTIES}"
        if suite and suite.measures and properties in cells:
            tasks[properties] = (name, properties)
        else:
            tasks.setdefault(name, (name,))
    # The largest pages take longest.
    sizes = {name: suite.page_size if suite else 0 for name, (_, _, suite) in cells.items()}
    return dict(sorted(tasks.items(), key=lambda task: -sizes[task[1][0]]))


def run(request: Request, *, jobs: int, watch: Stages | None = None) -> Findings:
    """Check everything asked for, cells in parallel; the order of the results is fixed.

    ZsemuError if nothing has a name that ``request.only`` asks for, an image does not build, or a
    worker dies.
    """
    cells = _cells(request)
    if not cells:
        raise ZsemuError(
            f"nothing to check: no 'ARCH STRATEGY SUITE' contains {request.only!r};"
            f" the suites are: {'; '.join(suite.name for suite in request.suites)}; {PROPERTIES}"
        )
    watch = watch or Stages()
    with Pool(jobs, request) as pool:
        images = _images(request, cells.values())
        watch.stage("building", len(images))
        pool.run(_build_hooks, {"hooks": None})
        pool.run(_build, images, watch)
        watch.stage("checking", len(cells))
        tasks = _tasks(cells)
        done = pool.run(
            _run,
            {task: tuple(cells[name] for name in names) for task, names in tasks.items()},
            watch,
        )
    found: dict[str, Result | list[Property]] = {}
    for task, names in tasks.items():
        found |= dict(zip(names, done[task], strict=True))
    results: list[Result] = []
    properties: Properties = {}
    for cell, (arch, name, _) in cells.items():
        outcome = found[cell]
        if isinstance(outcome, Result):
            results.append(outcome)
        else:
            properties.setdefault(arch, {})[name] = tuple(outcome)
    return Findings(results, properties)
