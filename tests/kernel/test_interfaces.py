# SPDX-License-Identifier: GPL-2.0-only
"""Interfaces that no packaged kernel has yet, on a small allocator of our own."""

from pathlib import Path

import pytest

from kernel.objects import compiled
from zsemu.kernel import exercise, steps
from zsemu.kernel.facts import discover
from zsemu.kernel.object import Api, interface, load

ARCHS = ("x86_64", "arm", "riscv64")


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("api", [Api.READ, Api.READ_LENGTH, Api.SG])
def test_random_operations_leave_every_object_intact(tmp_path: Path, arch: str, api: Api) -> None:
    facts = discover(load(compiled(tmp_path, arch, None, "-UAPI", f"-DAPI={int(api)}")))
    assert interface(facts.linked.kernel, facts.layouts) == api
    judge = steps.run(facts, exercise.operations(facts.geometry, 3, 2000))
    assert judge.behind == 2000
    assert judge.violations == []
