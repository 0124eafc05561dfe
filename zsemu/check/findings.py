# SPDX-License-Identifier: GPL-2.0-only
"""Hold what a check is asked for, and what it finds: requests, results and failures, as data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from zsemu.check.properties import Property
from zsemu.check.suites import CHECKS, Suite
from zsemu.guest.strategies import Strategy
from zsemu.replay.violations import Violation, check_of

Properties = dict[str, dict[str, tuple[Property, ...]]]
"""by architecture and strategy, always the same ones in the same order"""


@dataclass(frozen=True)
class Failure:
    """A check that failed, and the smallest case found that shows it."""

    check: str
    """one of CHECKS"""
    violation: Violation
    """of the smallest case, or the suite's first where there is none"""
    case: list[str]
    """as zsemu.replay.script_text reads it; or a comment that says why there is none"""


@dataclass(frozen=True)
class Result:
    """One suite of one strategy on one architecture."""

    arch: str
    strategy: str
    suite: str
    operations: int = 0
    """how many ran"""
    sequences: int = 0
    """how many a search has tried; it ends with the first that goes wrong"""
    skipped: str = ""
    """why the suite does not apply; else empty"""
    violation_count: int = 0
    failures: list[Failure] = field(default_factory=list)
    """one for each check that failed, in the order of CHECKS"""


def firsts(violations: Iterable[Violation]) -> dict[str, Violation]:
    """Return the first violation of each check."""
    found: dict[str, Violation] = {}
    for violation in violations:
        found.setdefault(check_of(violation), violation)
    return found


def in_order(failures: Mapping[str, Failure]) -> list[Failure]:
    """Return failures by check in the order of CHECKS."""
    return [failures[check] for check in CHECKS if check in failures]


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
