# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel is found to offer, and which probes are chosen for it."""

from pathlib import Path

import pytest

from traces.fake_kernel import ARGUMENTS, NEW, OLD, SG, fake
from zsemu.errors import ZsemuError
from zsemu.traces import recorder, survey
from zsemu.traces.probes import PROBES


def test_every_probe_of_the_importer_is_offered_to_some_kernel() -> None:
    offered = {probe for functions in (OLD, NEW, [*NEW, *SG]) for probe in survey.probes(functions)}
    assert offered == set(PROBES)


def test_survey(tmp_path: Path) -> None:
    kallsyms, tracefs = fake(tmp_path, OLD)
    kernel = survey.survey(kallsyms=kallsyms, tracefs=tracefs, machine="x86_64")
    assert kernel == survey.Kernel(frozenset(OLD), ARGUMENTS, tracefs)


@pytest.mark.parametrize(
    ("machine", "second"),
    [
        ("x86_64", "%si"),
        ("i686", "%dx"),
        ("aarch64", "%x1"),
        ("armv7l", "%r1"),
        ("riscv64", "%a1"),
        ("riscv32", "%a1"),
    ],
)
def test_registers_where_there_is_no_arg_n(tmp_path: Path, machine: str, second: str) -> None:
    kallsyms, tracefs = fake(tmp_path, OLD, fetch="$stack<index>")
    kernel = survey.survey(kallsyms=kallsyms, tracefs=tracefs, machine=machine)
    assert kernel.arguments[1] == second
    assert f"zs_free zs_free handle={second}" in recorder.script(recorder.Job(kernel, Path("out")))


def test_an_unreadable_readme_means_arg_n(tmp_path: Path) -> None:
    kallsyms, tracefs = fake(tmp_path, OLD)
    (tracefs / "README").unlink()
    find = survey.survey
    assert find(kallsyms=kallsyms, tracefs=tracefs, machine="aarch64").arguments == ARGUMENTS
    assert find(kallsyms=kallsyms, tracefs=tracefs, machine="armv7l").arguments[0] == "%r0"


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ([], "has no zsmalloc; load it with: modprobe zsmalloc"),
        (["zs_malloc"], "has no zsmalloc"),
        (["zs_malloc", "zs_free", "zs_obj_write"], "neither zs_map_object nor zs_obj_read_begin"),
    ],
)
def test_kernels_that_do_not_do(tmp_path: Path, functions: list[str], message: str) -> None:
    kallsyms, tracefs = fake(tmp_path, functions)
    with pytest.raises(ZsemuError, match=message):
        survey.survey(kallsyms=kallsyms, tracefs=tracefs, machine="x86_64")


def test_other_failures(tmp_path: Path) -> None:
    kallsyms, tracefs = fake(tmp_path, OLD, fetch="none")
    with pytest.raises(ZsemuError, match="registers of sparc64 are not known"):
        survey.survey(kallsyms=kallsyms, tracefs=tracefs, machine="sparc64")
    with pytest.raises(ZsemuError, match="recording needs a Linux kernel"):
        survey.survey(kallsyms=tmp_path / "none", tracefs=tracefs)
