# SPDX-License-Identifier: GPL-2.0-only
"""The cells of a check: every suite of every strategy on every architecture, in parallel."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from zsemu.check import allocator
from zsemu.check.findings import Failure, Findings, Properties, Request, Result
from zsemu.check.properties import Exhausted, Property, measure
from zsemu.check.run_suite import check, exhaust_suite
from zsemu.check.shrinking import Failed, complete, shrink
from zsemu.check.suites import PROPERTIES, SEQUENCE_GEOMETRY, Suite, geometry_of
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.targets import target
from zsemu.kernel.strategy import KernelStrategy
from zsemu.runs.compare import build_hooks
from zsemu.runs.pool import Pool, Report, Stages

_Cell = tuple[str, str, Suite | None]


def _build(request: Request, cell: tuple[str, str, int], report: Report) -> None:
    arch, name, size = cell
    strategy, page_shift = request.strategies[name], size.bit_length() - 1
    if isinstance(strategy, KernelStrategy):
        strategy.facts(arch)
    else:
        build(target(arch), strategy, cc=request.cc, page_shift=page_shift)
    report(1)


def _build_hooks(request: Request, nothing: None, report: Report) -> None:
    build_hooks(request.strategies.values())


def _run(
    request: Request, cells: tuple[_Cell, ...], report: Report
) -> list[Result | list[Property]]:
    """Do one cell, or a suite and the properties that are measured from its replay."""
    found: list[Result | list[Property]] = []
    done: Exhausted | None = None
    for arch, name, suite in cells:
        one, strategy = target(arch), request.strategies[name]
        if suite and isinstance(strategy, KernelStrategy):
            result = allocator.check(one, strategy, suite, seed=request.seed)
            found.append(replace(result, strategy=name))
            report(1)
            continue
        if suite and len(cells) > 1:
            done = exhaust_suite(Image(build(one, strategy, cc=request.cc), one), suite, strategy)
        if suite:
            result = check(one, strategy, suite, seed=request.seed, cc=request.cc, done=done)
            found.append(replace(result, strategy=name))
        else:
            geometry = geometry_of(one, Suite("", SEQUENCE_GEOMETRY, 4096))
            image = Image(build(one, strategy, cc=request.cc), one)
            found.append(measure(image, geometry, done))
        report(1)
    return found


_Failing = tuple[str, str, tuple[tuple[Suite, Result], ...]]
"""a strategy, a check, and the suites in which that failed"""


def _shrink(request: Request, failing: _Failing, report: Report) -> list[list[Failure]]:
    """Shrink what failed one check of one strategy."""
    name, check, suites = failing
    failed = [Failed(target(result.arch), suite, result) for suite, result in suites]
    found = shrink(request.strategies[name], check, failed, seed=request.seed, cc=request.cc)
    report(1)
    return found


def _failing(cells: dict[str, _Cell], found: dict[str, Result]) -> dict[str, _Failing]:
    """Return what is to be shrunk; an allocator's check has done so itself."""
    failing: dict[str, _Failing] = {}
    for cell, result in found.items():
        _, name, suite = cells[cell]
        assert suite
        for failure in result.failures:
            if not failure.case:
                key = f"{name} {failure.check}"
                _, _, others = failing.get(key, ("", "", ()))
                failing[key] = (name, failure.check, (*others, (suite, result)))
    return failing


def _cells(request: Request) -> dict[str, _Cell]:
    """Return what is to be done, in the order of the results."""
    cells: dict[str, _Cell] = {}
    for arch in request.archs:
        for name, strategy in request.strategies.items():
            if isinstance(strategy, KernelStrategy):
                suites = allocator.SUITES if arch in strategy.archs else ()
                cells |= {f"{arch} {name} {suite.name}": (arch, name, suite) for suite in suites}
                continue
            for suite in request.suites:
                cells[f"{arch} {name} {suite.name}"] = (arch, name, suite)
            if request.properties:
                cells[f"{arch} {name} {PROPERTIES}"] = (arch, name, None)
    return {name: cell for name, cell in cells.items() if request.only in name}


def _images(request: Request, cells: Iterable[_Cell]) -> dict[str, tuple[str, str, int]]:
    """Return what is to be built; the user's own first, which may not compile."""
    images = set()
    for arch, name, suite in cells:
        if not suite or request.strategies[name].runs_on(target(arch), suite.page_size):
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
    # Where every operation is observed takes longest, and then the largest pages.
    sizes = {name: suite.page_size if suite else 0 for name, (_, _, suite) in cells.items()}
    return dict(sorted(tasks.items(), key=lambda task: (-len(task[1]), -sizes[task[1][0]])))


def run(
    request: Request,
    *,
    jobs: int,
    watch: Stages | None = None,
    failed: Callable[[Result], bool] | None = None,
) -> Findings:
    """Check everything asked for, cells in parallel; the order of the results is fixed.

    ``failed`` is called with every result that has failures as soon as it is there, before they are
    shrunk. If it returns True, nothing more is checked, and only what is done by then is among the
    findings.

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

    def enough(outcomes: list[Result | list[Property]]) -> bool:
        broken = [one for one in outcomes if isinstance(one, Result) and one.failures]
        return failed is not None and any(failed(one) for one in broken)

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
            enough,
        )
        found: dict[str, Result | list[Property]] = {}
        for task, outcomes in done.items():
            found |= dict(zip(tasks[task], outcomes, strict=True))
        results: dict[str, Result] = {}
        properties: Properties = {}
        for cell, (arch, name, _) in cells.items():
            outcome = found.get(cell)
            if isinstance(outcome, Result):
                results[cell] = outcome
            elif outcome is not None:
                properties.setdefault(arch, {})[name] = tuple(outcome)
        if failing := _failing(cells, results):
            watch.stage("shrinking", len(failing))
            _add_cases(results, failing, pool.run(_shrink, failing, watch))
    return Findings(list(results.values()), properties)


def _add_cases(
    results: dict[str, Result], failing: dict[str, _Failing], found: dict[str, list[list[Failure]]]
) -> None:
    """Give results the cases that were found of their failures."""
    of_result: dict[tuple[str, str, str], list[Failure]] = {}
    for key, (name, _, suites) in failing.items():
        for (suite, result), failures in zip(suites, found[key], strict=True):
            of_result.setdefault((result.arch, name, suite.name), []).extend(failures)
    for cell, result in results.items():
        failures = of_result.get((result.arch, result.strategy, result.suite), [])
        results[cell] = complete(result, failures)
