# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's object as a strategy: how it is named, compared and written down.

The small allocator takes the first zspage that has room, which is where zsmalloc puts an object as
long as none is freed. So a trace without frees is intact, and with frees its placement differs.
"""

from pathlib import Path

import pytest

import zsemu
from kernel.objects import compiled
from zsemu import ZsemuError
from zsemu.cli import main
from zsemu.counts import ALLOCATOR_PHASES, PARTS, PHASES
from zsemu.kernel.shapes import Costs
from zsemu.kernel.steps import Step, as_trace
from zsemu.kernel.strategy import KernelStrategy, strategy
from zsemu.pytest_plugin import assert_counts_within
from zsemu.replay.violations import PLACEMENT
from zsemu.reports import details_text
from zsemu.results.document import Document, dumps, loads
from zsemu.traces.trace import Trace
from zsemu.zsmalloc.geometry import geometry

ARCHS = ("x86_64", "riscv32")
LENGTHS = (100, 1000, 2500, 3500)
OBJECTS = 40


def _trace() -> Trace:
    """Return a trace that allocates, writes, updates and reads, and frees nothing."""
    steps = []
    for number in range(OBJECTS):
        length = LENGTHS[number % len(LENGTHS)]
        steps.append(Step("allocate", number, length))
        steps += [Step(use, number, length, number % 2) for use in ("write", "update", "read")]
    return as_trace(steps, geometry("chain-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an object for each of ARCHS."""
    found = tmp_path_factory.mktemp("objects") / "small"
    for arch in ARCHS:
        compiled(found / arch, arch)
    return found


@pytest.fixture(scope="module")
def compared(folder: Path) -> Document:
    """Return what a comparison gives."""
    return zsemu.run("copy-modes", f"mine={folder}", trace=_trace())


def test_caches_are_not_modelled(folder: Path) -> None:
    with pytest.raises(ZsemuError, match="small is a kernel's object, for which caches are not"):
        zsemu.run("copy", str(folder), arch=ARCHS, trace=_trace(), cache="zen")


def test_names(folder: Path) -> None:
    one = strategy(str(folder))
    assert isinstance(one, KernelStrategy)
    assert (one.label, one.archs) == ("small", ARCHS)
    alone = strategy(str(folder / "riscv32" / "zsmalloc.o"))
    assert isinstance(alone, KernelStrategy)
    assert (alone.label, alone.archs) == ("zsmalloc.o", ("riscv32",))
    assert strategy(f"mine={folder}").label == "mine"
    assert not isinstance(strategy("copy"), KernelStrategy)


def test_it_stands_beside_ours_on_the_architectures_that_it_has(compared: Document) -> None:
    cells = [(record.arch, record.strategy) for record in compared.records]
    assert cells == [(arch, name) for arch in ARCHS for name in ("copy-modes", "mine")]
    assert compared.intact, [str(v) for record in compared.records for v in record.violations]
    ours, mine = compared.records[:2]
    assert (ours.maps, ours.spanning_maps) == (mine.maps, mine.spanning_maps)
    assert {name: len(rows["maps"]) for name, rows in (ours.by_shape or {}).items()} == {
        name: len(rows["maps"]) for name, rows in (mine.by_shape or {}).items()
    }


def test_counts_are_those_of_their_parts(compared: Document) -> None:
    mine = compared.records[1]
    assert mine.phases == (*PHASES, *ALLOCATOR_PHASES)
    assert mine.sum("calls", phases=("malloc",)) == OBJECTS
    assert mine.sum("calls", phases=("free",)) == 0
    for phase in mine.phases:
        for count in ("instructions", "bytes_loaded", "regions.pool.stores"):
            parts = {part: mine.sum(f"{part}.{count}", phases=(phase,)) for part in PARTS}
            assert mine.sum(count, phases=(phase,)) == parts["own"] + parts["copy"]
            assert mine.part("own").sum(count, phases=(phase,)) == parts["own"]
    assert mine.sum("own.instructions", phases=("malloc",)) > 0
    assert mine.sum("stand_in.instructions", phases=("malloc",)) > 0
    # All that is moved is copied by zs_copy(): each write once, each spanning read once.
    written = 2 * sum(LENGTHS) * OBJECTS // len(LENGTHS)
    assert mine.sum("copy.regions.pool.bytes_stored", phases=("unmap",)) == written


def test_it_is_observed_in_full_where_the_block_hits_do_not_agree(
    folder: Path, compared: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Costs, "finish", lambda costs, counted: False)
    again = zsemu.run(f"mine={folder}", arch="x86_64", trace=_trace()).records[0]
    mine = compared.records[1]
    assert mine.shapes > again.shapes == 0
    assert again.sum("instructions") == mine.sum("instructions")
    for phase in (*PHASES, *ALLOCATOR_PHASES):
        for count in ("own.instructions", "copy.bytes_stored", "stand_in.loads"):
            assert again.sum(count, phases=(phase,)) == mine.sum(count, phases=(phase,))
    assert again.by_shape == mine.by_shape


def test_a_document_keeps_them(compared: Document) -> None:
    made = compared.provenance
    assert set(made.kernels) == {"mine"}
    assert set(made.kernels["mine"]) == set(ARCHS)
    assert made.strategies == {}
    assert loads(dumps(compared), "compared") == compared
    rows = [row for row in compared.to_records() if row["strategy"] == "mine"]
    assert {row["phase"] for row in rows} == {*PHASES, *ALLOCATOR_PHASES}
    damaged = dumps(compared).replace('"stand_in"', '"stand_out"', 1)
    with pytest.raises(ZsemuError, match="stand_in"):
        loads(damaged, "damaged")


def test_limits_can_be_about_parts_and_malloc(compared: Document) -> None:
    ours, mine = compared.records[:2]
    assert_counts_within(mine, "malloc.instructions=1000000", "own.bytes=100000000")
    with pytest.raises(AssertionError, match="malloc"):
        assert_counts_within(mine, "malloc.own.instructions=1")
    with pytest.raises(ZsemuError, match="for none of these records"):
        assert_counts_within(ours, "map.own.instructions=1")


def test_documents_without_objects_are_as_they_were() -> None:
    assert "kernels" not in dumps(zsemu.run("copy", arch="arm", operations=500))


def test_tables_have_own_and_what_copies(compared: Document) -> None:
    text = details_text.text(compared, relative_to="copy-modes", width=200)
    assert [line.split("  ")[0] for line in text.splitlines() if line.startswith("mine")][:2] == [
        "mine",
        "mine, own",
    ]
    assert "uncontended" in text
    assert "own instructions a call: zs_malloc()" in " ".join(text.split())
    assert "of the caller" in details_text.markdown(compared, relative_to="copy-modes")


def test_another_placement_is_a_violation(folder: Path) -> None:
    document = zsemu.run(folder, arch="riscv32", trace="compile-zstd", operations=4000)
    (record,) = document.records
    assert record.counts is None
    assert {violation.kind for violation in record.violations} == {PLACEMENT}
    assert "in zsemu's model" in record.violations[0].detail


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "{}", "--arch", "arm"], "of x86_64, riscv32, not of arm"),
        (["--strategy", "{}", "--page-size", "16384"], "choose them with --page-size 4096"),
        (["--strategy", "{}/x86_64/zsmalloc.o,{}/riscv32/zsmalloc.o"], "into a folder"),
        (["--strategy", "{}/x86_64"], "no kernel's objects in it"),
        (["--strategy", "{}/none.o"], "No such file"),
        (["--strategy", "{}/x86_64/zsmalloc.o+lse"], "omit +lse"),
    ],
)
def test_bad_use_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    words = [word.replace("{}", str(folder)) for word in arguments]
    assert main(["compare", *words]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


@pytest.mark.usefixtures("in_process")
def test_check_says_what_it_finds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "x86_64" / "zsmalloc.o"
    assert main(["check", str(path), "-k", "limits", "--format", "ktap"]) == 0
    assert "ok 1 - limits" in capsys.readouterr().out
    # It knows no migration.
    assert main(["check", str(path), "-k", "sequences"]) == 1
    assert "FAILED: fault, allocator" in capsys.readouterr().out


def test_its_instructions_are_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "x86_64" / "zsmalloc.o"
    asked = ["--arch", "x86_64", "--operations", "300", "--phase", "malloc"]
    assert main(["annotate", str(path), *asked]) == 0
    told = capsys.readouterr().out
    assert "zs_malloc (malloc)" in told
    assert "bytes = bytes + HEADER > PAGE ? PAGE : bytes + HEADER;" in told


def test_what_has_no_meaning_for_an_object_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(folder / "x86_64" / "zsmalloc.o")
    assert main(["annotate", path, "--arch", "x86_64", "--shape", "read:1632/2"]) == 2
    assert "there is no --shape of it" in capsys.readouterr().err
