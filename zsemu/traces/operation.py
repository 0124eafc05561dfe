# SPDX-License-Identifier: GPL-2.0-only
"""Name the operations of a trace, which are what a kernel asks of zsmalloc."""

from enum import IntEnum


class Operation(IntEnum):
    """What an operation does with its object; the last three are maps."""

    ALLOCATE = 0
    FREE = 1
    READ = 2
    """Mapped read-only (ZS_MM_RO), or zs_obj_read_begin."""
    WRITE = 3
    """Mapped write-only (ZS_MM_WO), or zs_obj_write."""
    UPDATE = 4
    """Mapped read-write (ZS_MM_RW)."""
