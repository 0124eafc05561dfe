# SPDX-License-Identifier: GPL-2.0-only
"""Checks: planted faults are found, shrunk to what can be run again, and good strategies pass."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from faulty import FAULTS
from samples import busy_trace, placed

from zsemu.check.exhaustive import exhaustive
from zsemu.check.findings import Failure, Findings, Request, Result
from zsemu.check.run_suite import check
from zsemu.check.sequences import SEQUENCES
from zsemu.check.shrinking import Failed, complete, shrink
from zsemu.check.suites import CHECKS, MUST_HOLD, Suite, suites
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import PROMISES, Strategy, strategy
from zsemu.guest.targets import Target, target, variants
from zsemu.replay import script_text
from zsemu.replay.by_shape import EachClass
from zsemu.replay.observation import StrictTranslations
from zsemu.replay.replay import Replay, Trial
from zsemu.replay.violations import KEPT, PROMISE, WRONG_BYTES, Violation, check_of
from zsemu.reports.check_text import explain
from zsemu.runs.check import run
from zsemu.zsmalloc.geometry import NAMES, geometry

# Every eighth class shows what is planted.
pytestmark = pytest.mark.usefixtures("few_classes")

EXHAUSTED, SEARCHED = suites(("chain-8",), (4096,))
BY_NAME = {fault.name: fault for fault in FAULTS}


def planted(name: str, directory: Path) -> Strategy:
    return strategy(str(BY_NAME[name].write(directory)))


def shrunk(machine: Target, checked: Strategy, suite: Suite) -> Result:
    """Run a suite, and shrink everything that fails in it by itself."""
    result = check(machine, checked, suite)
    for failure in result.failures:
        (found,) = shrink(checked, failure.check, [Failed(machine, suite, result)])
        result = complete(result, found)
    return result


def checks_of(failure: Failure, machine: Target, checked: Strategy, directory: Path) -> set[str]:
    """Run the case of a failure again, from its text, and return the checks that it fails."""
    path = directory / "case.txt"
    path.write_text("\n".join(failure.case) + "\n")
    builder = script_text.read(path, machine)
    shift = builder.geometry.page_size.bit_length() - 1
    image = Image(build(machine, checked, page_shift=shift), machine)
    outcome = Trial(
        image, builder.placed(), observe=StrictTranslations, promises=checked.promises
    ).run()
    return {check_of(violation) for violation in outcome.violations}


def test_suites_cover_geometries_page_sizes_and_sequences() -> None:
    exhausted = {(suite.geometry, suite.page_size) for suite in suites() if not suite.search}
    assert exhausted == {
        *((name, 4096) for name in ("2012", "chain-4", "chain-8", "chain-16")),
        ("chain-8", 16384),
        ("chain-8", 65536),
    }
    orders = {suite.page_order for suite in suites() if not suite.search}
    assert orders == {"ascending", "descending", "scattered"}
    assert [suite.geometry for suite in suites() if suite.search] == ["chain-8"]
    assert len({suite.name for suite in suites()}) == len(suites())


def test_suites_that_are_asked_for() -> None:
    assert [suite.geometry for suite in suites(("2012",), (4096,))] == ["2012", "2012"]
    (large,) = suites(("2012",), (16384,))
    assert (large.page_size, large.search) == (16384, False)
    for wrong in ((("2011",), ()), ((), (8192,))):
        with pytest.raises(ZsemuError, match=r"2011|8192"):
            suites(*wrong)
    assert {suite.geometry for suite in suites(NAMES)} == set(NAMES)


def test_checks_are_what_must_hold_and_the_promises() -> None:
    assert (*MUST_HOLD, *PROMISES) == CHECKS
    assert len(set(CHECKS)) == len(CHECKS)
    wrong = Violation(WRONG_BYTES, 0, "read", 0, 32, 0, 0, "stateless: no", "", "", "", "")
    assert check_of(wrong) == WRONG_BYTES
    assert check_of(replace(wrong, kind=PROMISE)) == "stateless"


@pytest.mark.parametrize(
    ("name", "arch", "lines"),
    [
        # Geometry, zspage, then the operations.
        ("copy-out-short", "aarch64", 4),
        ("copy-out-after-read", "riscv32", 3),
        ("not-invalidated", "x86_64", 3),
        ("copy-in-skipped-for-update", "arm", 7),
        ("no-settle", "riscv64", 6),
        ("endless-map", "i386", 3),
    ],
)
def test_planted_fault_is_found_and_its_case_shows_it_again(
    name: str, arch: str, lines: int, tmp_path: Path
) -> None:
    machine, checked = target(arch), planted(name, tmp_path)
    result = shrunk(machine, checked, EXHAUSTED)
    assert result.violation_count > 0
    found = {failure.check: failure for failure in result.failures}
    assert list(found) == [each for each in CHECKS if each in found]
    assert BY_NAME[name].finds in found
    assert len(found[BY_NAME[name].finds].case) <= lines
    for failure in found.values():
        assert failure.check == check_of(failure.violation)
        assert failure.check in checks_of(failure, machine, checked, tmp_path)


@pytest.mark.parametrize("arch", variants())
def test_other_copy_primitives_are_judged(arch: str, tmp_path: Path) -> None:
    """As in a suite: what holds does, and a copy that is too short is found."""
    machine, work = target(arch), placed(busy_trace(300), arch)
    found = []
    for checked in (strategy("copy-modes"), planted("copy-in-short", tmp_path)):
        image = Image(build(machine, checked), machine)
        trial = Trial(image, work, observe=StrictTranslations, promises=checked.promises)
        found.append({violation.kind for violation in trial.run().violations})
    good, short = found
    assert not good
    assert BY_NAME["copy-in-short"].finds in short


@pytest.mark.parametrize("name", ["settle-forgets-the-slot-itself", "copy-in-skipped-for-update"])
def test_search_finds_a_planted_fault(name: str, tmp_path: Path) -> None:
    machine, checked = target("aarch64"), planted(name, tmp_path)
    result = shrunk(machine, checked, SEARCHED)
    assert result.operations == 0
    assert 1 <= result.sequences < SEQUENCES
    found = {failure.check: failure for failure in result.failures}
    assert BY_NAME[name].finds in found
    for failure in found.values():
        assert failure.check in checks_of(failure, machine, checked, tmp_path)


def test_a_kind_that_another_hides_is_found(tmp_path: Path) -> None:
    """Of the violations of a whole suite only the first are kept; the smallest case has all."""
    machine, checked = target("aarch64"), planted("copy-in-short", tmp_path)
    result = shrunk(machine, checked, EXHAUSTED)
    assert result.violation_count > KEPT
    assert WRONG_BYTES in {failure.check for failure in result.failures}


def test_window_needs_pages_that_the_mmu_has() -> None:
    (suite,) = suites((), (16384,))
    skipped = check(target("arm"), strategy("pgtable"), suite)
    assert "16 KiB" in skipped.skipped
    assert (skipped.operations, skipped.failures) == (0, [])
    assert not check(target("arm"), strategy("sg"), suite).skipped
    assert not check(target("aarch64"), strategy("pgtable"), suite).skipped


def test_results_are_in_order_whatever_ends_first(tmp_path: Path) -> None:
    chosen = {"bad.c": planted("copy-out-short", tmp_path), "sg": strategy("sg")}
    short, _ = suites(("chain-4",), (4096,))
    again = replace(short, name="once more")
    request = Request(("x86_64", "aarch64"), chosen, (short, again), properties=False)
    first, second = run(request, jobs=1), run(request, jobs=2)
    assert first == second
    assert [(one.arch, one.strategy, one.suite) for one in first.results] == [
        (arch, name, suite.name)
        for arch in ("x86_64", "aarch64")
        for name in chosen
        for suite in (short, again)
    ]
    assert not first.passed
    failed = {one.strategy for one in first.results if one.failures}
    assert failed == {"bad.c"}
    assert all(
        WRONG_BYTES in {failure.check for failure in one.failures}
        for one in first.results
        if one.strategy == "bad.c"
    )


@pytest.mark.usefixtures("in_process")
def test_only_what_is_asked_for_runs() -> None:
    request = Request(("i386", "arm"), {"sg": strategy("sg")}, (SEARCHED,), only="arm sg seq")
    found = run(request, jobs=1)
    assert [(one.arch, one.suite) for one in found.results] == [("arm", SEARCHED.name)]
    assert found.properties == {}
    with pytest.raises(ZsemuError, match="'none such'"):
        run(replace(request, only="none such"), jobs=1)


def test_page_order_is_kept_when_a_case_is_shrunk(tmp_path: Path) -> None:
    """The second page is taken to follow the first, which only ascending pages do."""
    text = (Path(strategy("sg").path)).read_text()
    old = "zs_page_address(loc->zspage, loc->page + 1)"
    assert text.count(old) == 1
    path = tmp_path / "follows.c"
    path.write_text(text.replace(old, "zs_page_address(loc->zspage, loc->page) + 2 * PAGE_SIZE"))
    checked, machine = strategy(str(path)), target("aarch64")
    ascending = Suite("up", "chain-8", 4096, "ascending")
    for order in ("descending", "scattered"):
        result = shrunk(machine, checked, replace(ascending, page_order=order))
        # What its stray stores do to far zspages takes the whole suite to show.
        small = [one for one in result.failures if "whole suite" not in one.case[0]]
        assert small
        for failure in small:
            assert order in failure.case[0]
            assert failure.check in checks_of(failure, machine, checked, tmp_path)


def test_geometry_of_the_target_is_used() -> None:
    bits = {arch: target(arch) for arch in ("i386", "arm")}
    sizes = {
        arch: geometry("chain-8", page_size=4096, word_bits=32, physical_bits=one.physical_bits)
        for arch, one in bits.items()
    }
    assert int(sizes["i386"].sizes[0]) == 256
    counts = {arch: check(one, strategy("sg"), EXHAUSTED).operations for arch, one in bits.items()}
    assert counts["i386"] < counts["arm"]
    assert np.all(sizes["arm"].sizes[:2] == (32, 48))


BRIEF = [suite for suite in suites() if suite.brief]


@pytest.mark.parametrize(
    ("suite", "name"),
    [*zip(BRIEF, ("copy-in-skipped-for-write", "static-variable", "copy-out-short"), strict=True)],
    ids=[suite.name for suite in BRIEF],
)
def test_suites_that_observe_little_find_faults(suite: Suite, name: str, tmp_path: Path) -> None:
    """A promise and a stray store in what is observed there, contents in everything."""
    result = check(target("riscv64"), planted(name, tmp_path), suite)
    assert BY_NAME[name].finds in {failure.check for failure in result.failures}


def test_what_suites_are_brief() -> None:
    assert {(suite.geometry, suite.page_size) for suite in BRIEF} == {
        ("chain-16", 4096),
        ("chain-8", 16384),
        ("chain-8", 65536),
    }
    work = exhaustive(geometry("chain-8", page_size=16384, word_bits=64), "descending")
    one = Image(build(target("riscv64"), strategy("copy"), page_shift=14), target("riscv64"))
    observed = Replay(one, work, observe=EachClass).run().shapes
    # Each mode of each class, spanning and not, each at least once; of all that occurs only little.
    assert 3 * len(work.geometry.classes) < observed < len(work.trace) / 50


@pytest.mark.usefixtures("in_process")
def test_the_same_together_and_apart(tmp_path: Path) -> None:
    """The properties are measured from the replay of a suite, if both are asked for."""
    mine = {"mine.c": planted("copy-out-after-read", tmp_path)}
    request = Request(("x86_64",), mine, (EXHAUSTED,))
    both = run(request, jobs=1)
    suite = run(replace(request, only=EXHAUSTED.name), jobs=1)
    properties = run(replace(request, only="properties"), jobs=1)
    assert (suite.properties, properties.results) == ({}, [])
    assert both == Findings(suite.results, properties.properties)
    assert not both.passed


def test_a_broken_promise_is_named_once(tmp_path: Path) -> None:
    result = check(target("x86_64"), planted("copy-out-after-read", tmp_path), EXHAUSTED)
    (failure,) = result.failures
    assert explain(result, failure)[0].count("ro-clean") == 1
    wrong = check(target("x86_64"), planted("copy-out-short", tmp_path), EXHAUSTED)
    assert explain(wrong, wrong.failures[0])[0].startswith("wrong bytes: ")
