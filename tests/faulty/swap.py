# SPDX-License-Identifier: GPL-2.0-only
"""Faults planted in ``swap``: exchanged in place at map, and back at unmap."""

from faulty import cases
from faulty.fault import Faulty
from zsemu.replay import violations

_UNDO = "	if (zs_spans(loc))\n		exchange(loc);"

FAULTS = (
    Faulty("not-undone", "swap", ((_UNDO, ""),), violations.WRONG_BYTES, cases.once),
    Faulty(
        "not-undone-after-read",
        "swap",
        ((_UNDO, _UNDO.replace("(zs_spans(loc))", "(zs_spans(loc) && mode != ZS_MM_RO)")),),
        violations.WRONG_BYTES,
        cases.neighbour,
    ),
    Faulty(
        "undone-twice",
        "swap",
        (
            (
                _UNDO,
                "	if (zs_spans(loc)) {\n		exchange(loc);\n		exchange(loc);\n	}",
            ),
        ),
        violations.WRONG_BYTES,
        cases.once,
    ),
    Faulty(
        # The last word of the tail stays where it waits for nobody: in the neighbour.
        "exchange-short",
        "swap",
        (("		PAGE_SIZE - offset);", "		PAGE_SIZE - offset - sizeof(long));"),),
        violations.WRONG_BYTES,
        cases.neighbour,
    ),
    Faulty(
        "free-list-link-overwritten",
        "swap",
        (
            (
                "		exchange(loc);\n}",
                "		zs_copy(zs_page_address(loc->zspage, loc->page + 1) +\n"
                "			loc->offset + loc->zspage->class_size - PAGE_SIZE,\n"
                "			zs_page_address(loc->zspage, loc->page), 8);\n}",
            ),
        ),
        violations.LINK,
        cases.behind_free,
        in_traces=True,
    ),
    Faulty(
        "store-into-another-zspage",
        "swap",
        (
            (
                _UNDO,
                _UNDO + "\n	else if (loc->page + 1 == loc->zspage->nr_pages)\n"
                "		zs_page_address(loc->zspage, loc->page)[2 * PAGE_SIZE] = 0;",
            ),
        ),
        violations.STRAY,
        cases.last_before_another,
    ),
    Faulty(
        "store-beyond-the-zspage",
        "swap",
        (
            (
                _UNDO,
                _UNDO + "\n	else if (loc->page + 1 == loc->zspage->nr_pages)\n"
                "		zs_page_address(loc->zspage, loc->page)[PAGE_SIZE] = 0;",
            ),
        ),
        violations.FAULT,
        cases.last_before_another,
    ),
    Faulty(
        "endless-unmap",
        "swap",
        ((_UNDO, _UNDO.replace("if", "while")),),
        violations.ENDLESS,
        cases.once,
        in_traces=True,
    ),
)
