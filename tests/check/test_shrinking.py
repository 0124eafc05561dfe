# SPDX-License-Identifier: GPL-2.0-only
"""Shrinking failures: small cases, shared by all that fail alike, within a budget that is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from zsemu.check import shrinking
from zsemu.check.findings import Failure
from zsemu.check.run_suite import check
from zsemu.check.shrinking import Failed, shrink
from zsemu.check.suites import suites
from zsemu.guest.strategies import Strategy, strategy
from zsemu.guest.targets import target
from zsemu.replay.violations import WRONG_BYTES

# Every eighth class shows what is planted.
pytestmark = pytest.mark.usefixtures("few_classes")

EXHAUSTED, SEARCHED = suites(("chain-8",), (4096,))
(OLD,) = (suite for suite in suites(("2012",), (4096,)) if not suite.search)


def planted(directory: Path, code: str) -> Strategy:
    """Return ``copy`` with code before it copies out; ``data`` is the payload in the buffer."""
    text = strategy("copy").path.read_text()
    old = "	if (!zs_spans(loc))\n		return;\n"
    assert text.count(old) == 1
    path = directory / "planted.c"
    path.write_text(
        text.replace(old, f"{old}\n	char *data = area->buffer + loc->header;\n\n	{code}\n")
    )
    return replace(strategy(str(path)), promises=())


def failed(checked: Strategy, *archs: str) -> list[Failed]:
    some = [
        Failed(target(arch), EXHAUSTED, check(target(arch), checked, EXHAUSTED)) for arch in archs
    ]
    assert all(WRONG_BYTES in {f.check for f in one.result.failures} for one in some)
    return some


def operations(failure: Failure) -> int:
    return sum("cpu" in line for line in failure.case)


def test_what_depends_on_content_is_shrunk(tmp_path: Path) -> None:
    """Objects keep their numbers, and so their content, when others are left out."""
    checked = planted(tmp_path, "if (data[loc->length / 2] % 32 == 17)\n		data[0] ^= 1;")
    ((failure, *_),) = shrink(checked, WRONG_BYTES, failed(checked, "aarch64"))
    assert operations(failure) <= 8
    assert "allocate 0 " not in "\n".join(failure.case)


def test_one_case_serves_all_that_fail_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = planted(tmp_path, "data[0] ^= 1;")
    both = failed(checked, "aarch64", "arm")
    both.append(Failed(target("arm"), OLD, check(target("arm"), checked, OLD)))
    # The rest of the budget would not do for another one.
    monkeypatch.setattr(shrinking, "_RUNS", 12)
    first, second, third = (failures[0] for failures in shrink(checked, WRONG_BYTES, both))
    assert operations(first) <= 3
    assert first.case == second.case == third.case
    assert (first.violation.kind, second.violation.kind) == (WRONG_BYTES, WRONG_BYTES)
    # What is told is the architecture's own.
    assert first.violation.instruction != second.violation.instruction


def test_shrinking_that_takes_long_ends_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every 20th write goes wrong, which takes more than the trials that there are."""
    state = "++area->private[0] % 20 == 0"
    monkeypatch.setattr(shrinking, "_RUNS", 6)
    checked = planted(tmp_path, f"if (mode != ZS_MM_RO && {state})\n		data[0] ^= 1;")
    tried: list[int] = []
    real = shrinking._script

    def watched(whole: object, chosen: list[int]) -> object:
        tried.append(len(chosen))
        return real(whole, chosen)  # type: ignore[arg-type]

    monkeypatch.setattr(shrinking, "_script", watched)
    both = shrink(checked, WRONG_BYTES, failed(checked, "aarch64", "riscv64"))
    one, other = (found[0] for found in both)
    assert one.case[0] == "# Not the smallest: shrinking took too long and ended early."
    assert operations(one) > 20
    assert other.case == one.case or "another of this check took too long" in other.case[0]
    assert len(tried) <= 6 + 2
    assert one.violation.kind == WRONG_BYTES
