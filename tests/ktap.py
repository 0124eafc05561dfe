# SPDX-License-Identifier: GPL-2.0-only
"""KTAP read as kunit.py reads it, and by what Documentation/dev-tools/ktap.rst demands.

A plan must match the number of tests, numbers count from 1, a subtest begins with a version line
and is indented by two more spaces, and a test fails if one of its subtests does.
"""

import re
from dataclasses import dataclass, field

_PLAN = re.compile(r"1\.\.(\d+)")
_RESULT = re.compile(r"(ok|not ok) (\d+) - ([^#]+?)(?: # SKIP ?(.*))?")


class Wrong(Exception):  # noqa: N818 - a finding
    """It is not KTAP."""


@dataclass
class Test:
    """One result, with what was said before it."""

    __test__ = False

    name: str
    passed: bool
    skipped: str | None
    notes: list[str]
    tests: "list[Test]" = field(default_factory=list)


def parse(text: str) -> list[Test]:
    """Return the outermost tests; Wrong if the text breaks a rule."""
    if not text.endswith("\n"):
        raise Wrong("the last line does not end")
    lines = text.split("\n")[:-1]
    tests, rest = _level(lines, "")
    if rest:
        raise Wrong(f"behind the last test: {rest[0]!r}")
    return tests


def _level(lines: list[str], indent: str) -> tuple[list[Test], list[str]]:
    """Return the tests of one level and the lines behind them."""
    if not lines or lines[0] != f"{indent}KTAP version 1":
        raise Wrong(f"no version line: {lines[:1]}")
    plan = _PLAN.fullmatch(lines[1].removeprefix(indent)) if len(lines) > 1 else None
    if plan is None or int(plan[1]) == 0:
        raise Wrong(f"no plan, or for nothing: {lines[1:2]}")
    lines = lines[2:]
    tests: list[Test] = []
    notes: list[str] = []
    inner: list[Test] = []
    while len(tests) < int(plan[1]):
        if not lines:
            raise Wrong(f"{len(tests)} tests of {plan[1]}")
        if lines[0] == f"{indent}  KTAP version 1":
            if inner:
                raise Wrong("two levels before one result")
            inner, lines = _level(lines, f"{indent}  ")
            continue
        line, lines = lines[0], lines[1:]
        if not line.startswith(indent) or line[len(indent) : len(indent) + 1] == " ":
            raise Wrong(f"indented otherwise: {line!r}")
        line = line.removeprefix(indent)
        if line.startswith("# "):
            notes.append(line[2:])
            continue
        result = _RESULT.fullmatch(line)
        if result is None:
            raise Wrong(f"neither diagnostic nor result: {line!r}")
        if int(result[2]) != len(tests) + 1:
            raise Wrong(f"number {result[2]} after {len(tests)} tests")
        passed = result[1] == "ok"
        if inner and passed != all(test.passed for test in inner):
            raise Wrong(f"{result[3]}: {result[1]}, other than its subtests")
        tests.append(Test(result[3], passed, result[4], notes, inner))
        notes, inner = [], []
    # What follows on this level would be a test too many.
    if lines and lines[0].startswith(indent) and _RESULT.fullmatch(lines[0].removeprefix(indent)):
        raise Wrong(f"more tests than planned: {lines[0]!r}")
    return tests, lines
