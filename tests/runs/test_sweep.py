# SPDX-License-Identifier: GPL-2.0-only
"""Sweeps: the same bytes however they are computed, and nothing lost whatever dies."""

import csv
import os
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from samples import busy_trace

from runs.small_sweep import After, axes, swept
from zsemu.errors import ZsemuError
from zsemu.guest import compiler as build_module
from zsemu.guest.compiler import OPTIMISATIONS, build, compiler
from zsemu.guest.image import Image
from zsemu.guest.strategies import names as strategy_names
from zsemu.guest.strategies import strategy
from zsemu.guest.targets import names as target_names
from zsemu.guest.targets import target
from zsemu.replay.placed_trace import place
from zsemu.replay.replay import Trial
from zsemu.results.document import dumps, load
from zsemu.runs import compare, sweep
from zsemu.runs import request as requests
from zsemu.runs.cell_store import Store
from zsemu.runs.sweep import run
from zsemu.runs.sweep_plan import plan

# --- Optimisation levels ----------------------------------------------------------------------


@pytest.mark.parametrize("level", OPTIMISATIONS)
@pytest.mark.parametrize("arch", target_names())
def test_every_level(arch: str, level: str) -> None:
    """Each builds, with general registers only, and keeps every object intact."""
    one = target(arch)
    request = requests.Request((arch,), {}, busy_trace(200), "chain-8")
    placed = place(busy_trace(200), request.geometry_for(one))
    for name in strategy_names():
        image = Image(build(one, strategy(name), optimisation=level), one)
        texts = [instruction.text for instruction in image.instructions.values()]
        assert texts
        assert [text for text in texts if one.instructions.vector.search(text)] == []
        assert Trial(image, placed, full=True).run().violations == []


@pytest.mark.parametrize("arch", target_names())
def test_levels_are_different_images(arch: str) -> None:
    """Also O1 and O2, which zig takes for one; O3 may do nothing more here than O2."""
    one = target(arch)
    images = {
        level: Image(build(one, strategy("swap-lazy"), optimisation=level), one)
        for level in OPTIMISATIONS
    }
    code = {level: image.sections[".text"][1] for level, image in images.items()}
    assert len({code[level] for level in ("O0", "O1", "O2", "Os")}) == 4
    assert len({image.path for image in images.values()}) == len(OPTIMISATIONS)
    assert build(one, strategy("swap-lazy")) == images["O2"].path
    for level in OPTIMISATIONS:
        flags = build_module.options(compiler("zig", one), one, 12, level)
        assert {flag for flag in flags if flag.startswith("-O")} == {f"-{level}"}
    with pytest.raises(ZsemuError, match=r"'O4'.*O0, O1, O2, O3, Os"):
        build(one, strategy("swap"), optimisation="O4")


# --- Results ---------------------------------------------------------------------------------


def test_results_are_those_of_compare(tmp_path: Path) -> None:
    """Each document is what compare makes, of the same bytes; the CSV holds all of them."""
    what = axes(
        tmp_path,
        "x86_64",
        "arm",
        geometries=("chain-8", "chain-4"),
        optimisations=("O2", "Os"),
    )
    made, _ = swept(tmp_path / "out", what)
    assert len(made.documents) == 4
    rows = list(csv.DictReader((tmp_path / "out" / "sweep.csv").open(newline="")))
    for matrix in made.plan.matrices:
        by_compare = compare.run(matrix.request, jobs=1)
        path = tmp_path / "out" / matrix.file
        assert path.read_text() == dumps(by_compare)
        assert load(path) == by_compare
        for row in by_compare.to_records():
            found = rows.pop(0)
            assert found.pop("compiler") == "zig"
            assert found.pop("optimisation") == matrix.request.optimisation
            assert found == {name: str(value) for name, value in row.items()}
    assert rows == []


def test_second_run_computes_what_is_missing(tmp_path: Path) -> None:
    small = axes(tmp_path)
    first, files = swept(tmp_path / "out", small)
    assert first.computed == 2
    again, same = swept(tmp_path / "out", small)
    assert again.computed == 0 and same == files
    more, _ = swept(tmp_path / "out", replace(small, archs=("x86_64", "arm")))
    assert more.computed == 2
    fresh, _ = swept(tmp_path / "fresh", replace(small, archs=("x86_64", "arm")))
    assert fresh.computed == 4
    assert [dumps(d) for d in more.documents] == [dumps(d) for d in fresh.documents]


def test_broken_strategy_is_a_result(tmp_path: Path) -> None:
    file = tmp_path / "mine.c"
    text = strategy("copy").path.read_text()
    file.write_text(text.replace("area->buffer + first,", "area->buffer,"))
    what = axes(tmp_path, strategies=f"copy,{file}")
    made, files = swept(tmp_path / "out", what)
    good, bad = made.documents[0].records
    assert good.intact and not bad.intact and bad.violations[0].kind == "wrong bytes"
    again, same = swept(tmp_path / "out", what)
    assert again.computed == 0 and same == files


def test_own_strategy_that_does_not_compile_stops_before_anything(tmp_path: Path) -> None:
    file = tmp_path / "mine.c"
    file.write_text("int wrong(void) { return nothing; }\n")
    what = axes(tmp_path, strategies=f"copy,{file}")
    with pytest.raises(ZsemuError, match=rf"^{file}:1: does not compile for arm"):
        run(plan(what), Store(tmp_path / "cells"), jobs=2)
    assert list((tmp_path / "cells").iterdir()) == []


# --- Processes of this machine ----------------------------------------------------------------


def children() -> list[int]:
    """Return the worker processes that loky has started here."""
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, path.read_text().split()):
            with suppress(FileNotFoundError, ProcessLookupError):
                if b"popen_loky_posix" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
    return found


def test_same_bytes_when_processes_die(tmp_path: Path) -> None:
    what = axes(tmp_path, "arm", "x86_64", strategies=",".join(strategy_names()))
    _, serial = swept(tmp_path / "serial", what)
    total, outstanding = 16, []

    def kill() -> None:
        outstanding.append(total - len(list((tmp_path / "dying" / "cells").iterdir())))
        for pid in children():
            os.kill(pid, signal.SIGKILL)
            outstanding.append(pid)

    _, dying = swept(tmp_path / "dying", what, jobs=2, watch=After(4, kill))
    assert outstanding[0] == 12 and len(outstanding) > 1
    assert dying == serial


def _die(task: object) -> object:
    os.kill(os.getpid(), signal.SIGKILL)
    return task


def test_processes_that_always_die(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "compute", _die)
    with pytest.raises(ZsemuError, match=r"workers died 3 times .* 2 cells .* fewer --jobs"):
        run(plan(axes(tmp_path)), Store(tmp_path / "cells"), jobs=2)
