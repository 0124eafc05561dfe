# SPDX-License-Identifier: GPL-2.0-only
"""Failures as text for reading: a case is shown once, and a long one in part."""

from zsemu.check.findings import Failure, Findings, Request, Result
from zsemu.guest.strategies import strategy
from zsemu.replay.violations import WRONG_BYTES, Violation
from zsemu.reports import check_text

REQUEST = Request(("arm", "aarch64"), {"mine.c": strategy("copy")}, ())


def failed(arch: str, suite: str, case: list[str]) -> Result:
    violation = Violation(
        WRONG_BYTES,
        2,
        "read",
        0,
        1680,
        2,
        3360,
        "1 of 8 bytes",
        "00",
        "01",
        "f+0x4",
        "ret",
        ("g+0x8",),
    )
    return Result(
        arch,
        "mine.c",
        suite,
        3,
        violation_count=7,
        failures=[Failure(WRONG_BYTES, violation, case)],
    )


def text(*results: Result) -> str:
    return check_text.text(Findings(list(results), {}), REQUEST, width=80)


def test_a_case_is_shown_where_it_was_found_first() -> None:
    case = ["geometry chain-8 page-size 4096 ascending", "zspage 0 class 1680", "0 cpu 0: read 0 8"]
    other = [*case, "1 cpu 0: read 0 8"]
    found = text(
        failed("arm", "one", case), failed("arm", "two", other), failed("aarch64", "one", case)
    )
    assert found.count(case[0]) == 2
    assert found.count("smallest case found, of 7 violations: as of arm mine.c (one)\n") == 1
    assert found.count("    at f+0x4: ret\n    called at g+0x8\n") == 3


def test_a_long_case_is_shown_in_part() -> None:
    case = [
        "geometry chain-8 page-size 4096 ascending",
        *(f"{n} cpu 0: read 0 8" for n in range(200)),
    ]
    found = text(failed("arm", "one", case))
    assert "30 cpu 0: read" in found
    assert "199 cpu 0: read" not in found
    # What fails, where, two lines of bytes, two of places, and what the case is of.
    assert f"# ... {201 + 7 - 50} more lines: --format json has them all" in found
