# SPDX-License-Identifier: GPL-2.0-only
"""zsemu check from outside: exit status, what each format says, and that it is always the same."""

import copy
import json
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import ktap
import pytest
from faulty import FAULTS
from processes import start_none
from samples import exhaust_few_classes

from zsemu.check.findings import Findings, Request
from zsemu.check.suites import suites
from zsemu.cli import main
from zsemu.guest.strategies import PROMISES, strategy
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.targets import names as target_names
from zsemu.reports import check_text, property_table
from zsemu.runs import check as runs_check

# The findings of planted faults, and the properties, are measured once in a process.
pytestmark = pytest.mark.xdist_group("cli-check")

PLANTED = ("copy-out-short", "copy-out-after-read", "invalidated-before-the-store")
WANTED = {f"{fault.name}.c": fault.finds for fault in FAULTS if fault.name in PLANTED}
GOOD = "copy"
(EXHAUSTED, _) = suites(("chain-8",), (4096,))


@dataclass(frozen=True)
class Checked:
    """What was found of the planted faults and a good strategy."""

    request: Request
    findings: Findings


@pytest.fixture(autouse=True)
def _keep_handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    directory = tmp_path_factory.mktemp("planted")
    chosen = [fault for fault in FAULTS if fault.name in PLANTED]
    assert len(chosen) == len(PLANTED)
    found = {f"{fault.name}.c": strategy(str(fault.write(directory))) for fault in chosen}
    found[GOOD] = strategy(GOOD)
    request = Request(("aarch64",), found, (EXHAUSTED,), properties=False)
    with pytest.MonkeyPatch.context() as patch:
        exhaust_few_classes(patch)
        start_none(patch)
        return Checked(request, runs_check.run(request, jobs=1))


def test_text_names_check_case_and_instruction(checked: Checked) -> None:
    text = check_text.text(checked.findings, checked.request, width=80)
    summary, *failures = text.split("\n\nFAILED aarch64 ")
    lines = summary.splitlines()
    assert lines[0] == "aarch64"
    by_name = {line.split()[0]: line for line in lines[1:]}
    assert list(by_name) == [*WANTED, GOOD]
    for name, wanted in WANTED.items():
        assert wanted in by_name[name].partition("FAILED: ")[2].split(", ")
    assert "FAILED: " not in by_name[GOOD]
    assert len(failures) == len(WANTED)
    for (name, wanted), failure in zip(WANTED.items(), failures, strict=True):
        assert failure.startswith(f"{name} ({EXHAUSTED.name})\n  ")
        assert f"\n  {wanted}: " in failure
        assert "\n      geometry chain-8 page-size 4096 " in failure
        assert "\n         0 cpu " in failure
        assert "\n    at zs_" in failure
    (short,) = (one for one in failures if one.startswith("copy-out-short.c"))
    head = short.splitlines()
    expected = next(line for line in head if line.startswith("    expected "))
    found = next(line for line in head if line.startswith("    found "))
    assert bytes.fromhex(expected.split(maxsplit=1)[1]) != bytes.fromhex(found.split(maxsplit=1)[1])
    assert "\n3 of 4 suites failed.\nseed 0, zsemu " in text


def test_ktap_parses_by_the_rules_and_names_the_check(checked: Checked) -> None:
    (arch,) = ktap.parse(check_text.ktap(checked.findings, checked.request))
    assert (arch.name, arch.passed) == ("aarch64", False)
    assert [test.name for test in arch.tests] == [*WANTED, GOOD]
    for test in arch.tests:
        (suite,) = test.tests
        assert suite.name == EXHAUSTED.name
        assert suite.passed == test.passed == (test.name == GOOD)
        if test.name in WANTED:
            assert any(note.startswith(f"{WANTED[test.name]}: ") for note in suite.notes)
        else:
            assert suite.notes == []


def test_junit_counts_and_names_the_check(checked: Checked) -> None:
    root = ElementTree.fromstring(check_text.junit(checked.findings, checked.request))
    (suite,) = root
    assert (root.tag, suite.tag, suite.get("name")) == ("testsuites", "testsuite", "aarch64")
    cases = suite.findall("testcase")
    assert [case.get("classname") for case in cases] == [*WANTED, GOOD]
    for element in (root, suite):
        counted = [element.get(key) for key in ("tests", "failures", "errors", "skipped")]
        assert counted == ["4", "3", "0", "0"]
        assert element.get("time") is element.get("timestamp") is None
    for case in cases:
        assert case.get("name") == EXHAUSTED.name
        failure = case.find("failure")
        if case.get("classname") == GOOD:
            assert failure is None
            continue
        assert failure is not None
        wanted = WANTED[case.get("classname") or ""]
        assert wanted in (failure.get("message") or "").split("; ")
        assert f"{wanted}: " in (failure.text or "")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command line and return status, stdout and stderr."""
    capsys.readouterr()
    status = main(["check", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.usefixtures("few_classes", "in_process")
def test_the_first_failure_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (fault,) = (fault for fault in FAULTS if fault.name == "endless-map")
    bad = str(fault.write(tmp_path))
    arguments = (bad, "--arch", "i386", "-k", "4 KiB", "--jobs", "1", "--geometry", "2012,chain-4")
    status, out, err = run(capsys, *arguments)
    assert status == 1
    assert "2 of 4 suites failed" in out or "4 of 4 suites failed" in out
    says = r"zsemu: first failure, i386 endless-map\.c \(.*\): endless loop: operation \d+ .*\n"
    assert re.fullmatch(says, err)
    status, out, err = run(capsys, *arguments, "--fail-fast")
    assert status == 1
    assert "1 of 1 suites failed" in out
    assert re.fullmatch(says, err)
    status, out, err = run(capsys, *arguments, "--fail-fast", "--format", "ktap")
    assert (status, err) == (1, "")
    ((arch,),) = (ktap.parse(out),)
    assert [len(test.tests) for test in arch.tests] == [1]


@pytest.mark.parametrize("format", ["text", "ktap", "junit"])
@pytest.mark.usefixtures("few_classes", "in_process")
def test_good_strategies_pass(format: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(
        capsys, "sg,pgtable", "--arch", "arm", "-k", "16 KiB", "--jobs", "1", "--format", format
    )
    assert (status, err) == (0, "")
    # Pages of 16 KiB are AArch64's; elsewhere nothing can be mapped in them.
    if format == "text":
        assert "1 of 1 suites hold." in out
        assert "skipped, not on this architecture: its MMU has no pages of 16 KiB: arm pgtable" in (
            " ".join(out.split())
        )
    elif format == "ktap":
        (arm,) = ktap.parse(out)
        assert [test.tests[0].skipped is None for test in arm.tests] == [True, False]
        assert arm.passed
    else:
        root = ElementTree.fromstring(out)
        assert [root.get(key) for key in ("tests", "failures", "skipped")] == ["2", "0", "1"]
        assert [len(suite.findall("testcase/skipped")) for suite in root] == [1]


@pytest.mark.parametrize("format", ["text", "ktap", "junit"])
def test_findings_are_written_alike_each_time(format: str, checked: Checked) -> None:
    def written(found: Checked) -> str:
        if format == "text":
            return check_text.text(found.findings, found.request, width=80)
        return getattr(check_text, format)(found.findings, found.request)  # type: ignore[no-any-return]

    again = Checked(checked.request, copy.deepcopy(checked.findings))
    assert written(checked) == written(again)
    # What cannot stand in a document as it is.
    result = replace(checked.findings.results[0], strategy="a # b\x1b<&>\n.c")
    odd = Checked(checked.request, Findings([result], {}))
    if format == "ktap":
        ((arch,),) = (ktap.parse(written(odd)),)
        assert arch.tests[0].name == "a ? b?<&>?.c"
    elif format == "junit":
        case = ElementTree.fromstring(written(odd)).find("testsuite/testcase")
        assert case is not None
        assert (case.get("classname") or "").replace("\n", " ") == "a # b?<&> .c"


def test_same_seed_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (fault,) = (fault for fault in FAULTS if fault.name == "copy-out-short")
    arguments = ("sg", str(fault.write(tmp_path)), "--arch", "aarch64", "-k", "sequences", "--seed")
    first = run(capsys, *arguments, "7", "--jobs", "1")
    assert first[0] == 1
    assert run(capsys, *arguments, "7", "--jobs", "2") == first
    start_none(monkeypatch)
    assert run(capsys, *arguments, "8", "--jobs", "1")[1] != first[1]


PROPERTIES = ("copy", "swap", "--arch", "x86_64,aarch64", "-k", "properties")


@pytest.fixture(scope="module")
def measured() -> dict[str, Findings]:
    """What was found by PROPERTIES, once a test has run them: it takes some seconds."""
    return {}


@pytest.fixture
def _measured_once(measured: dict[str, Findings], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first command that asks for PROPERTIES measure them for all others."""
    really = runs_check.run

    def run_(request: Request, **_: object) -> Findings:
        if "found" not in measured:
            measured["found"] = really(request, jobs=2)
        return measured["found"]

    monkeypatch.setattr(runs_check, "run", run_)


@pytest.mark.usefixtures("few_classes", "in_process", "_measured_once")
def test_property_table(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, *PROPERTIES)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    rows = {line[:36].strip(): line[36:].split() for line in lines if line[36:].strip()}
    assert rows["two objects nested on one CPU"] == ["no", "yes"]
    assert rows["neighbour-clean"] == ["yes", "no"]
    assert set(PROMISES) <= set(rows)
    assert "Nothing was judged." in lines
    shown = out.partition("What shows it:")[2]
    assert "\n  copy, two objects nested on one CPU: wrong bytes, " in shown
    different = [line for line in lines if line.startswith("* ")]
    assert bool(different) != ("The same on all 2 architectures checked." in lines)


@pytest.mark.usefixtures("few_classes", "in_process", "_measured_once")
def test_properties_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """They say what the text says."""
    status, out, err = run(capsys, *PROPERTIES, "--format", "json")
    assert (status, err) == (0, "")
    (tmp_path / "properties.json").write_text(out)
    measured = property_table.load(tmp_path / "properties.json")
    table = property_table.table(measured.properties)
    text = run(capsys, *PROPERTIES)[1]
    for row in table.rows:
        assert re.search(rf"^ *{re.escape(row.name)} +{' +'.join(row.cells)}$", text, re.MULTILINE)
    for line in table.shown:
        assert line in " ".join(text.split())


def test_json(checked: Checked) -> None:
    """It holds what the text says: failures with their cases."""
    data = json.loads(check_text.as_json(checked.findings, checked.request))
    assert data["properties"] == {}
    results = {result["strategy"]: result for result in data["results"]}
    assert list(results) == [*WANTED, GOOD]
    for name, wanted in WANTED.items():
        assert wanted in [failure["check"] for failure in results[name]["failures"]]
        for failure in results[name]["failures"]:
            assert failure["case"][0].startswith("geometry chain-8 page-size 4096 ")
    assert results[GOOD]["failures"] == []


@pytest.mark.usefixtures("in_process")
def test_k_and_arch_narrow(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(
        capsys, "--arch", "arm,i386", "-k", "i386 sg sequences", "--format", "ktap"
    )
    assert status == 0
    ((arch,),) = (ktap.parse(out),)
    assert (arch.name, [test.name for test in arch.tests]) == ("i386", ["sg"])
    assert [test.name for test in arch.tests[0].tests] == ["sequences, chain-8"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("-k", "no such thing"), "'no such thing'"),
        (("--arch", "mips"), "mips"),
        (("nothing",), "nothing"),
        (("./nothing.c",), "./nothing.c"),
        (("--geometry", "chain-5"), "chain-5"),
        (("--page-size", "8192"), "8192"),
        (("--page-size", "big"), "big"),
        (("--format", "tap"), "tap"),
        (("--jobs", "0"), "--jobs"),
        (("--seed", "-1"), "--seed"),
    ],
)
def test_bad_use_is_one_line_and_status_2(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("zsemu: ")
    assert err.count("\n") == 1
    assert complaint in err


def test_file_that_does_not_compile_is_bad_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.c"
    broken.write_text("/*\n * Mine.\n */\nint wrong(void) { return nothing; }\n")
    status, out, err = run(capsys, str(broken), "--arch", "arm")
    assert (status, out) == (2, "")
    assert "nothing" in err


def test_everything_is_checked_unless_narrowed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Request] = []

    def run_(request: Request, **_: object) -> Findings:
        asked.append(request)
        return Findings([], {})

    monkeypatch.setattr(runs_check, "run", run_)
    assert main(["check"]) == 0
    (request,) = asked
    assert request.archs == target_names()
    assert tuple(request.strategies) == strategy_names()
    assert list(request.suites) == suites()


def _ktap() -> str:
    return (
        "KTAP version 1\n1..1\n  KTAP version 1\n  1..2\n  ok 1 - a\n"
        "  # why: not\n  not ok 2 - b\nnot ok 1 - both\n"
    )


def test_parser_reads_ktap() -> None:
    (both,) = ktap.parse(_ktap())
    assert [test.passed for test in both.tests] == [True, False]
    assert both.tests[1].notes == ["why: not"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  1..2", "  1..3"),
        ("  1..2", "  1..1"),
        ("1..1\n", ""),
        ("not ok 1 - both", "ok 1 - both"),
        ("not ok 2", "not ok 3"),
        ("  ok 1", "    ok 1"),
        ("  KTAP version 1\n", ""),
        ("- a", "- a # b"),
    ],
)
def test_parser_finds_what_is_no_ktap(old: str, new: str) -> None:
    assert _ktap().count(old) >= 1
    with pytest.raises(ktap.Wrong):
        ktap.parse(_ktap().replace(old, new, 1))
