/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the native model of caches shares with Python:
 * zsemu/caches/native_structures.py has the same fields in the same order, and
 * a test compares the two.
 */
#ifndef ZSEMU_CACHES_H
#define ZSEMU_CACHES_H

#include <stdint.h>
#include <string.h>

#include "../../guest/native/step.h"

#define OFFSET_MASK	((1ULL << STEP_SIZE) - 1)
#define PHASES		4

static inline uint64_t bits(uint64_t step, int first, int number)
{
	return step >> first & ((1ULL << number) - 1);
}

/* What is counted, by scope and phase. */
enum count { L1_MISSES, L1_WRITEBACKS, L2_MISSES, L2_WRITEBACKS, COUNTS };

/* A level: by set, its lines, the one used last first. */
struct level {
	uint64_t *line;		/* number of the line << 1 | dirty; or EMPTY */
	uint64_t ways;
	uint64_t mask;		/* sets - 1: the sets are a power of two */
};

struct model {
	struct level l1, l2;
	uint64_t line_shift;
	uint64_t *sums;		/* [scope][PHASES][COUNTS] */
};

/* To what an operation's addresses are relative, so that others can have them. */
enum base {
	ABSOLUTE,	/* stack, code, static data */
	RECORD,		/* of the operation */
	ZSPAGE,		/* the descriptor of its zspage */
	PFN,		/* in there, the entry of the slot's first page ... */
	WORD,		/* ... and the strategy's word of that page */
	CALLER,		/* the caller's buffer */
	AREA,		/* the CPU's */
	BUFFER,		/* the CPU's */
	ENTRIES,	/* the page-table entries of the CPU's windows */
	BEFORE,		/* the zspage's page before the slot's first one */
	SLOT,		/* in its first page */
	BEHIND,		/* the page behind the slot's first one */
	AFTER,		/* and the one behind that */
	BASES,
};

/* What the host knows of an operation. */
struct place {
	uint64_t base[BASES];	/* offsets in RAM; ABSOLUTE is 0 */
	int64_t zspage;		/* index of its descriptor */
	int64_t page;		/* of the zspage, in which the slot starts */
};

/* What lies where in RAM, by page of RAM. */
struct layout {
	const uint8_t *region;	/* as zsemu.guest.memory numbers them */
	const int32_t *owner;	/* zspage of a page of the pool */
	const int32_t *index;	/* which page of its zspage it is */
	uint64_t page_shift;
	uint64_t pfns, words;	/* offsets in a descriptor */
};

#endif
