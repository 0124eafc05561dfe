# SPDX-License-Identifier: GPL-2.0-only
"""A real kernel's objects, made once for all processes of a run."""

import os

import pytest

from kernel.objects import RealKernel, real_kernel


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> RealKernel:
    """Make them, or wait for the process that does."""
    base = tmp_path_factory.getbasetemp()
    # Of pytest-xdist, each process has a folder of its own inside one that they share.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return real_kernel(shared / "kernel")
