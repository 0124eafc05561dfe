# SPDX-License-Identifier: GPL-2.0-only
"""Sweeps with a kernel's object among the strategies, here and on a worker with no such file."""

from dataclasses import replace
from pathlib import Path

import pytest
from runs.small_sweep import swept

from kernel.objects import compiled
from zsemu.cli import main
from zsemu.guest import compiler
from zsemu.guest.targets import target
from zsemu.kernel.steps import Step, as_trace
from zsemu.kernel.strategy import strategy
from zsemu.results.document import dumps, load
from zsemu.runs import compare
from zsemu.runs.sweep_plan import Axes, Plan, plan
from zsemu.runs.sweep_worker import compute, task
from zsemu.traces import file as trace_file
from zsemu.zsmalloc.geometry import geometry


def axes(folder: Path, **more: object) -> Axes:
    """Return a sweep of one object, and of copy, over a short trace without frees."""
    steps = [
        Step(action, number, 2500)
        for number in range(8)
        for action in ("allocate", "write", "update", "read")
    ]
    trace_file.save(as_trace(steps, geometry("chain-8")), folder / "short.npz")
    compiled(folder / "own" / "riscv32", "riscv32")
    found = Axes(
        archs=("riscv32",),
        strategies={"copy": strategy("copy"), "mine": strategy(f"mine={folder / 'own'}")},
        trace=trace_file.TraceFile(folder / "short.npz"),
        geometries=("chain-8",),
    )
    return replace(found, **more)  # type: ignore[arg-type]


def test_results_are_those_of_compare(tmp_path: Path) -> None:
    made, _ = swept(tmp_path / "out", axes(tmp_path, optimisations=("O2", "Os")))
    assert made.computed == 4
    for matrix in made.plan.matrices:
        by_compare = compare.run(matrix.request, jobs=1)
        assert [record.strategy for record in by_compare.records] == ["copy", "mine"]
        assert by_compare.intact
        assert (tmp_path / "out" / matrix.file).read_text() == dumps(by_compare)
    again, _ = swept(tmp_path / "out", axes(tmp_path, optimisations=("O2", "Os")))
    assert again.computed == 0


def test_another_object_is_another_cell(tmp_path: Path) -> None:
    first = plan(axes(tmp_path))
    object_ = tmp_path / "own" / "riscv32" / "zsmalloc.o"
    before = {cell.strategy: cell.key["image"] for cell in first.cells}
    other = object_.with_name("memcpy.o")
    source = tmp_path / "copy.c"
    source.write_text("void *memcpy(void *to, const void *from, unsigned long n) { return to; }")
    machine = target("riscv32")
    flags = compiler.compile_flags("zig", machine, 12, "O2")
    command = [*compiler.compiler("zig", machine).command, *flags, "-c", str(source)]
    compiler.compile_to(other, command, "does not compile")
    after = {cell.strategy: cell.key["image"] for cell in plan(axes(tmp_path)).cells}
    assert before["copy"] == after["copy"]
    assert before["mine"] != after["mine"]


def test_a_worker_that_has_no_such_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The object travels with the task, and gives the record that it gives here."""
    planned: Plan = plan(axes(tmp_path))
    (cell,) = (one for one in planned.cells if one.strategy == "mine")
    sent = task(planned, cell)
    _, here = compute(sent)
    (tmp_path / "own").rename(tmp_path / "gone")
    monkeypatch.setenv("ZSEMU_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    _, there = compute(sent)
    assert here == there
    assert here.intact


def test_what_it_has_not_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    axes(tmp_path)
    arguments = ["--trace", str(tmp_path / "short.npz"), "--strategy", f"mine={tmp_path / 'own'}"]
    arguments += ["--arch", "arm,riscv32", "--page-size", "4096,16384", "--jobs", "1"]
    assert main(["sweep", *arguments, "-o", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("1 cells: 1 computed")
    assert "left out: mine has no object of these: arm\n" in err
    assert "left out: mine is of a kernel with pages of 4096 bytes: riscv32\n" in err
    (record,) = load(tmp_path / "out" / "short-zig-O2-chain-8-4096.json").records
    assert record.intact
