# SPDX-License-Identifier: GPL-2.0-only
"""Planted bugs: each is flagged by the check that is there for it, and no check is superfluous.

Every bug is replayed once on every architecture over its showing case; the matrices
architecture x bug and bug x check come out of that and are printed.
"""

from collections.abc import Callable
from functools import cache
from itertools import cycle
from pathlib import Path

import pytest
from faulty import CASES, FAULTS, Faulty
from faulty.cases import Case
from samples import shipped

from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import PROMISES, Strategy, strategy
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.replay import violations
from zsemu.replay.observation import StrictTranslations
from zsemu.replay.replay import Outcome, Replay, Trial
from zsemu.replay.violations import Violation

ARCHS = target_names()
CHECKS = (
    violations.WRONG_BYTES,
    violations.HEADER,
    violations.LINK,
    violations.STRAY,
    violations.STRAY_LOAD,
    violations.FAULT,
    violations.ENDLESS,
    violations.HALTS,
    violations.SPANS,
    violations.MISALIGNED,
    violations.STALE,
    *PROMISES,
)

# What is found of each bug is kept in a process.
pytestmark = pytest.mark.xdist_group("faulty")

Found = Callable[[Faulty, str], frozenset[str]]
"""a bug and an architecture to the checks that flag it there"""


def run(checked: Strategy, case: Case, arch: str, kind: type[Replay] = Trial) -> Outcome:
    """Replay one case with everything checked, as `zsemu check` does first."""
    machine = target(arch)
    if checked.own:
        image = Image(build(machine, checked, page_shift=case.page_shift), machine)
    else:
        image = shipped(machine, checked.name, case.page_shift)
    return kind(image, case.work(arch), observe=StrictTranslations, promises=checked.promises).run()


def check_of(violation: Violation) -> str:
    """Return which of CHECKS found it."""
    if violation.kind == violations.PROMISE:
        return violation.detail.partition(":")[0]
    return violation.kind


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Replay every bug where it is first asked for, and once."""
    directory = tmp_path_factory.mktemp("faulty")

    @cache
    def checks(fault: Faulty, arch: str) -> frozenset[str]:
        outcome = run(strategy(str(fault.write(directory))), fault.case, arch)
        # Of what is not kept nobody would know which check it was.
        assert outcome.violation_count == len(outcome.violations), fault.name
        return frozenset(check_of(violation) for violation in outcome.violations)

    return checks


def flagging(found: Found, fault: Faulty) -> frozenset[str]:
    """Return the checks that flag a bug on any architecture."""
    return frozenset[str]().union(*(found(fault, arch) for arch in ARCHS))


def test_every_bug_has_its_name() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_flagged_where_it_can_occur(fault: Faulty, found: Found) -> None:
    for arch in ARCHS:
        if arch in fault.archs:
            assert fault.finds in found(fault, arch), arch
        else:
            assert not found(fault, arch), arch


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("name", strategy_names())
def test_good_strategy_is_flagged_by_none(name: str, arch: str) -> None:
    for case in CASES:
        # A window needs pages that the MMU has.
        if name == "pgtable" and case.page_shift not in target(arch).page_shifts:
            continue
        outcome = run(strategy(name), case, arch)
        assert [str(violation) for violation in outcome.violations] == [], case.name


@pytest.mark.parametrize(
    ("fault", "arch"),
    list(zip(FAULTS, cycle(ARCHS), strict=False)),
    ids=lambda one: getattr(one, "name", one),
)
def test_flagged_alike_access_by_access(
    fault: Faulty, arch: str, found: Found, tmp_path: Path
) -> None:
    """A Replay sees every access of the user's, which a Trial judges by its spans."""
    outcome = run(strategy(str(fault.write(tmp_path))), fault.case, arch, Replay)
    assert {check_of(violation) for violation in outcome.violations} == found(fault, arch)


def test_every_check_is_the_only_finder_of_some_bug(found: Found) -> None:
    flagged = [flagging(found, fault) for fault in FAULTS]
    assert {check for checks in flagged if len(checks) == 1 for check in checks} == set(CHECKS)


def test_every_case_shows_a_bug() -> None:
    assert {fault.case for fault in FAULTS} == set(CASES)


def by_architecture(found: Found) -> list[str]:
    """Return the matrix architecture x bug."""
    lines = [
        "Architecture x bug (x: flagged by the check that is there for it; -: cannot occur, and"
        " is not flagged)",
        f"{'':45}" + "".join(f"{arch:>9}" for arch in ARCHS),
    ]
    for fault in FAULTS:
        cells = ("x" if fault.finds in found(fault, arch) else "-" for arch in ARCHS)
        row = f"{fault.base:12}{fault.name:33}"
        lines.append(row + "".join(f"{cell:>9}" for cell in cells))
    return lines


def by_check(found: Found) -> list[str]:
    """Return the matrix bug x check."""
    lines = ["Bug x check (X: the one that is there for it; x: another one)"]
    for number, check in enumerate(CHECKS):
        lines.append(f"{'':45}" + "  |" * number + f"  {check}")
    alone = dict.fromkeys(CHECKS, 0)
    for fault in FAULTS:
        flagged = flagging(found, fault)
        cells = ("X" if c == fault.finds else "x" if c in flagged else "." for c in CHECKS)
        row = f"{fault.base:12}{fault.name:33}"
        lines.append(row + "".join(f"{cell:>3}" for cell in cells))
        if len(flagged) == 1:
            alone[fault.finds] += 1
    lines.append(f"{'bugs that it alone finds':45}" + "".join(f"{n:>3}" for n in alone.values()))
    return lines


def test_matrices(found: Found, capsys: pytest.CaptureFixture[str]) -> None:
    """Print both; every cell of the first is what its bug says, every row of the second has one."""
    first, second = by_architecture(found), by_check(found)
    assert sum(line.count(" x") for line in first[2:]) == sum(len(f.archs) for f in FAULTS)
    assert [line[:45] for line in second if " X" in line] == [line[:45] for line in first[2:]]
    with capsys.disabled():
        print("", "", *first, "", *second, sep="\n")
