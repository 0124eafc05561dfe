# SPDX-License-Identifier: GPL-2.0-only
"""Faults planted in ``copy``: the whole slot in at map and out at unmap."""

from faulty import cases
from faulty.fault import Faulty
from zsemu.replay import violations

_MAP = """	if (!zs_spans(loc))
		return zs_one_span(span, zs_payload(loc), loc);

"""
IN_FIRST = """	zs_copy(area->buffer,
		zs_page_address(zspage, loc->page) + loc->offset, first);
"""
IN_SECOND = """	zs_copy(area->buffer + first, zs_page_address(zspage, loc->page + 1),
		zspage->class_size - first);
"""
_OUT_SECOND = """	zs_copy(zs_page_address(zspage, loc->page + 1), area->buffer + first,
		zspage->class_size - first);
"""
_HALT = """#if defined(__x86_64__) || defined(__i386__)
	asm volatile("hlt");
#else
	asm volatile("wfi");
#endif
"""

FAULTS = (
    Faulty(
        "copy-in-short",
        "copy",
        ((IN_FIRST, IN_FIRST.replace(", first)", ", first - 1)")),),
        violations.WRONG_BYTES,
        cases.once,
        in_traces=True,
    ),
    Faulty(
        "copy-out-short",
        "copy",
        ((_OUT_SECOND, _OUT_SECOND.replace("- first)", "- first - 1)")),),
        violations.WRONG_BYTES,
        cases.once,
    ),
    Faulty(
        # What is behind the object comes from the buffer, where nothing was put.
        "copy-out-long",
        "copy",
        ((_OUT_SECOND, _OUT_SECOND.replace("- first)", "- first + 1)")),),
        violations.HEADER,
        cases.neighbour,
    ),
    Faulty(
        # A writer copies the neighbour's byte, too, and back as it was: seen by no read.
        "copy-long",
        "copy",
        (
            (IN_SECOND, IN_SECOND.replace("- first)", "- first + (mode != ZS_MM_RO))")),
            (_OUT_SECOND, _OUT_SECOND.replace("- first)", "- first + (mode != ZS_MM_RO))")),
        ),
        "neighbour-clean",
        cases.neighbour,
    ),
    Faulty(
        "halves-exchanged",
        "copy",
        (
            (IN_FIRST, IN_FIRST.replace("area->buffer,", "area->buffer + second,")),
            (IN_SECOND, IN_SECOND.replace("area->buffer + first,", "area->buffer,")),
            (_MAP, "	unsigned long second = zspage->class_size - first;\n\n" + _MAP),
        ),
        violations.WRONG_BYTES,
        cases.once,
    ),
    Faulty(
        "copy-in-from-wrong-offset",
        "copy",
        ((IN_SECOND, IN_SECOND.replace("page + 1)", "page + 1) + sizeof(long)")),),
        violations.WRONG_BYTES,
        cases.once,
    ),
    Faulty(
        "copy-out-to-wrong-offset",
        "copy",
        ((_OUT_SECOND, _OUT_SECOND.replace("page + 1)", "page + 1) + sizeof(long)")),),
        violations.LINK,
        cases.behind_free,
        in_traces=True,
    ),
    Faulty(
        "copy-out-skipped",
        "copy",
        ((_OUT_SECOND, ""),),
        violations.WRONG_BYTES,
        cases.once,
        in_traces=True,
    ),
    Faulty(
        # What is not written comes from whatever the buffer held last.
        "copy-in-skipped-for-write",
        "copy",
        (
            (
                _MAP,
                _MAP
                + "	if (mode == ZS_MM_WO)\n		return zs_one_span(span, area->buffer, loc);\n\n",
            ),
        ),
        "no-leak",
        cases.after_another_2012,
    ),
    Faulty(
        "store-into-other-cpus-buffer",
        "copy",
        (
            (
                IN_FIRST,
                "	area->buffer[area->cpu ? -2 * PAGE_SIZE : 2 * PAGE_SIZE] = 1;\n" + IN_FIRST,
            ),
        ),
        violations.STRAY,
        cases.between,
        in_traces=True,
    ),
    Faulty(
        "buffer-overrun",
        "copy",
        ((IN_SECOND, IN_SECOND.replace("- first)", "- first + PAGE_SIZE)")),),
        violations.FAULT,
        cases.once,
        in_traces=True,
    ),
    Faulty(
        "halting-map",
        "copy",
        ((IN_FIRST, _HALT + IN_FIRST),),
        violations.HALTS,
        cases.once,
        in_traces=True,
    ),
    Faulty(
        "endless-map",
        "copy",
        ((IN_FIRST, '	for (;;)\n		asm volatile("");\n' + IN_FIRST),),
        violations.ENDLESS,
        cases.once,
        in_traces=True,
    ),
)
