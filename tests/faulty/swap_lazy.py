# SPDX-License-Identifier: GPL-2.0-only
"""Faults planted in ``swap-lazy``: exchanged back only when somebody needs the bytes."""

from faulty import cases
from faulty.fault import Faulty
from zsemu.replay import violations

_MAP = """	undo_before(loc);
	if (!zs_spans(loc))
		return zs_one_span(span, zs_payload(loc), loc);
"""
_DONE = "		zspage->word[page] = loc->offset + 1;\n"
_BEHIND = """		/* The slot behind spans too: its bytes must be its own. */
		if (behind + zspage->class_size > PAGE_SIZE)
			undo(loc, page + 1);
"""
_SETTLE = """void zs_settle(struct zs_area *area, const struct zs_location *loc)
{
	undo_before(loc);
	if (zs_spans(loc))
		undo(loc, loc->page);
}
"""

FAULTS = (
    Faulty(
        "state-in-wrong-page",
        "swap-lazy",
        ((_DONE, _DONE.replace("[page]", "[page + 1]")),),
        violations.WRONG_BYTES,
        cases.once,
    ),
    Faulty(
        "state-never-cleared",
        "swap-lazy",
        (("		*word = 0;\n", ""),),
        violations.WRONG_BYTES,
        cases.neighbour,
    ),
    Faulty(
        # By the frame's number, and with the CPU: whoever migrates the page knows nothing of it.
        "state-lost-on-migration",
        "swap-lazy",
        (
            (
                "static void undo(const struct zs_location *loc, u32 page)\n",
                "static unsigned long *state(struct zs_area *area, unsigned long pfn)\n"
                "{\n	return &area->private[pfn / 2 % 4];\n}\n\n"
                "static void undo(struct zs_area *area, const struct zs_location *loc, u32 page)\n",
            ),
            ("word = &loc->zspage->word[page];", "word = state(area, loc->zspage->pfn[page]);"),
            (
                "static void undo_before(const struct zs_location *loc)",
                "static void undo_before(struct zs_area *area, const struct zs_location *loc)",
            ),
            ("		undo(loc, loc->page - 1);", "		undo(area, loc, loc->page - 1);"),
            (_MAP, _MAP.replace("undo_before(loc)", "undo_before(area, loc)")),
            ("	if (!zspage->word[page]) {", "	if (!*state(area, zspage->pfn[page])) {"),
            ("			undo(loc, page + 1);", "			undo(area, loc, page + 1);"),
            (_DONE, _DONE.replace("zspage->word[page]", "*state(area, zspage->pfn[page])")),
            (
                _SETTLE,
                _SETTLE.replace("(loc);", "(area, loc);").replace("undo(loc", "undo(area, loc"),
            ),
        ),
        violations.WRONG_BYTES,
        cases.migration,
    ),
    Faulty(
        "neighbour-not-undone",
        "swap-lazy",
        ((_MAP, _MAP.replace("	undo_before(loc);\n", "") + "	undo_before(loc);\n"),),
        violations.WRONG_BYTES,
        cases.neighbour,
    ),
    Faulty(
        "chain-undone-too-late",
        "swap-lazy",
        (
            (
                _MAP,
                _MAP.replace("	undo_before(loc);\n", "").replace(
                    "(!zs_spans(loc))\n", "(!zs_spans(loc)) {\n		undo_before(loc);\n"
                )
                + "	}\n",
            ),
            (_DONE, _DONE + "		undo_before(loc);\n"),
        ),
        violations.WRONG_BYTES,
        cases.chain,
    ),
    Faulty(
        "chain-behind-not-undone",
        "swap-lazy",
        ((_BEHIND, ""),),
        violations.WRONG_BYTES,
        cases.chain,
    ),
    Faulty("no-settle", "swap-lazy", ((_SETTLE, ""),), violations.LINK, cases.behind_free),
    Faulty(
        "settle-forgets-the-slot-before",
        "swap-lazy",
        ((_SETTLE, _SETTLE.replace("	undo_before(loc);\n", "")),),
        violations.HEADER,
        cases.neighbour,
    ),
    Faulty(
        "settle-forgets-the-slot-itself",
        "swap-lazy",
        (
            (
                _SETTLE,
                _SETTLE.replace("	if (zs_spans(loc))\n		undo(loc, loc->page);\n", ""),
            ),
        ),
        violations.WRONG_BYTES,
        cases.compaction,
    ),
)
