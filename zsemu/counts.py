# SPDX-License-Identifier: GPL-2.0-only
"""Name what is counted, and in which phases and scopes, and sum it up for the results.

A *row* holds the counts of one operation: shape (phases, columns), dtype uint32. The native hooks
(zsemu/guest/native) write the columns in the order that is given here. What each count means is
defined in zsemu/README.md.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CLASSES: Final = ("load", "store", "alu", "branch", "system")
"""classes of instructions; each instruction is in one. A branch that also loads or stores is a
branch, an instruction that loads and stores is a store, and alu is what is in no other class."""
TLB_KINDS: Final = ("page_local", "page_broadcast", "all_local", "all_broadcast")
"""kinds of TLB invalidates: of one page or of all, on this CPU or on all"""

PHASES: Final = ("settle", "map", "access", "unmap")
STRATEGY_PHASES: Final = ("settle", "map", "unmap")
"""the phases in which the strategy itself runs: all but the access"""
ALLOCATOR_PHASES: Final = ("malloc", "free")
"""what only a kernel's own allocator has beside them"""
PARTS: Final = ("own", "copy", "stand_in")
"""into which each count of a kernel's object is split: the object's own text; what copies, its own
memcpy() or ours; and what stands in for the rest of the kernel, which is not the kernel's cost"""
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
CACHE_COUNTS: Final = ("l1_misses", "l1_writebacks", "l2_misses", "l2_writebacks")
"""what a model of caches (zsemu.caches) counts, if one is asked for: it is no part of a row, since
it depends on all operations before"""
CHECKS: Final = (
    "stores_reading",
    "stores_outside",
    "left",
    "leaked",
    "unaligned",
    "slack_loaded",
    "unwritten_loaded",
)
"""columns that follow the counts in a row: what an operation did that a promise may exclude, or
that a property of the strategy says"""
ROW: Final = (*COLUMNS, *CHECKS)
INSTRUCTIONS: Final = COLUMNS.index("instructions")
LINE: Final = 64
"""bytes of a cache line, as lines_touched and lines_dirtied count lines"""
PROFILE: Final = COLUMNS[: 2 + len(TRAFFIC)]
"""the counts that can also be had for each instruction; its executions count as ``instructions``"""

# Columns of the block histogram, one for each kind of operation that a scope tells apart.
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

NOT_CYCLES: Final = "Counts are not cycles: the emulator knows no caches, pipeline or TLB misses."
"""the first of LIMITS, for where there is no room for all"""
LIMITS: Final = (
    "Limits: counts are not cycles: the emulator knows no caches, no pipeline and no cost of a TLB"
    " miss. Only the direct map is modelled: the 32-bit kernels' highmem mappings (kmap_atomic),"
    " part of the 2012 argument on ARM and i386, are not. pgtable is the first form (two page-table"
    " entries), not the later range mapping. i386 uses PAE, which no-execute needs. One operation"
    " runs at a time."
)
"""what the counts do not tell; printed below every table"""

Counts = dict[str, dict[str, dict[str, object]]]
"""``counts[phase][scope][count]``: an int, or for tlb_invalidates, classes and regions a dict"""


def document(sums: "NDArray[np.int64]", cache: "NDArray[np.int64] | None" = None) -> Counts:
    """Return sums, of shape (SCOPE_COLUMNS, phases, columns), in the form that results have.

    ``cache`` is what a model of caches has counted, shape (SCOPE_COLUMNS, phases, CACHE_COUNTS).
    """
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
            if cache is not None:
                missed = cache[list(columns), phase].sum(axis=0).tolist()
                entry["cache"] = dict(zip(CACHE_COUNTS, missed, strict=True))
            counts[name][scope] = entry
    return counts
