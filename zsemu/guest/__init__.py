# SPDX-License-Identifier: GPL-2.0-only
"""The emulated machine: targets, strategies, compiler, image, memory, CPU and native hooks.

Imports counts, whose columns the hooks fill, and nothing else of zsemu.
"""
