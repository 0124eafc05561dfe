# SPDX-License-Identifier: GPL-2.0-only
"""What is counted of a kernel's object: columns of a row, phases and kinds of code.

native/counts.c has the same order. A row is the cost of one operation: shape (phases, kinds,
columns), dtype uint32. The definitions are those of zsemu.counts; page tables and TLBs do not
occur.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zsemu.counts import (
    ALLOCATOR_PHASES,
    CLASSES,
    PARTS,
    REGIONS,
    SCOPES,
    TLB_KINDS,
    TRAFFIC,
    Counts,
)
from zsemu.counts import PHASES as STRATEGY_PHASES

PHASES: Final = ("malloc", "free", "map", "access", "unmap")
KINDS: Final = ("own", "stand_in", "copy")
COLUMNS: Final = (
    "instructions",
    "string_iterations",
    *TRAFFIC,
    "lines_touched",
    "lines_dirtied",
    *(f"class_{name}" for name in CLASSES),
    *(f"{region}.{name}" for region in REGIONS for name in TRAFFIC),
)
INSTRUCTIONS: Final = COLUMNS.index("instructions")
ENTRIES: Final = (
    ("zs_malloc", "malloc"),
    ("zs_free", "free"),
    ("zs_map_object", "map"),
    ("zs_obj_read_begin", "map"),
    ("zs_obj_read_sg_begin", "map"),
    ("zs_access_out", "access"),
    ("zs_access_in", "access"),
    ("zs_unmap_object", "unmap"),
    ("zs_obj_read_end", "unmap"),
    ("zs_obj_read_sg_end", "unmap"),
    ("zs_obj_write", "unmap"),
)
"""each function that the driver calls, and the phase that it is"""


def document(sums: NDArray[np.int64], calls: dict[str, int]) -> Counts:
    """Give sums of shape (scopes, phases, kinds, columns) the form that results have.

    Each count is that of the object's own text and of what copies, which is what compares with a
    strategy. It is split into zsemu.counts.PARTS beside that. ``calls`` are the operations of
    malloc and free, of which one for each path is observed; how many cache lines they touch depends
    also on where the slab allocator has put what they use, so they have no such count.
    """
    counts: Counts = {}
    for name in (*STRATEGY_PHASES, *ALLOCATOR_PHASES):
        counts[name] = {}
        for scope, columns in SCOPES.items():
            rows = np.zeros((len(KINDS), len(COLUMNS)), np.int64)
            if name in PHASES:
                rows = sums[list(columns), PHASES.index(name)].sum(axis=0)
            parts = {part: rows[KINDS.index(part)] for part in PARTS}
            lines = name in STRATEGY_PHASES
            entry = _entry(parts["own"] + parts["copy"], lines=lines)
            entry |= {part: _entry(row, lines=lines) for part, row in parts.items()}
            if name in ALLOCATOR_PHASES and scope == "total":
                entry["calls"] = calls[name]
            counts[name][scope] = entry
    return counts


def _entry(values: NDArray[np.int64], *, lines: bool) -> dict[str, Any]:
    row = dict(zip(COLUMNS, values.tolist(), strict=True))
    entry: dict[str, Any] = {
        key: row[key] for key in ("instructions", "string_iterations", *TRAFFIC)
    }
    # It knows nothing of page tables.
    entry["pte_stores"] = 0
    entry["tlb_invalidates"] = dict.fromkeys(TLB_KINDS, 0)
    if lines:
        entry |= {key: row[key] for key in ("lines_touched", "lines_dirtied")}
    entry["classes"] = {kind: row[f"class_{kind}"] for kind in CLASSES}
    entry["regions"] = {
        region: {key: row[f"{region}.{key}"] for key in TRAFFIC} for region in REGIONS
    }
    return entry
