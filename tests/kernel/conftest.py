# SPDX-License-Identifier: GPL-2.0-only
"""A real kernel's objects, made once for all processes of a run."""

import os
from pathlib import Path

import pytest

from kernel.objects import ARCHS, LARGER_PAGE, OLDER_ARCHS, RealKernel, built, real_kernel


def _shared(factory: pytest.TempPathFactory) -> Path:
    base = factory.getbasetemp()
    # Of pytest-xdist, each process has a folder of its own inside one that they share.
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> RealKernel:
    """Make the objects of a kernel of today, or wait for the process that does."""
    return real_kernel(_shared(tmp_path_factory) / "kernel-6.12", "6.12", ARCHS)


@pytest.fixture(scope="session")
def older_kernel(tmp_path_factory: pytest.TempPathFactory) -> RealKernel:
    """Make those of the kernel on which the first traces were recorded, or wait for them."""
    return real_kernel(_shared(tmp_path_factory) / "kernel-6.1", "6.1", OLDER_ARCHS)


@pytest.fixture(scope="session")
def larger_pages(kernel: RealKernel) -> RealKernel:
    """Make those of the newer kernel with pages of LARGER_PAGE bytes: aarch64 alone has such."""
    options = ("--page-size", str(LARGER_PAGE))
    return built(kernel.tree, kernel.objects.with_name("objects-larger-pages"), *options)
