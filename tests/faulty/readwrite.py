# SPDX-License-Identifier: GPL-2.0-only
"""Faults planted in ``readwrite``: into the caller's buffer, and from it into the pages."""

from faulty import cases
from faulty.fault import Faulty
from zsemu.replay import violations

_IN = """			zs_page_address(zspage, loc->page + 1),
			loc->length - first);
		return zs_one_span(span, caller, loc);
"""
_OUT = "(char *)caller + first, loc->length - first);\n"

FAULTS = (
    Faulty(
        # 6.15-rc: "first" is more than the object has, and the rest less than nothing
        # (20250507054312.4135983-1).
        "span-underflow",
        "readwrite",
        (
            (
                "	return loc->offset + loc->header + loc->length > PAGE_SIZE;\n",
                "	return loc->offset + loc->zspage->class_size > PAGE_SIZE;\n",
            ),
        ),
        violations.FAULT,
        cases.ends_before_its_slot,
    ),
    Faulty(
        "span-test-rounded-down",
        "readwrite",
        (
            (
                "	return loc->offset + loc->header + loc->length > PAGE_SIZE;\n",
                "	return ((loc->offset + loc->header + loc->length) & -4UL) > PAGE_SIZE;\n",
            ),
        ),
        violations.FAULT,
        cases.just_reaches_over,
    ),
    Faulty(
        # As 6.15 did, with a buffer of the caller's that was large enough for it.
        "read-copies-whole-slot",
        "readwrite",
        ((_IN, _IN.replace("loc->length", "zspage->class_size - loc->header")),),
        violations.STRAY,
        cases.between,
    ),
    Faulty(
        # What lies behind the caller's buffer goes into the slot.
        "write-copies-whole-slot",
        "readwrite",
        ((_OUT, _OUT.replace("loc->length", "zspage->class_size - loc->header")),),
        "no-leak",
        cases.shorter,
    ),
    Faulty(
        "byte-tail-forgotten",
        "readwrite",
        ((_OUT, _OUT.replace("loc->length - first", "(loc->length - first) & -sizeof(long)")),),
        violations.WRONG_BYTES,
        cases.shorter,
    ),
    Faulty(
        "update-not-copied-out",
        "readwrite",
        (("	if (mode == ZS_MM_RO)\n", "	if (mode != ZS_MM_WO)\n"),),
        violations.WRONG_BYTES,
        cases.updated,
    ),
    Faulty(
        "plain-write-forgotten",
        "readwrite",
        (("	} else if (mode == ZS_MM_WO) {\n", "	} else if (mode == ZS_MM_RO) {\n"),),
        violations.WRONG_BYTES,
        cases.whole,
    ),
    Faulty(
        "store-behind-the-object",
        "readwrite",
        (
            (
                "		zs_copy(zs_payload(loc), caller, loc->length);",
                "		zs_copy(zs_payload(loc), caller, loc->length);\n"
                "		if (loc->offset + 3 * loc->zspage->class_size <= PAGE_SIZE)\n"
                "			zs_payload(loc)[2 * loc->zspage->class_size] = 0;",
            ),
        ),
        violations.STRAY,
        cases.small,
        in_traces=True,
    ),
    Faulty(
        "behind-the-callers-buffer",
        "readwrite",
        (
            (
                "		return zs_one_span(span, caller, loc);\n	}",
                "		((volatile char *)caller)[loc->length] = 0;\n"
                "		return zs_one_span(span, caller, loc);\n	}",
            ),
        ),
        violations.STRAY,
        cases.once,
        in_traces=True,
    ),
)
