# SPDX-License-Identifier: GPL-2.0-only
"""Faults planted in ``copy-modes``: nothing in for a write, nothing out for a read."""

from faulty import cases
from faulty.fault import Faulty
from zsemu.replay import violations

FAULTS = (
    Faulty(
        # Seen in 3.6: area->vm_mm was compared and never assigned (mended by f553646).
        "copy-out-after-read",
        "copy-modes",
        (("	if (!zs_spans(loc) || mode == ZS_MM_RO)\n", "	if (!zs_spans(loc))\n"),),
        "ro-clean",
        cases.once,
    ),
    Faulty(
        "copy-in-skipped-for-update",
        "copy-modes",
        (("mode != ZS_MM_WO", "mode == ZS_MM_RO"),),
        violations.WRONG_BYTES,
        cases.updated,
    ),
    Faulty(
        # In only what the caller may look at, and out all there is.
        "copy-in-short-for-update",
        "copy-modes",
        (
            (
                "			zspage->class_size - first);\n	}\n",
                "			(mode == ZS_MM_RW ? loc->header + loc->length :\n"
                "			 zspage->class_size) - first);\n	}\n",
            ),
        ),
        violations.WRONG_BYTES,
        cases.partly_updated,
    ),
    Faulty(
        # The buffer is anybody's between two maps.
        "copy-in-skipped-for-second-read",
        "copy-modes",
        (
            (
                "	if (mode != ZS_MM_WO) {\n",
                "	if (mode != ZS_MM_WO && (mode != ZS_MM_RO ||\n"
                "				 area->private[0] != (unsigned long)zspage ||\n"
                "				 area->private[1] != loc->slot)) {\n",
            ),
            (
                "	return zs_one_span(span, area->buffer + loc->header, loc);\n",
                "	area->private[0] = mode == ZS_MM_RO ? (unsigned long)zspage : 0;\n"
                "	area->private[1] = loc->slot;\n"
                "	return zs_one_span(span, area->buffer + loc->header, loc);\n",
            ),
        ),
        violations.WRONG_BYTES,
        cases.read_twice,
    ),
    Faulty(
        # As before 4.1; a write-only map never had the header in the buffer.
        "header-copied-out",
        "copy-modes",
        (
            (
                "	unsigned long offset = loc->offset + loc->header;\n",
                "	unsigned long offset = loc->offset;\n",
            ),
            (
                "	char *buffer = area->buffer + loc->header;\n",
                "	char *buffer = area->buffer;\n",
            ),
            (
                "		zspage->class_size - loc->header - first);",
                "		zspage->class_size - first);",
            ),
        ),
        violations.HEADER,
        cases.once,
    ),
    Faulty(
        "header-overwritten",
        "copy-modes",
        (
            ("		return zs_one_span(span, zs_payload(loc), loc);\n", "		goto plain;\n"),
            (
                "	return zs_one_span(span, area->buffer + loc->header, loc);\n}",
                "	return zs_one_span(span, area->buffer + loc->header, loc);\nplain:\n"
                "	if (loc->header)\n		zs_payload(loc)[-1] ^= 0x40;\n"
                "	return zs_one_span(span, zs_payload(loc), loc);\n}",
            ),
        ),
        violations.HEADER,
        cases.whole,
        in_traces=True,
    ),
    Faulty(
        # What the kernel did from 4.1 to 6.14, and it never promised anything else.
        "leak-promised-away",
        "copy-modes",
        (
            (
                "Promises: ro-clean, neighbour-clean, stateless\n",
                "Promises: ro-clean, neighbour-clean, stateless, no-leak\n",
            ),
        ),
        "no-leak",
        cases.after_another,
    ),
)
