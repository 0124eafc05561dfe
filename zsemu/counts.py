# SPDX-License-Identifier: GPL-2.0-only
"""What is counted: the columns of a row, phases, scopes, and their sums.

The definitions of the counts are in README.md; native/hooks.c implements them and has the same
order. A row is the cost of one operation: shape (phases, columns), dtype uint32.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

CLASSES: Final = ("load", "store", "alu", "branch", "system")
"""of instructions, each in one: a branch that also loads or stores is a branch, and what both loads
and stores is a store; alu is what is none of the others"""
TLB_KINDS: Final = ("page_local", "page_broadcast", "all_local", "all_broadcast")
"""of TLB invalidates: one page or all, on this CPU or on all"""

PHASES: Final = ("settle", "map", "access", "unmap")
STRATEGY_PHASES: Final = ("settle", "map", "unmap")
"""what a strategy itself does: all but the access"""
REGIONS: Final = (
    "pool",
    "buffer",
    "caller",
    "pagetable",
    "state",
    "batch",
    "stack",
    "code",
    "other",
)
TRAFFIC: Final = ("loads", "stores", "bytes_loaded", "bytes_stored")
COLUMNS: Final = (
    "instructions",
    "string_iterations",
    *TRAFFIC,
    "pte_stores",
    *(f"tlb_{kind}" for kind in TLB_KINDS),
    "lines_touched",
    "lines_dirtied",
    *(f"class_{name}" for name in CLASSES),
    *(f"{region}.{name}" for region in REGIONS for name in TRAFFIC),
)
CHECKS: Final = ("stores_reading", "stores_outside", "left", "leaked", "unaligned")
"""Columns behind the counts: what an operation did that a promise may exclude."""
ROW: Final = (*COLUMNS, *CHECKS)
INSTRUCTIONS: Final = COLUMNS.index("instructions")
LINE: Final = 64
"""bytes of a cache line, as lines_touched and lines_dirtied count them"""
PROFILE: Final = COLUMNS[: 2 + len(TRAFFIC)]
"""what is also counted by instruction, if asked for: executions, as ``instructions``, and so on"""

# Columns of the block histogram: what an operation is, as far as scopes are concerned.
SCOPE_COLUMNS: Final = 8
OTHER, SPANNING_READ, SPANNING_WRITE, SPANNING_UPDATE, SPANNING_OTHER = range(5)
UNCOUNTED: Final = SCOPE_COLUMNS - 1

SCOPES: Final = {
    "total": (OTHER, SPANNING_READ, SPANNING_WRITE, SPANNING_UPDATE, SPANNING_OTHER),
    "spanning": (SPANNING_READ, SPANNING_WRITE, SPANNING_UPDATE, SPANNING_OTHER),
    "spanning_read": (SPANNING_READ,),
    "spanning_write": (SPANNING_WRITE,),
    "spanning_update": (SPANNING_UPDATE,),
}

LIMITS: Final = (
    "Limits: counts are not cycles: the emulator knows no caches, no pipeline and no cost of a TLB"
    " miss. Only the direct map is modelled: the 32-bit kernels' highmem mappings (kmap_atomic),"
    " part of the 2012 argument on ARM and i386, are not. pgtable is the first form (two page-table"
    " entries), not the later range mapping. i386 uses PAE, which no-execute needs. One operation"
    " runs at a time."
)
"""what the counts say nothing of, as it stands below every table"""

Counts = dict[str, dict[str, dict[str, object]]]
"""``counts[phase][scope][count]``: int; tlb_invalidates, classes and regions: a dict."""


def document(sums: NDArray[np.int64]) -> Counts:
    """Give sums of shape (SCOPE_COLUMNS, phases, columns) the form that results have."""
    counts: Counts = {}
    for phase, name in enumerate(PHASES):
        counts[name] = {}
        for scope, columns in SCOPES.items():
            values = sums[list(columns), phase].sum(axis=0).tolist()
            row = dict(zip(COLUMNS, values, strict=True))
            entry: dict[str, object] = {
                key: row[key] for key in ("instructions", "string_iterations", *TRAFFIC)
            }
            entry["pte_stores"] = row["pte_stores"]
            entry["tlb_invalidates"] = {kind: row[f"tlb_{kind}"] for kind in TLB_KINDS}
            entry["lines_touched"] = row["lines_touched"]
            entry["lines_dirtied"] = row["lines_dirtied"]
            entry["classes"] = {kind: row[f"class_{kind}"] for kind in CLASSES}
            entry["regions"] = {
                region: {key: row[f"{region}.{key}"] for key in TRAFFIC} for region in REGIONS
            }
            counts[name][scope] = entry
    return counts
