# SPDX-License-Identifier: GPL-2.0-only
"""Planted races: strategies that are right alone, or with one change are, and wrong with two CPUs.

Each states a lock that would be enough without the defect.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zsemu.paths import ARCH
from zsemu.replay import violations

HERE: Final = Path(__file__).parent / "strategies"


@dataclass(frozen=True)
class Planted:
    """One defect."""

    name: str
    base: str
    """the strategy that is edited: a shipped one, or one of tests/race/strategies/"""
    edits: tuple[tuple[str, str], ...]
    """(old, new), each old text exactly once in the file"""
    finds: frozenset[str]
    """kinds of violation, of which one shows it"""
    shape: str = "spans, less in page 1"
    """the shape of a scene that shows it"""
    alone: bool = False
    """whether it shows without preemption, one CPU after the other"""

    def write(self, folder: Path) -> Path:
        """Write the strategy and return its path."""
        path = folder / f"{self.name}.c"
        path.write_text(edited(self.base, self.edits, self.name))
        return path


def edited(base: str, edits: tuple[tuple[str, str], ...], name: str) -> str:
    """Return the text of a strategy with some changes."""
    own = HERE / f"{base}.c"
    text = (own if own.exists() else ARCH / "strategies" / f"{base}.c").read_text()
    for old, new in edits:
        assert text.count(old) == 1, f"{name}: {old!r} is {text.count(old)} times there"
        text = text.replace(old, new)
    return text


_BYTES = frozenset({violations.WRONG_BYTES, violations.HEADER, violations.LINK})
_ENDLESS = frozenset({violations.ENDLESS})
_STRAY = frozenset({violations.STRAY, violations.STRAY_LOAD})
_FIRST_INCLUDE = '#include "zs.h"\n'
_LAST_UNLOCK = "	unlock(loc);\n}\n"

RACES: Final = (
    # What says which operation a CPU is in, overwritten.
    Planted(
        "lost-count",
        "copy",
        (
            (
                "	if (!zs_spans(loc))\n		return zs_one_span",
                "	extern unsigned long *zs_next_batch;\n\n"
                "	((volatile unsigned long *)zs_next_batch)[3] = ~0UL / 512;\n"
                "	if (!zs_spans(loc))\n		return zs_one_span",
            ),
        ),
        _STRAY,
        alone=True,
    ),
    # A buffer that two CPUs share, in different ways.
    Planted(
        "buffer-of-cpu-0",
        "copy-modes",
        (
            (
                "u32 zs_map_object(struct zs_area *area, const",
                "#define FIRST(area) ((area)->buffer - (area)->cpu * 2 * PAGE_SIZE)\n\n"
                "u32 zs_map_object(struct zs_area *area, const",
            ),
            ("		zs_copy(area->buffer,\n", "		zs_copy(FIRST(area),\n"),
            ("		zs_copy(area->buffer + first,\n", "		zs_copy(FIRST(area) + first,\n"),
            (
                "zs_one_span(span, area->buffer + loc->header, loc)",
                "zs_one_span(span, FIRST(area) + loc->header, loc)",
            ),
            (
                "char *buffer = area->buffer + loc->header;",
                "char *buffer = FIRST(area) + loc->header;",
            ),
        ),
        _STRAY,
        alone=True,
    ),
    Planted(
        # In the zspage's words, where the part in page 1 of this shape fits.
        "shared-bounce",
        "readwrite",
        (
            (
                "		zs_copy(caller, zs_page_address(zspage, loc->page) + offset,\n"
                "			first);",
                "		char *bounce = (char *)loc->zspage->word;\n\n"
                "		zs_copy(bounce, zs_page_address(zspage, loc->page) + offset,\n"
                "			first);\n"
                "		zs_copy(caller, bounce, first);",
            ),
        ),
        _BYTES,
    ),
    # What is kept between map and unmap, where both CPUs keep it.
    Planted(
        "shared-mode",
        "copy-modes",
        (
            (_FIRST_INCLUDE, f"{_FIRST_INCLUDE}\n#define KEPT loc->zspage->word[0]\n"),
            ("	if (mode != ZS_MM_WO) {\n", "	KEPT = mode;\n	if (mode != ZS_MM_WO) {\n"),
            ("|| mode == ZS_MM_RO)", "|| KEPT == ZS_MM_RO)"),
        ),
        _BYTES,
    ),
    Planted(
        "shared-offset",
        "copy-modes",
        (
            (_FIRST_INCLUDE, f"{_FIRST_INCLUDE}\n#define KEPT loc->zspage->word[0]\n"),
            (
                "	if (mode != ZS_MM_WO) {\n",
                "	KEPT = loc->offset;\n	if (mode != ZS_MM_WO) {\n",
            ),
            (
                "unsigned long offset = loc->offset + loc->header;",
                "unsigned long offset = KEPT + loc->header;",
            ),
        ),
        _BYTES,
    ),
    Planted(
        # The other CPU's record is none of this one's.
        "shared-location",
        "swap-min",
        (
            (_FIRST_INCLUDE, f"{_FIRST_INCLUDE}\n#define KEPT loc->zspage->word[0]\n"),
            (
                "	return zs_one_span(span, exchange(loc), loc);",
                "	KEPT = (unsigned long)loc;\n	return zs_one_span(span, exchange(loc), loc);",
            ),
            (
                "	if (zs_spans(loc))\n		exchange(loc);",
                "	if (zs_spans(loc))\n		exchange((const struct zs_location *)KEPT);",
            ),
        ),
        frozenset({violations.STRAY_LOAD}),
    ),
    Planted(
        # Loads the neighbour's first word, but only while another CPU's map lasts.
        "looks-beside-while-mapped",
        "counted",
        (
            (
                "	count(loc, 1);\n",
                "	unsigned long behind = loc->offset + loc->zspage->class_size;\n\n"
                "	count(loc, 1);\n"
                "	if (loc->zspage->word[0] > 1)\n"
                "		*(volatile char *)(zs_page_address(loc->zspage,\n"
                "					loc->page + behind / PAGE_SIZE) +\n"
                "				   behind % PAGE_SIZE);\n",
            ),
        ),
        frozenset({violations.STRAY_LOAD}),
    ),
    Planted(
        # Stores into static data, but only while another CPU's map lasts.
        "notes-that-another-is-mapped",
        "counted",
        (
            (
                "	count(loc, 1);\n",
                "	static volatile unsigned long met;\n\n"
                "	count(loc, 1);\n"
                "	if (loc->zspage->word[0] > 1)\n"
                "		met = 1;\n",
            ),
        ),
        frozenset({violations.STRAY}),
    ),
    Planted(
        # Every page's word in the first one: right as long as one object at a time is displaced.
        "one-page-word",
        "swap-lazy",
        (
            (
                "unsigned long *word = &loc->zspage->word[page];",
                "unsigned long *word = &loc->zspage->word[0];",
            ),
            ("	if (!zspage->word[page]) {\n", "	if (zspage->word[0] != 1 + loc->offset) {\n"),
            (
                "		zspage->word[page] = loc->offset + 1;",
                "		zspage->word[0] = loc->offset + 1;",
            ),
        ),
        _BYTES,
        alone=True,
    ),
    # Another's bytes, loaded and stored as they were. Check takes them for displaced.
    Planted(
        "byte-too-much",
        "copy",
        (
            (
                "	zs_copy(zs_page_address(zspage, loc->page + 1), area->buffer + first,\n"
                "		zspage->class_size - first);",
                "	zs_copy(zs_page_address(zspage, loc->page + 1), area->buffer + first,\n"
                "		zspage->class_size + (mode != ZS_MM_RO) - first);",
            ),
            (
                "	zs_copy(area->buffer + first, zs_page_address(zspage, loc->page + 1),\n"
                "		zspage->class_size - first);",
                "	zs_copy(area->buffer + first, zs_page_address(zspage, loc->page + 1),\n"
                "		zspage->class_size + (mode != ZS_MM_RO) - first);",
            ),
        ),
        _BYTES,
    ),
    Planted(
        "header-restored",
        "readwrite",
        (
            (
                "	if (mode == ZS_MM_RO)\n		return;\n",
                "	volatile unsigned long *next = (unsigned long *)(\n"
                "		zs_page_address(zspage, loc->page + 1) + loc->offset +\n"
                "		zspage->class_size - PAGE_SIZE);\n"
                "\n"
                "	if (zs_spans(loc))\n"
                "		*next = *next;\n"
                "	if (mode == ZS_MM_RO)\n		return;\n",
            ),
        ),
        _BYTES,
    ),
    # Translations.
    Planted(
        "cleared-after-flush",
        "pgtable",
        (
            (
                "	zs_clear_pte(&area->window_pte[0]);\n	zs_clear_pte(&area->window_pte[1]);\n"
                "	zs_flush_tlb_one(area->window);\n"
                "	zs_flush_tlb_one(area->window + PAGE_SIZE);\n",
                "	zs_flush_tlb_one(area->window);\n"
                "	zs_flush_tlb_one(area->window + PAGE_SIZE);\n"
                "	zs_clear_pte(&area->window_pte[0]);\n"
                "	zs_clear_pte(&area->window_pte[1]);\n",
            ),
        ),
        frozenset({violations.STALE}),
        alone=True,
    ),
    Planted(
        "window-of-cpu-0",
        "pgtable",
        (
            (
                _FIRST_INCLUDE,
                f"{_FIRST_INCLUDE}\n#define PTE(area) ((area)->window_pte - 4 * (area)->cpu)\n"
                "#define WINDOW(area) ((area)->window - 4 * PAGE_SIZE * (area)->cpu)\n",
            ),
            (
                "	zs_set_pte(&area->window_pte[0], zspage->pfn[loc->page]);\n"
                "	zs_set_pte(&area->window_pte[1],",
                "	zs_set_pte(&PTE(area)[0], zspage->pfn[loc->page]);\n"
                "	zs_set_pte(&PTE(area)[1],",
            ),
            (
                "area->window + loc->offset + loc->header",
                "WINDOW(area) + loc->offset + loc->header",
            ),
            (
                "	zs_clear_pte(&area->window_pte[0]);\n	zs_clear_pte(&area->window_pte[1]);\n"
                "	zs_flush_tlb_one(area->window);\n"
                "	zs_flush_tlb_one(area->window + PAGE_SIZE);\n",
                "	zs_clear_pte(&PTE(area)[0]);\n	zs_clear_pte(&PTE(area)[1]);\n"
                "	zs_flush_tlb_one(WINDOW(area));\n"
                "	zs_flush_tlb_one(WINDOW(area) + PAGE_SIZE);\n",
            ),
        ),
        _STRAY,
        alone=True,
    ),
    # One buffer for all, with a lock from map to unmap: tests/race/strategies/one-buffer.c.
    Planted(
        "buffer-without-lock",
        "one-buffer",
        (
            ("	lock(loc);\n	zs_copy", "	zs_copy"),
            (_LAST_UNLOCK, "}\n"),
        ),
        _BYTES,
    ),
    Planted(
        "released-at-map",
        "one-buffer",
        (
            (
                "	span[0].addr = BUFFER(loc);\n",
                "	unlock(loc);\n	span[0].addr = BUFFER(loc);\n",
            ),
            (_LAST_UNLOCK, "}\n"),
        ),
        _BYTES,
    ),
    Planted(
        "released-before-copy-out",
        "one-buffer",
        (
            (
                "	zs_copy(zs_payload(loc), BUFFER(loc), FIRST(loc));\n	unlock(loc);\n",
                "	unlock(loc);\n	zs_copy(zs_payload(loc), BUFFER(loc), FIRST(loc));\n",
            ),
        ),
        _BYTES,
    ),
    Planted(
        "test-then-set",
        "one-buffer",
        (
            (
                "	while (__atomic_exchange_n(LOCK(loc), 1, __ATOMIC_ACQUIRE))\n		;\n",
                "	while (__atomic_load_n(LOCK(loc), __ATOMIC_ACQUIRE))\n		;\n"
                "	__atomic_store_n(LOCK(loc), 1, __ATOMIC_RELEASE);\n",
            ),
        ),
        _BYTES,
    ),
    Planted(
        "no-lock-for-reads",
        "one-buffer",
        (
            (
                "	lock(loc);\n	zs_copy",
                "	if (mode != ZS_MM_RO)\n		lock(loc);\n	zs_copy",
            ),
            (_LAST_UNLOCK, "	if (mode != ZS_MM_RO)\n		unlock(loc);\n}\n"),
        ),
        _BYTES,
    ),
    Planted(
        "never-released-after-updates",
        "one-buffer",
        ((_LAST_UNLOCK, "	if (mode != ZS_MM_RW)\n		unlock(loc);\n}\n"),),
        _ENDLESS,
        alone=True,
    ),
    # Two locks in an order that depends on the CPU.
    Planted(
        "lock-order",
        "two-locks",
        (
            (
                "	lock(loc, 0);\n	lock(loc, 1);\n",
                "	lock(loc, area->cpu & 1);\n	lock(loc, !(area->cpu & 1));\n",
            ),
        ),
        _ENDLESS,
    ),
    # A count of maps that the allocator waits for: tests/race/strategies/counted.c.
    Planted(
        "count-not-atomic",
        "counted",
        (
            (
                "	__atomic_fetch_add(&loc->zspage->word[0], change, __ATOMIC_SEQ_CST);",
                "	volatile unsigned long *word = &loc->zspage->word[0];\n"
                "	unsigned long was = *word;\n\n"
                "	/* Or x86 does it in one instruction, which is never divided. */\n"
                '	asm volatile("" : "+r" (was));\n'
                "	*word = was + change;",
            ),
        ),
        _ENDLESS,
    ),
)
CONTROLS: Final = ("one-buffer", "two-locks", "counted")
"""the strategies of tests/race/strategies/, in which there is no race"""
