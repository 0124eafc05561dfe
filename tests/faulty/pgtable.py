# SPDX-License-Identifier: GPL-2.0-only
"""Faults planted in ``pgtable``: two entries of a window."""

from faulty import cases
from faulty.fault import Faulty
from zsemu.replay import violations

_SET = """	zs_set_pte(&area->window_pte[0], zspage->pfn[loc->page]);
	zs_set_pte(&area->window_pte[1], zspage->pfn[loc->page + 1]);
"""
_CLEAR = """	zs_clear_pte(&area->window_pte[0]);
	zs_clear_pte(&area->window_pte[1]);
"""
_FLUSH = """	zs_flush_tlb_one(area->window);
	zs_flush_tlb_one(area->window + PAGE_SIZE);
"""

FAULTS = (
    Faulty("not-invalidated", "pgtable", ((_FLUSH, ""),), violations.STALE, cases.once),
    Faulty(
        "one-page-invalidated",
        "pgtable",
        (("	zs_flush_tlb_one(area->window + PAGE_SIZE);\n", ""),),
        violations.STALE,
        cases.once,
    ),
    Faulty(
        "invalidated-before-the-store",
        "pgtable",
        ((_CLEAR + _FLUSH, _FLUSH + _CLEAR),),
        violations.STALE,
        cases.once,
    ),
    Faulty(
        "wrong-address-invalidated",
        "pgtable",
        ((_FLUSH, _FLUSH.replace("window + PAGE_SIZE", "window + 2 * PAGE_SIZE")),),
        violations.STALE,
        cases.once,
    ),
    Faulty(
        # Invalidated when the next are set, and until then left behind.
        "entries-left-behind",
        "pgtable",
        ((_SET, _SET + _FLUSH), (_CLEAR + _FLUSH, "")),
        "stateless",
        cases.between,
    ),
    Faulty(
        # The window is set again only for another object; the page may have moved.
        "window-kept-over-migration",
        "pgtable",
        (
            ("neighbour-clean, stateless, no-leak", "neighbour-clean, no-leak"),
            (
                _SET,
                "	if (area->private[0] != (unsigned long)&zspage->pfn[loc->page]) {\n"
                + (_SET + _FLUSH).replace("	zs", "		zs")
                + "		area->private[0] = (unsigned long)&zspage->pfn[loc->page];\n	}\n",
            ),
            (_CLEAR + _FLUSH, ""),
        ),
        violations.WRONG_BYTES,
        cases.migration,
    ),
    Faulty(
        "entry-of-wrong-page",
        "pgtable",
        ((_SET, _SET.replace("pfn[loc->page + 1]", "pfn[loc->page]")),),
        violations.STRAY,
        cases.once,
    ),
    Faulty(
        "second-entry-forgotten",
        "pgtable",
        (("	zs_set_pte(&area->window_pte[1], zspage->pfn[loc->page + 1]);\n", ""),),
        violations.FAULT,
        cases.once,
    ),
    Faulty(
        "entry-of-another-cpu",
        "pgtable",
        ((_SET, _SET + "	zs_clear_pte(&area->window_pte[area->cpu ? -4 : 4]);\n"),),
        violations.STRAY,
        cases.between,
    ),
)
