# SPDX-License-Identifier: GPL-2.0-only
"""Faults planted in ``sg``: nothing is moved."""

from faulty import cases
from faulty.fault import Faulty
from zsemu.replay import violations

_WHOLE = "	if (loc->length <= first)\n"

FAULTS = (
    Faulty(
        "static-variable",
        "sg",
        (
            (
                "	unsigned long first =",
                "	static volatile unsigned long maps;\n	unsigned long first =",
            ),
            (_WHOLE, "	maps++;\n" + _WHOLE),
        ),
        violations.STRAY,
        cases.once,
        in_traces=True,
    ),
    Faulty(
        "page-word-left",
        "sg",
        ((_WHOLE, "	loc->zspage->word[loc->page]++;\n" + _WHOLE),),
        "stateless",
        cases.once,
    ),
    Faulty(
        "wild-jump",
        "sg",
        (
            (
                _WHOLE,
                "	if (loc->length > first)\n		((void (*)(void))area->buffer)();\n"
                + _WHOLE,
            ),
        ),
        violations.FAULT,
        cases.once,
        in_traces=True,
    ),
    Faulty(
        "span-short",
        "sg",
        (
            (
                "	span[1].length = loc->length - first;",
                "	span[1].length = loc->length - first - 1;",
            ),
        ),
        violations.SPANS,
        cases.once,
        in_traces=True,
    ),
    Faulty(
        "second-span-behind-a-header",
        "sg",
        (
            (
                "zs_page_address(loc->zspage, loc->page + 1);",
                "zs_page_address(loc->zspage, loc->page + 1) +\n		       loc->header;",
            ),
        ),
        violations.HEADER,
        cases.neighbour,
    ),
    Faulty(
        # The last eight bytes, wherever they are: x86 and AArch64 do not mind.
        "unaligned-word",
        "sg",
        (
            (
                _WHOLE,
                "	if (loc->length <= first && loc->length >= 8)\n"
                "		(void)*(volatile unsigned long long *)(zs_payload(loc) +\n"
                "						       loc->length - 8);\n" + _WHOLE,
            ),
        ),
        violations.MISALIGNED,
        cases.whole,
        archs=("arm", "riscv64", "riscv32"),
    ),
)
