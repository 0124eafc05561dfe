# SPDX-License-Identifier: GPL-2.0-only
"""Write the findings of a race as text, JSON, KTAP or JUnit XML.

No format holds times, so that the same findings give the same bytes.
"""

import json
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Final

import unicorn

import zsemu
from zsemu.check.findings import Properties
from zsemu.check.properties import Property
from zsemu.guest.compiler import compiler
from zsemu.guest.targets import target
from zsemu.race.findings import MEMORY, Failure, Findings, Group, Request, Result
from zsemu.race.kernel_scenes import SCENES
from zsemu.race.pairs import PAIRS
from zsemu.race.replayed import command, replay
from zsemu.reports import ci_formats, property_table
from zsemu.reports.ci_formats import Case
from zsemu.reports.race_schedule import explain

SCHEMA: Final = 1
"""of the JSON; a change of what a field means changes it"""
TITLE: Final = "weakest lock that works"
KERNEL_TITLE: Final = "a kernel's own locks are enough"


def provenance(request: Request) -> str:
    """Return in one line what the findings depend on."""
    compilers = {compiler(request.cc, target(arch)).version for arch in request.archs}
    return (
        f"seed {request.wanted.seed}, zsemu {zsemu.__version__}, Unicorn {unicorn.__version__},"
        f" compiler {', '.join(sorted(compilers))}"
    )


def _extent(result: Result) -> str:
    """Say which schedules were run, and whether that was all."""
    sampled = sum(one.sampled for one in result.scenes)
    run = result.schedules - sampled
    line = f"{result.bound}: {run:,} run, {result.pruned:,} pruned as equivalent"
    if result.complete:
        return f"{line}; that was all"
    return f"{line}, {sampled:,} drawn at random; that was not all"


def _verdict(result: Result, only: str) -> str:
    """Say in a few words what a strategy needs, and what it states.

    ``only`` is not empty if some scenes were left out.
    """
    if any(one.alone for one in result.scenes):
        return "FAILED: goes wrong without any preemption"
    if result.own_locks:
        return "FAILED: its own locks are not enough" if result.failures else "its locks are enough"
    if not result.stated:
        return f"needs {result.needs}; its first comment does not say"
    if result.failures:
        return f"FAILED: states {result.stated}, needs {result.needs}"
    if only:
        return f"needs {result.needs} in these scenes; states {result.stated}"
    if result.needs != result.stated:
        return f"states {result.stated}, but {result.needs} would do"
    return f"needs {result.needs}, as it states"


def text(findings: Findings, request: Request, *, width: int) -> str:
    """Return a summary by architecture, the table of locks, and what weaker locks would allow."""
    lines: list[str] = []
    for arch in dict.fromkeys(result.arch for result in findings.results):
        own = [result for result in findings.results if result.arch == arch]
        lines.append(arch)
        name = max(len(result.strategy) for result in own)
        for result in own:
            lines.append(f"  {result.strategy:{name}}  {_verdict(result, request.only)}")
            lines.append(f"  {'':{name}}  {len(result.scenes)} scenes; {_extent(result)}")
    for result in findings.results:
        if result.failures:
            lines += ["", f"FAILED {result.arch} {result.strategy}"]
            lines += [f"  {line}" for line in _shown(request, result, result.failures[0], width)]
    if findings.results:
        lines += _tables(findings, request, width)
    lines += ["", MEMORY]
    if findings.left_out:
        lines.append(f"Interrupted: {findings.left_out} parts were not run.")
    lines += textwrap.wrap(provenance(request), width)
    return "\n".join(lines) + "\n"


def _tables(findings: Findings, request: Request, width: int) -> list[str]:
    """Return which lock strategies need, and in which scenes a kernel's own locks are enough."""
    lines: list[str] = []
    if made := table(findings):
        lines += ["", *property_table.lines(made, width, TITLE)]
        lines += ["", *_weaker(findings, request)]
        lines += ["", *_torn(findings)]
    if made := kernel_table(findings):
        lines += ["", *property_table.lines(made, width, KERNEL_TITLE)]
    return lines


def _shown(request: Request, result: Result, failure: Failure, width: int) -> list[str]:
    """Return a failing schedule in two columns."""
    strategy = request.strategies[result.strategy]
    replayed = replay(result.arch, strategy, failure.scene, failure.schedule, cc=request.cc)
    again = command(result.arch, strategy, failure.scene, failure.schedule, request.cc)
    return explain(replayed, again, width - 2)


def table(findings: Findings, *, shown: bool = False) -> Properties:
    """Return which lock each kind of scene needs, as properties; empty if no strategy was run.

    ``shown`` adds the schedule that shows it.
    """
    there = dict.fromkeys(pair.group for pair in PAIRS)
    results = [one for one in findings.results if not one.own_locks]
    return _properties(results, there, _cell, _shows if shown else lambda group: "")


def kernel_table(findings: Findings) -> Properties:
    """Return for each kind of scene whether a kernel's own locks are enough; or nothing."""
    own = [one for one in findings.results if one.own_locks]
    there = dict.fromkeys(scene.group for scene in SCENES)
    return _properties(own, there, lambda group: "no" if group.failure else "yes", lambda group: "")


def _properties(
    results: Sequence[Result],
    groups: Iterable[str],
    cell: Callable[[Group], str],
    shows: Callable[[Group], str],
) -> Properties:
    """Return what a cell says of each group that any result has, in the order of the groups."""
    made: Properties = {}
    there = {group.name for result in results for group in result.groups}
    names = [name for name in groups if name in there]
    for result in results:
        cells = {one.name: Property(one.name, cell(one), shows(one)) for one in result.groups}
        # Empty where a strategy has no such scene: only some define zs_settle().
        rows = tuple(cells.get(name, Property(name, "", "")) for name in names)
        made.setdefault(result.arch, {})[result.strategy] = rows
    return made


def _cell(group: Group) -> str:
    if not group.lockable:
        return "yes" if group.failure is None else "no"
    return group.needs


def _shows(group: Group) -> str:
    """Say with which schedule a scene goes wrong if the lock that it needs is not held."""
    found = group.failure
    return f"{found.scene}, schedule {found.schedule}: {found.violation.kind}" if found else ""


def _weaker(findings: Findings, request: Request) -> list[str]:
    """Return for each strategy and weaker lock a schedule that goes wrong, of the first arch."""
    lines = ["What a weaker lock allows:"]
    needy = [result for result in findings.results if not result.own_locks]
    for strategy in dict.fromkeys(result.strategy for result in needy):
        result = next(findings.of(strategy))
        for level, failure in result.weaker.items():
            again = command(
                result.arch,
                request.strategies[strategy],
                failure.scene,
                failure.schedule,
                request.cc,
            )
            lines.append(f"  {strategy}, {level}: {failure.violation.kind}: {failure.scene}")
            lines.append(f"    {again}")
    return lines if len(lines) > 1 else ["Nothing needs a lock."]


def _torn(findings: Findings) -> list[str]:
    """Return which strategies let a reader see old and new bytes while the object is written."""
    torn = dict.fromkeys(
        result.strategy for result in findings.results for group in result.groups if group.torn
    )
    if not torn:
        return ["No read is torn."]
    return [
        "Without a lock, a read of an object that is written at the same time may see old and new"
        f" bytes: {', '.join(torn)}."
    ]


# Formats for programs.


def as_json(findings: Findings, request: Request) -> str:
    """Return the results as one JSON object."""
    results = [
        asdict(result)
        | {
            "needs": result.needs,
            "complete": result.complete,
            "schedules": result.schedules,
            "pruned": result.pruned,
            "failures": [asdict(failure) for failure in result.failures],
            "weaker": {level: asdict(failure) for level, failure in result.weaker.items()},
        }
        for result in findings.results
    ]
    data = {
        "schema": SCHEMA,
        "provenance": provenance(request),
        "memory": MEMORY,
        "left_out": findings.left_out,
        "locks": _plain(table(findings, shown=True)),
        "own_locks": _plain(kernel_table(findings)),
        "results": results,
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _plain(properties: Properties) -> dict[str, dict[str, list[dict[str, str]]]]:
    """Return properties as JSON has them."""
    return {
        arch: {name: [asdict(one) for one in rows] for name, rows in own.items()}
        for arch, own in properties.items()
    }


def _cases(findings: Findings) -> list[Case]:
    """Return each kind of scene as a case of a test."""
    cases = []
    for result in findings.results:
        wrong = {failure.scene: failure for failure in result.failures}
        for group in result.groups:
            own = [
                wrong[one.scene]
                for one in result.scenes
                if one.group == group.name and one.scene in wrong
            ]
            failures = tuple(
                (
                    failure.violation.kind,
                    [f"{failure.scene}, schedule {failure.schedule}", str(failure.violation)],
                )
                for failure in own[:1]
            )
            cases.append(Case(result.arch, result.strategy, group.name, failures=failures))
    return cases


def _depends(findings: Findings, request: Request) -> str:
    extents = dict.fromkeys(_extent(result) for result in findings.results)
    return f"{provenance(request)}. {MEMORY} {'. '.join(extents)}"


def ktap(findings: Findings, request: Request) -> str:
    """Return KTAP: a test for each architecture, strategy and kind of scene."""
    return ci_formats.ktap("zsemu race", _cases(findings), _depends(findings, request))


def junit(findings: Findings, request: Request) -> str:
    """Return JUnit XML: a test suite for every architecture, a case for every kind of scene."""
    return ci_formats.junit("zsemu race", _cases(findings), _depends(findings, request))
