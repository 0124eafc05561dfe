# SPDX-License-Identifier: GPL-2.0-only
"""The figures of arch/kernel/README.md, against a kernel that is built here."""

from collections import Counter

import fidelity
import pytest

from kernel.objects import ARCHS, RealKernel
from zsemu.guest.targets import names as target_names

COPIES = {"read": 1, "write": 1, "update": 2}
"""of the first part of an object, which GCC expands on x86_64"""


def test_every_figure_is_there() -> None:
    cells = Counter((row.kernel, row.arch) for row in fidelity.kept())
    kernels = ("linux-6.1", "linux-6.12")
    assert cells == {(name, arch): 6 for name in kernels for arch in target_names()}


def test_bytes_are_those_of_copy_modes_or_explained() -> None:
    for row in fidelity.kept():
        twice = 8 * COPIES[row.mode] if row.arch == "x86_64" and row.spanning else 0
        assert row.pool == pytest.approx(row.ours_pool + twice, abs=0.02), row
        assert row.buffer == pytest.approx(row.ours_buffer + twice, abs=0.02), row
        assert bool(row.pool) == row.spanning


def test_what_is_beside_the_copy_does_not_depend_on_the_object() -> None:
    """Between spanning objects of different mean sizes, as the two kernels have them."""
    for row in fidelity.kept():
        assert 50 < row.both - row.ours < 350, row
        assert row.own <= row.both


@pytest.mark.external
@pytest.mark.parametrize("arch", ARCHS)
def test_figures_are_those_of_a_kernel_built_here(kernel: RealKernel, arch: str) -> None:
    """Bytes are the same; instructions may differ a little with the release and the compiler."""
    kept = {
        (row.mode, row.spanning): row
        for row in fidelity.kept()
        if (row.kernel, row.arch) == ("linux-6.12", arch)
    }
    for row in fidelity.measure([str(kernel.object(arch))]):
        known = kept[row.mode, row.spanning]
        bytes_ = (row.ours, row.ours_pool, row.pool, row.ours_buffer, row.buffer)
        assert bytes_ == (
            known.ours,
            known.ours_pool,
            known.pool,
            known.ours_buffer,
            known.buffer,
        )
        assert row.own == pytest.approx(known.own, rel=0.1)
        assert row.both == pytest.approx(known.both, rel=0.1)
