# SPDX-License-Identifier: GPL-2.0-only
"""The kernels' objects that the tests of zsemu/kernel/ use, too."""

from kernel.conftest import kernel, older_kernel

__all__ = ["kernel", "older_kernel"]
