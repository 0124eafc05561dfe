# SPDX-License-Identifier: GPL-2.0-only
"""The matrix: that it is complete, in order, of the same bytes however it is run, and honest."""

import getpass
import platform
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import busy_trace

from zsemu import counts
from zsemu.errors import ZsemuError
from zsemu.guest.compiler import build
from zsemu.guest.image import Image
from zsemu.guest.strategies import Strategy, strategy
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.replay.placed_trace import place_in_memory
from zsemu.replay.replay import Replay
from zsemu.results.document import dumps
from zsemu.runs.compare import run
from zsemu.runs.request import Request, check, label, warnings
from zsemu.runs.request import request as request_named
from zsemu.traces import file as trace_file
from zsemu.traces.operation import Operation
from zsemu.traces.trace import Trace, zsmapbench
from zsemu.zsmalloc.geometry import geometry

OPERATIONS = 300


def request_for(
    *archs: str, strategies: str = "copy,swap", trace: Trace | None = None, **more: object
) -> Request:
    """Return a small request."""
    chosen = label([strategy(name) for name in strategies.split(",")])
    trace = trace or busy_trace(OPERATIONS)
    made = Request(archs or ("arm",), chosen, trace, trace.metadata.geometry)
    return replace(made, **more)  # type: ignore[arg-type]


def own(directory: Path, name: str, change: str = "") -> Path:
    """Write a user's own strategy: copy, with a line more."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(strategy("copy").path.read_text() + change)
    return path


def test_a_recording_of_larger_pages_runs_where_there_are_such() -> None:
    small = busy_trace(OPERATIONS)
    large = replace(small, metadata=replace(small.metadata, page_size=16384))
    every = label([strategy(name) for name in strategy_names()])
    with_pages = tuple(name for name in target_names() if 14 in target(name).page_shifts)
    assert 0 < len(with_pages) < len(target_names())
    asked = request_named(archs=(), strategies=every, trace=large)
    assert (asked.archs, asked.page_size, warnings(asked)) == (with_pages, 16384, [])
    # These map no page, and so run anywhere.
    asked = request_named(
        archs=(), strategies=label([strategy("copy"), strategy("sg")]), trace=large
    )
    assert asked.archs == target_names()
    asked = request_named(archs=(), strategies=every, trace=small)
    assert (asked.archs, asked.page_size) == (target_names(), 4096)


@pytest.mark.usefixtures("in_process")
def test_the_recording_of_16_kib_pages_is_intact() -> None:
    """Its first objects and its longest, through every strategy where the MMU has such pages."""
    whole = trace_file.load(trace_file.find("numpy-16k"))
    lengths = whole.length[whole.operation == Operation.ALLOCATE]
    huge = geometry("chain-8", page_size=16384).huge_class_size
    long = np.argsort(np.where(lengths < huge, lengths, 0))[-300:]
    objects = np.concatenate([np.arange(1200), long, np.flatnonzero(lengths >= huge)[:100]])
    part = whole.take(np.flatnonzero(np.isin(whole.object, objects)))
    part = part.with_objects(np.unique(part.object, return_inverse=True)[1])
    assert part.length[part.length < huge].max() > huge - 64 and part.length.max() == 16384

    every = label([strategy(name) for name in strategy_names()])
    asked = request_named(archs=(), strategies=every, trace=part)
    lazy = request_named(archs=["riscv32"], strategies=label([strategy("swap-lazy")]), trace=part)
    records = [*run(asked, jobs=1).records, *run(lazy, jobs=1).records]
    assert [(record.arch, record.strategy) for record in records] == [
        *(("aarch64", name) for name in every),
        ("riscv32", "swap-lazy"),
    ]
    for record in records:
        assert record.intact
        assert (record.page_size, record.geometry) == (16384, "chain-8")
        assert record.spanning_maps > 500


def test_same_bytes_however_it_is_run() -> None:
    request = request_for("x86_64", "arm", strategies="swap-lazy,copy,pgtable")
    first = run(request, jobs=2)
    text = dumps(first)
    assert dumps(run(request, jobs=1)) == text
    assert dumps(run(request, jobs=2)) == text
    assert [(r.arch, r.strategy) for r in first.records] == [
        (arch, name) for arch in ("x86_64", "arm") for name in ("swap-lazy", "copy", "pgtable")
    ]
    # Nothing of where it was run; the compiler's flags hold no paths.
    for private in (platform.node(), getpass.getuser() + "@", sys.prefix, str(Path.home()), "-I"):
        assert private not in text
    assert not re.search(r'"[^"]*(?<![\w-])/[a-z]+/[^"]*"', text)


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("arch", ["aarch64", "i386"])
def test_counts_are_those_of_the_replay(arch: str) -> None:
    request = request_for(arch, strategies="swap")
    (record,) = run(request, jobs=1).records
    one = target(arch)
    classes = geometry(request.geometry, word_bits=one.word_bits, physical_bits=one.physical_bits)
    assert isinstance(request.trace, Trace)
    placed = place_in_memory(request.trace, classes)
    outcome = Replay(Image(build(one, strategy("swap")), one), placed).run()
    assert record.counts == counts.document(outcome.sums)
    assert record.operations == len(request.trace)
    assert record.by_shape == outcome.by_shape

    tally = dict.fromkeys(counts.SCOPES, 0)
    for kind, spans in zip(request.trace.operation, placed.placed.spans, strict=True):
        if kind not in (Operation.READ, Operation.WRITE, Operation.UPDATE):
            continue
        tally["total"] += 1
        if spans:
            tally["spanning"] += 1
            tally[f"spanning_{Operation(kind).name.lower()}"] += 1
    assert min(tally.values()) > 0
    assert record.scope_maps == tally == placed.scope_maps
    assert (record.maps, record.spanning_maps) == (tally["total"], tally["spanning"])


@pytest.mark.usefixtures("in_process")
def test_provenance() -> None:
    request = request_for("arm", "x86_64")
    made = run(request, jobs=2).provenance
    assert list(made.compilers) == list(made.cpu_models) == ["arm", "x86_64"]
    assert made.compilers["arm"].version.startswith("zig ")
    for flag in ("-O2", "-ffreestanding", "-DPAGE_SHIFT=12"):
        assert flag in made.compilers["arm"].flags
    assert "-marm" in made.compilers["arm"].flags
    assert "-marm" not in made.compilers["x86_64"].flags
    source = made.traces["sample"]
    assert source.sha256 == request.trace.digest()
    assert (source.geometry, source.page_size) == ("chain-8", 4096)
    assert made.strategies == {}


@pytest.mark.usefixtures("in_process")
def test_violation_hides_counts(tmp_path: Path) -> None:
    path = own(tmp_path, "mine.c")
    path.write_text(path.read_text().replace("area->buffer + first,", "area->buffer,"))
    request = request_for(strategies=f"copy,{path}")
    made = run(request, jobs=2)
    good, bad = made.records
    assert good.intact and not bad.intact and not made.intact
    assert bad.strategy == "mine.c"
    assert bad.counts is None and bad.violation_count >= len(bad.violations) > 0
    assert bad.violations[0].kind == "wrong bytes"


def test_labels(tmp_path: Path) -> None:
    same = own(tmp_path / "a", "copy.c")
    changed = own(tmp_path / "b", "copy.c", "/* other */\n")
    twin = own(tmp_path / "c", "mine.c")

    def labels(*names: str | Path) -> dict[str, Strategy]:
        return label([strategy(str(name)) for name in names])

    assert list(labels("copy", same, "copy")) == ["copy", "copy.c"]
    assert list(labels(twin, same)) == ["mine.c", "copy.c"]
    two = labels(same, "copy", changed)
    assert [re.sub("[0-9a-f]{8}$", "#", name) for name in two] == ["copy.c@#", "copy", "copy.c@#"]
    assert {one.path for one in two.values() if one.own} == {same, changed}
    assert next(iter(two)).endswith(strategy(str(same)).digest[:8])


@pytest.mark.usefixtures("in_process")
def test_own_strategy_is_named_by_content(tmp_path: Path) -> None:
    path = own(tmp_path, "mine.c")
    made = run(request_for(strategies=f"copy,{path}"), jobs=2)
    assert made.provenance.strategies == {"mine.c": strategy(str(path)).digest}
    # The same code: the same counts, under its own name.
    assert made.records[0].counts == made.records[1].counts


def test_own_strategy_is_compiled_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZSEMU_CACHE", str(tmp_path / "cache"))
    path = own(tmp_path, "mine.c", "int wrong(void) { return nothing; }\n")
    with pytest.raises(ZsemuError, match=r"mine\.c") as caught:
        run(request_for("x86_64", "arm", strategies=f"copy,{path}"), jobs=2)
    assert "x86_64" in str(caught.value) or "x86_64" in caught.value.detail
    assert "nothing" in caught.value.detail
    assert list((tmp_path / "cache").rglob("*.elf")) == []


def test_geometries() -> None:
    request = request_for()
    shared = {request.geometry_for(target(arch)) for arch in ("x86_64", "aarch64", "riscv64")}
    assert len(shared) == 1
    for arch in target_names():
        one = target(arch)
        classes = geometry("chain-8", word_bits=one.word_bits, physical_bits=one.physical_bits)
        assert request.geometry_for(one).classes == classes.classes


def test_what_cannot_be_compared() -> None:
    with pytest.raises(ZsemuError, match=r"operations .* map nothing"):
        check(request_for(trace=busy_trace(OPERATIONS).head(1)))
    with pytest.raises(ZsemuError, match="unknown page size 5000"):
        check(request_for(page_size=5000))
    with pytest.raises(ZsemuError, match="unknown geometry 'chain-5'"):
        check(request_for(geometry="chain-5"))
    with pytest.raises(ZsemuError, match="pgtable maps pages, and arm has no pages of 16384"):
        check(request_for("aarch64", "arm", strategies="copy,pgtable", page_size=16384))
    check(request_for("aarch64", strategies="copy,pgtable", page_size=16384))
    check(request_for("arm", strategies="copy,sg", page_size=65536))


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("page_size", [16384, 65536])
def test_larger_pages(page_size: int) -> None:
    request = request_for("aarch64", strategies="copy,pgtable", page_size=page_size)
    made = run(request, jobs=2)
    assert made.intact
    assert all(record.page_size == page_size for record in made.records)
    assert made.records[0].spanning_maps < run(request_for("aarch64"), jobs=2).records[0].maps
    assert (
        f"-DPAGE_SHIFT={page_size.bit_length() - 1}" in made.provenance.compilers["aarch64"].flags
    )


def test_warnings() -> None:
    chain4 = replace(
        busy_trace(OPERATIONS),
        metadata=replace(busy_trace(OPERATIONS).metadata, geometry="chain-4"),
    )
    assert warnings(request_for(trace=chain4)) == []
    # huge_class_size of the two: facts of the kernel.
    (line,) = warnings(request_for(trace=chain4, geometry="chain-8"))
    assert "3257" in line and "3624" in line and "chain-8" in line
    assert warnings(request_for(geometry="chain-4")) == []
    (line,) = warnings(request_for(page_size=16384))
    assert "4096" in line and "16384" in line
    assert warnings(request_for(trace=zsmapbench(10))) == []
