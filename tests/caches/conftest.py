# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's source, which the tests of zsemu/kernel/ unpack, too."""

from kernel.conftest import kernel

__all__ = ["kernel"]
