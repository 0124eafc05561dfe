# SPDX-License-Identifier: GPL-2.0-only
"""Loads planted where a strategy has no business: what is loaded there changes nothing."""

from faulty import cases
from faulty.cases import Case
from faulty.copy import IN_FIRST, IN_SECOND
from faulty.fault import Faulty
from zsemu.replay import violations

_SWAPPED = (
    "		zs_page_address(zspage, loc->page + 1) + second,\n		PAGE_SIZE - offset);\n"
)
_SET = "	zs_set_pte(&area->window_pte[0], zspage->pfn[loc->page]);\n"
_BEFORE_SLOT = "zs_page_address(zspage, loc->page) + loc->offset - sizeof(long)"
_BEHIND_ZSPAGE = (
    "zs_page_address(zspage, loc->page) + 2 * PAGE_SIZE * (zspage->nr_pages - loc->page)"
)


def _before(statement: str, expression: str, kind: str = "char") -> tuple[tuple[str, str], ...]:
    """Return the edit that loads what an expression points at before a statement of a strategy."""
    return ((statement, f"	(void)*(volatile {kind} *)({expression});\n" + statement),)


def _stray(name: str, base: str, edits: tuple[tuple[str, str], ...], case: Case) -> Faulty:
    return Faulty(name, base, edits, violations.STRAY_LOAD, case)


FAULTS = (
    # What a block copy does that takes a whole word at the end.
    _stray(
        "copy-in-eight-bytes-more",
        "copy",
        ((IN_SECOND, IN_SECOND.replace("- first)", "- first + 8)")),),
        cases.neighbour,
    ),
    _stray(
        "word-before-the-slot",
        "copy",
        _before(IN_FIRST, _BEFORE_SLOT, "long"),
        cases.between,
    ),
    _stray(
        "word-behind-what-is-displaced",
        "swap",
        (
            (
                _SWAPPED,
                _SWAPPED + "	(void)*(volatile long *)(zs_page_address(zspage, loc->page + 1) +\n"
                "				  second + PAGE_SIZE - offset);\n",
            ),
        ),
        cases.neighbour,
    ),
    _stray(
        "load-from-another-zspage",
        "copy",
        _before(IN_FIRST, _BEHIND_ZSPAGE),
        cases.last_before_another,
    ),
    _stray(
        "load-from-other-cpus-buffer",
        "copy",
        _before(IN_FIRST, "area->buffer + (area->cpu ? -2 * PAGE_SIZE : 2 * PAGE_SIZE)"),
        cases.between,
    ),
    _stray(
        "load-from-other-cpus-area",
        "copy",
        _before(IN_FIRST, "(char *)area + (area->cpu ? -2 * PAGE_SIZE : 2 * PAGE_SIZE)"),
        cases.between,
    ),
    _stray(
        "load-of-another-cpus-entry",
        "pgtable",
        _before(_SET, "&area->window_pte[area->cpu ? -4 : 4]", "pte_t"),
        cases.between,
    ),
    _stray(
        "load-from-another-descriptor",
        "copy",
        _before(IN_FIRST, "&zspage[1].class_size"),
        cases.once,
    ),
    _stray(
        "load-from-the-next-record",
        "copy",
        _before(IN_FIRST, "(char *)loc + 512"),
        cases.once,
    ),
    _stray(
        "load-from-behind-the-callers-buffer",
        "copy",
        _before(IN_FIRST, "(char *)caller + loc->length"),
        cases.once,
    ),
)
