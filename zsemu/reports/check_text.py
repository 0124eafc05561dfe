# SPDX-License-Identifier: GPL-2.0-only
"""Write the findings of a check as text, JSON, KTAP or JUnit XML.

KTAP is defined in the kernel's Documentation/dev-tools/ktap.rst; tests are nested by architecture
and strategy. No format holds times, so that the same findings give the same bytes.
"""

import json
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Final
from xml.etree import ElementTree

import hypothesis
import unicorn

import zsemu
from zsemu.check.findings import Failure, Findings, Properties, Request, Result
from zsemu.guest.compiler import compiler
from zsemu.guest.targets import target
from zsemu.replay.violations import PROMISE
from zsemu.reports import property_table

_NAME: Final = 36
"""width of the column with the names of properties"""

_LONGEST: Final = 50
"""lines that a failure has as text for reading"""

SCHEMA: Final = 1
"""of the JSON; a change of what a field means changes it"""


def provenance(request: Request) -> str:
    """Return in one line what the findings depend on."""
    compilers = {compiler(request.cc, target(arch)).version for arch in request.archs}
    return (
        f"seed {request.seed}, zsemu {zsemu.__version__}, Hypothesis {hypothesis.__version__},"
        f" Unicorn {unicorn.__version__}, compiler {', '.join(sorted(compilers))}"
    )


def _failed(results: list[Result]) -> bool:
    return any(result.failures for result in results)


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
        lines += ["", *property_lines(findings.properties, width)]
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


def property_lines(properties: Properties, width: int) -> list[str]:
    """Return the property table, then where architectures differ, then what shows each ``no``."""
    made = property_table.table(properties)
    column = 2 + max(len(cell) for row in made.rows for cell in row.cells)
    lines = []
    for number, strategy in enumerate(made.strategies):
        bars = "".join(f"{'|':<{column}}" for _ in made.strategies[:number])
        lines.append(f"{'properties' if not number else '':{_NAME}}{bars}{strategy}")
    for group, rows in groupby(made.rows, key=lambda row: row.group):
        lines += [f"{group}:"] if group else []
        for row in rows:
            label = f"  {row.name}" if group else row.name
            cells = "".join(f"{cell:{column}}" for cell in row.cells)
            lines.append(f"{label:{_NAME}}{cells}".rstrip())
    lines += ["", *(made.differ or [made.where])]
    if made.shown:
        lines += ["", "What shows it:"]
        for line in made.shown:
            lines += textwrap.wrap(line, width, initial_indent="  ", subsequent_indent="    ")
    return lines


# JSON.


def as_json(findings: Findings, request: Request) -> str:
    """Return the results, and the properties if they were measured, as one JSON object."""
    data = {"schema": SCHEMA, "provenance": provenance(request), **asdict(findings)}
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


# KTAP.


def _plain(name: str) -> str:
    """Return a name that KTAP can hold: on one line and without ``#``."""
    return " ".join("".join(c if c.isprintable() else "?" for c in name).replace("#", "?").split())


def _point(number: int, name: str, failed: bool, skipped: str = "") -> str:
    directive = f" # SKIP {_plain(skipped)}" if skipped else ""
    return f"{'not ok' if failed else 'ok'} {number} - {_plain(name)}{directive}"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield f"  {line}"


def _suites(results: list[Result]) -> Iterator[str]:
    yield "KTAP version 1"
    yield f"1..{len(results)}"
    for number, result in enumerate(results, 1):
        for failure in result.failures:
            for line in explain(result, failure):
                yield f"# {line}"
        yield _point(number, result.suite, bool(result.failures), result.skipped)


def _strategies(strategies: dict[str, list[Result]]) -> Iterator[str]:
    yield "KTAP version 1"
    yield f"1..{len(strategies)}"
    for number, (name, results) in enumerate(strategies.items(), 1):
        yield from _indented(_suites(results))
        yield _point(number, name, _failed(results))


def ktap(findings: Findings, request: Request) -> str:
    """Return KTAP: a test for each architecture, within it one for each strategy, then the suites.

    Diagnostic lines before the result of a suite hold what :func:`explain` returns.
    """
    grouped = _grouped(findings)
    lines = ["KTAP version 1", f"1..{len(grouped)}", f"# zsemu check: {provenance(request)}"]
    for number, (arch, strategies) in enumerate(grouped.items(), 1):
        lines += _indented(_strategies(strategies))
        lines.append(_point(number, arch, any(_failed(own) for own in strategies.values())))
    return "\n".join(lines) + "\n"


# JUnit.


def _xml(text: str) -> str:
    """Replace the characters that no XML document may hold."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


def junit(findings: Findings, request: Request) -> str:
    """Return JUnit XML: a test suite for every architecture, a test case for every suite."""
    root = ElementTree.Element("testsuites", name="zsemu check")
    for arch, strategies in _grouped(findings).items():
        results = [result for own in strategies.values() for result in own]
        suite = ElementTree.SubElement(root, "testsuite", {"name": arch} | _numbers(results))
        properties = ElementTree.SubElement(suite, "properties")
        ElementTree.SubElement(
            properties, "property", name="provenance", value=_xml(provenance(request))
        )
        for result in results:
            case = ElementTree.SubElement(
                suite, "testcase", classname=_xml(result.strategy), name=result.suite
            )
            if result.skipped:
                ElementTree.SubElement(case, "skipped", message=result.skipped)
            if result.failures:
                # One failure for a test case, because most readers show only the first.
                checks = "; ".join(failure.check for failure in result.failures)
                failed = ElementTree.SubElement(case, "failure", message=checks, type=checks)
                told = ["\n".join(explain(result, failure)) for failure in result.failures]
                failed.text = _xml("\n\n".join(told))
    root.attrib.update(_numbers(findings.results))
    ElementTree.indent(root)
    return f"{ElementTree.tostring(root, encoding='unicode', xml_declaration=True)}\n".replace(
        "encoding='us-ascii'", "encoding='UTF-8'"
    )


def _numbers(results: list[Result]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(bool(result.failures) for result in results)),
        "errors": "0",
        "skipped": str(sum(bool(result.skipped) for result in results)),
    }
