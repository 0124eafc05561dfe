# SPDX-License-Identifier: GPL-2.0-only
"""zsemu: compares the ways zsmalloc can map an object that spans two pages."""

__version__ = "0.1.0"
