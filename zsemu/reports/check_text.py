# SPDX-License-Identifier: GPL-2.0-only
"""Write the findings of a check as text, JSON, KTAP or JUnit XML.

No format holds times, so that the same findings give the same bytes.
"""

import json
import textwrap
from dataclasses import asdict
from itertools import groupby
from typing import Final

import numpy
import unicorn

import zsemu
from zsemu.check.findings import Failure, Findings, Request, Result
from zsemu.guest.compiler import compiler
from zsemu.guest.targets import target
from zsemu.replay.violations import PROMISE
from zsemu.reports import ci_formats, property_table
from zsemu.reports.ci_formats import Case

_LONGEST: Final = 50
"""lines that a failure has as text for reading"""

SCHEMA: Final = 1
"""of the JSON; a change of what a field means changes it"""


def provenance(request: Request) -> str:
    """Return in one line what the findings depend on."""
    compilers = {compiler(request.cc, target(arch)).version for arch in request.archs}
    return (
        f"seed {request.seed}, zsemu {zsemu.__version__}, NumPy {numpy.__version__},"
        f" Unicorn {unicorn.__version__}, compiler {', '.join(sorted(compilers))}"
    )


def _grouped(findings: Findings) -> dict[str, dict[str, list[Result]]]:
    """Return the results by architecture and strategy."""
    grouped: dict[str, dict[str, list[Result]]] = {}
    for result in findings.results:
        grouped.setdefault(result.arch, {}).setdefault(result.strategy, []).append(result)
    return grouped


def explain(result: Result, failure: Failure, shown: str = "") -> list[str]:
    """Return lines that say what failed, where, with which bytes, and the smallest case found.

    ``shown`` names a place that has the same case already.
    """
    found = failure.violation
    # The detail of a broken promise names the promise already.
    lines = [found.detail if found.kind == PROMISE else f"{failure.check}: {found.detail}"]
    lines.append(f"  in operation {found.operation}: {found.subject}")
    if found.expected or found.found:
        lines += [f"  expected {found.expected or '-'}", f"  found    {found.found or '-'}"]
    if found.pc:
        lines.append(f"  at {found.pc}: {found.instruction}")
    lines += [f"  called at {call}" for call in found.calls]
    of = f"of {result.violation_count} violations"
    if shown:
        return [*lines, f"  smallest case found, {of}: as of {shown}"]
    return [*lines, f"  smallest case found, {of}:", *(f"    {line}" for line in failure.case)]


# Text.


def text(findings: Findings, request: Request, *, width: int) -> str:
    """Return a summary by architecture, every failure, and the property table."""
    lines: list[str] = []
    cases: dict[tuple[str, ...], str] = {}
    for arch, strategies in _grouped(findings).items():
        lines.append(arch)
        name_width = max(len(name) for name in strategies)
        lines += [f"  {name:{name_width}}  {_sum(own)}" for name, own in strategies.items()]
    for (arch, name, suite), results in groupby(
        (result for result in findings.results if result.failures),
        key=lambda result: (result.arch, result.strategy, result.suite),
    ):
        where = f"{arch} {name} ({suite})"
        lines += ["", f"FAILED {where}"]
        for result in results:
            for failure in result.failures:
                shown = cases.setdefault((name, *failure.case), where)
                known = "" if shown == where else shown
                told = explain(result, failure, known)
                lines += [f"  {line}" for line in told[:_LONGEST]]
                if len(told) > _LONGEST:
                    rest = f"{len(told) - _LONGEST} more lines: --format json has them all"
                    lines.append(f"      # ... {rest}")
    for reason, skipped in _skipped(findings).items():
        listed = textwrap.wrap(f"skipped, {reason}: {'; '.join(skipped)}", width)
        lines += ["", *listed]
    if findings.properties:
        lines += ["", *property_table.lines(findings.properties, width)]
    lines += ["", _verdict(findings), *textwrap.wrap(provenance(request), width)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _sum(results: list[Result]) -> str:
    """Return how many suites of one strategy on one architecture held, and which checks failed."""
    failed = sum(bool(result.failures) for result in results)
    skipped = sum(bool(result.skipped) for result in results)
    line = f"{len(results) - failed - skipped:3} ok {failed:3} failed {skipped:3} skipped"
    if operations := sum(result.operations for result in results):
        line += f"  {operations:9,} operations"
    if sequences := sum(result.sequences for result in results):
        line += f"  {sequences} sequences"
    checks = dict.fromkeys(failure.check for result in results for failure in result.failures)
    return f"{line}  FAILED: {', '.join(checks)}" if checks else line


def _skipped(findings: Findings) -> dict[str, list[str]]:
    """Return by reason what was skipped: the strategies of each architecture, in words."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for result in findings.results:
        if result.skipped:
            archs = reasons.setdefault(result.skipped, {}).setdefault(result.arch, [])
            archs += [result.strategy] if result.strategy not in archs else []
    return {
        reason: [f"{arch} {', '.join(names)}" for arch, names in archs.items()]
        for reason, archs in reasons.items()
    }


def _verdict(findings: Findings) -> str:
    suites = len([result for result in findings.results if not result.skipped])
    if findings.passed:
        return f"{suites} of {suites} suites hold." if suites else "Nothing was judged."
    failed = sum(bool(result.failures) for result in findings.results)
    return f"{failed} of {suites} suites failed."


# JSON.


def as_json(findings: Findings, request: Request) -> str:
    """Return the results, and the properties if they were measured, as one JSON object."""
    data = {"schema": SCHEMA, "provenance": provenance(request), **asdict(findings)}
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


# KTAP and JUnit.


def _cases(findings: Findings) -> list[Case]:
    """Return each suite as a case of a test."""
    return [
        Case(
            result.arch,
            result.strategy,
            result.suite,
            skipped=result.skipped,
            failures=tuple(
                (failure.check, explain(result, failure)) for failure in result.failures
            ),
        )
        for result in findings.results
    ]


def ktap(findings: Findings, request: Request) -> str:
    """Return KTAP: a test for each architecture, within it one for each strategy, then the suites.

    Diagnostic lines before the result of a suite hold what :func:`explain` returns.
    """
    return ci_formats.ktap("zsemu check", _cases(findings), provenance(request))


def junit(findings: Findings, request: Request) -> str:
    """Return JUnit XML: a test suite for every architecture, a test case for every suite."""
    return ci_formats.junit("zsemu check", _cases(findings), provenance(request))
