# SPDX-License-Identifier: GPL-2.0-only
"""The emulated machine: targets, strategies, compiler, image, memory, CPU, native hooks, self-test.

native/ holds the C code of the hooks. Of zsemu, this folder imports counts, because the hooks fill
its columns, and paths and errors.
"""
