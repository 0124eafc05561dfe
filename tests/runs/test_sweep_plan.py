# SPDX-License-Identifier: GPL-2.0-only
"""The plan of a sweep: which cells there are, and what is left out or refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import busy_trace

from runs.small_sweep import OPERATIONS, axes
from zsemu.errors import ZsemuError
from zsemu.runs.cell_store import digest
from zsemu.runs.sweep_plan import plan
from zsemu.traces import file as trace_file


def test_plan_leaves_out_what_cannot_be(tmp_path: Path) -> None:
    made = plan(
        axes(
            tmp_path,
            "arm",
            "aarch64",
            strategies="copy,pgtable",
            page_sizes=(4096, 16384),
            optimisations=("O2", "Os"),
        )
    )
    assert [matrix.file for matrix in made.matrices] == [
        f"short-zig-{level}-chain-8-{size}.json" for level in ("O2", "Os") for size in (4096, 16384)
    ]
    # MMUs: the Armv7 one has no 16 KiB granule, the Armv8 one has.
    there = [(cell.arch, cell.strategy) for cell in made.matrices[1].cells]
    assert there == [("arm", "copy"), ("aarch64", "copy"), ("aarch64", "pgtable")]
    assert made.left_out == ("pgtable maps pages, and these have none of 16384 bytes: arm",)
    assert len(made.cells) == 2 * (4 + 3)
    assert len({digest(cell.key) for cell in made.cells}) == len(made.cells)
    assert len(made.warnings) == 1 and "16384" in made.warnings[0]


def test_large_objects_need_large_pages(tmp_path: Path) -> None:
    one = busy_trace(OPERATIONS)
    large = replace(
        one,
        metadata=replace(one.metadata, page_size=16384),
        length=np.where(one.object == 0, 9000, one.length).astype(np.uint32),
    )
    trace_file.save(large, tmp_path / "short.npz")
    made = plan(axes(tmp_path, "arm", "x86_64", page_sizes=(4096, 16384)))
    assert [matrix.request.page_size for matrix in made.matrices] == [16384]
    assert made.left_out == ("objects of up to 9000 bytes do not fit pages of 4096: arm, x86_64",)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"geometries": ("chain-5",)}, "geometry chain-5; .*2012, chain-4, chain-8, chain-16"),
        ({"page_sizes": (5000,)}, "page size 5000; .*4096, 16384, 65536"),
        ({"compilers": ("tcc",)}, "compiler tcc; .*zig, gcc, clang"),
        ({"optimisations": ("O2", "O9")}, "optimisation level O9; .*O0, O1, O2, O3, Os"),
        (
            {"strategies": "pgtable", "page_sizes": (65536,)},
            "nothing is left to compute: pgtable maps pages, .*: arm",
        ),
    ],
)
def test_what_cannot_be_swept(tmp_path: Path, more: dict[str, Any], says: str) -> None:
    with pytest.raises(ZsemuError, match=says):
        plan(axes(tmp_path, **more))


def test_missing_compiler_is_named_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    what = axes(tmp_path, compilers=("zig", "gcc"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ZsemuError, match="apt-get install gcc-arm-linux-gnueabihf"):
        plan(what)
