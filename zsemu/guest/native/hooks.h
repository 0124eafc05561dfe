/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the native hooks share with Python: one struct hooks for each emulated
 * CPU, and the numbers of phases, columns, regions, kinds and findings.
 * zsemu/guest/hook_structures.py has the same fields in the same order, and a
 * test compares the two.
 */
#ifndef ZSEMU_HOOKS_H
#define ZSEMU_HOOKS_H

#include <stdint.h>
#include <string.h>

#include "blocks.h"
#include "findings.h"
#include "phases.h"
#include "places.h"
#include "step.h"

/* The columns of a row, as zsemu/counts.py has them. */
enum column {
	INSTRUCTIONS,
	STRING_ITERATIONS,
	LOADS,
	STORES,
	BYTES_LOADED,
	BYTES_STORED,
	PTE_STORES,
	TLB_PAGE_LOCAL,
	TLB_PAGE_BROADCAST,
	TLB_ALL_LOCAL,
	TLB_ALL_BROADCAST,
	LINES_TOUCHED,
	LINES_DIRTIED,
	CLASS_LOAD,	/* + class of the instruction */
	CLASS_STORE,
	CLASS_ALU,
	CLASS_BRANCH,
	CLASS_SYSTEM,
	REGIONS,
};

/* The columns behind the counts: what a promise may exclude. */
enum {
	/* stores into the pool while mapped read-only */
	STORES_READING = REGIONS + 4 * NR_REGIONS,
	STORES_OUTSIDE,	/* into the pool, but not into its own slot */
	LEFT,		/* page words and window entries in use after unmap */
	LEAKED,		/* bytes of its slot that differ though unwritten */
	UNALIGNED,	/* accesses of the strategy, whatever the rule */
	/* bytes that map or unmap loads though nobody wrote them: */
	SLACK_LOADED,	/* behind the payload in its slot */
	UNWRITTEN_LOADED, /* in the CPU's buffer, since the map began */
	COLUMNS,
};

/* Kinds of instruction, which the host found by disassembling; a TLB
 * invalidate is TLB + its place among the four TLB columns. */
enum kind { PLAIN, STRING, STORE_EXCLUSIVE, BLOCK_ZERO, TLB };
#define ALIGNED		0x80	/* added to a kind: must access aligned */
#define ENTRY		0x40	/* a function begins here */
#define KIND		0x3f

/* Why a run was stopped: hooks.run.stopped. */
enum reason { TOO_LONG = 1, TOO_MANY_BLOCKS, TOO_MUCH_MEMORY, NO_OPERATION };

#define SCOPES		8	/* columns of the block histogram */
#define PROFILE		(BYTES_STORED + 1)	/* the first columns of a row */
#define LINE_SHIFT	6
#define LINE_BITS	13	/* a phase can touch 4 x 64 KiB, 4096 lines */
#define LINES_MAX	((1 << LINE_BITS) - 512)
#define FINDINGS	20
#define SLOT_MAX	65536	/* the largest page, and so the largest slot */
#define LEAF_MAX	65536	/* the largest page of page-table entries */

/* A cache line that the current operation has touched in its phase. */
struct line {
	uint64_t line;
	uint64_t epoch;
	uint32_t dirty, unused;
};

/* The code that runs, as the host has read it. */
struct image {
	uint64_t text, text_size;	/* addresses of all code */
	uint64_t word_bits;
	/* by offset in the text */
	const uint8_t *kind;		/* enum kind of the instruction */
	const uint8_t *class;		/* its class: a column from CLASS_LOAD */
	const uint16_t *operand;	/* of an invalidate: its register ... */
	const int64_t *displacement;	/* ... and what is added to it ... */
	uint64_t operand_shift;		/* ... after this left shift */
};

/* Where the driver's own code lies, and what enters it. */
struct driver {
	uint64_t start, end;
};

/* What the user's accesses are judged by, if not one by one. */
struct by_span {
	uint64_t access_out, access_in;	/* addresses of the code that makes them */
	const uint8_t *spans;		/* addr and length of struct zs_by_span */
	uint64_t direct;		/* virtual address of the RAM */
	uint64_t judged;		/* whether what runs has been */
};

/* The run of a batch: its limits, and where it is. */
struct run {
	const void *current;		/* operation, a word of the guest's */
	/* what the driver says of each operation, enum phase + 1 or 0: the
	 * first one's, bytes to the next one's, and that of ours */
	const uint8_t *phases;
	uint64_t phases_stride;
	const uint32_t *said;
	const struct expected *expected;	/* by operation ... */
	uint64_t operations;		/* ... of this batch */
	uint64_t budget;		/* of blocks or instructions, a phase */
	int (*stop)(void *uc);
	uint64_t stopped;		/* one of enum reason, or 0 */
	uint64_t phase, operation, pc;
	uint64_t spent;			/* of the budget */
	uint64_t behind;		/* address behind the instruction at pc */
	/* the calls that led here: depth of them, of which CALLS are kept */
	uint64_t depth, call[CALLS], back[CALLS];
};

/* The rows of counts that on_code() and on_memory() fill. */
struct rows {
	uint32_t *row;		/* [operation][phase][COLUMNS], or NULL */
	uint64_t round;		/* the next access is a round of a rep */
	uint64_t zeroing;	/* the next store is a whole block's */
	/* the entry that was stored last, and mask of its halves that were */
	uint64_t last_pte, pte_halves;
	uint64_t buffer_used;	/* bytes of a buffer, up to the last stored */
	/* lines are distinct within an epoch: a phase of an operation */
	uint64_t epoch;
	uint64_t accessed;	/* operation whose access this epoch is, + 1 */
	struct line lines[1 << LINE_BITS];	/* a hash table */
};

/* By what operations are judged, and what was found wrong. */
struct judgement {
	uint64_t promises;		/* mask of 1 << RO_CLEAN and so on */
	uint64_t nr_findings;		/* of which FINDINGS are kept */
	uint64_t last_found[WHATS];	/* operation of the last one, + 1 */
	struct finding findings[FINDINGS];
	uint64_t mapped;		/* maps that have not ended */
	/* a byte of RAM, or ~0, and the last store that changed it */
	uint64_t watch, watched_pc, watched_calls[CALLS];
	/* By byte of the zspage, what was done outside the slot: see loads.c */
	uint32_t *outside;
	uint64_t outside_first, outside_end;	/* bytes not all zero */
	uint64_t outside_of;		/* the operation, + 1 */
	uint64_t written_end;		/* of the bytes written that are set */
	uint8_t slot[SLOT_MAX];		/* as it was before the map */
	uint8_t written[SLOT_MAX];	/* bytes of the buffer, since it was overwritten */
};

/* The page table of the per-CPU windows, which is a device if strict is set. */
struct translations {
	uint64_t pte_size;
	uint64_t pte_present;		/* mask: any of its bits is set */
	uint64_t window;		/* virtual address of the first entry */
	uint64_t window_ptes;		/* entries that a CPU owns */
	uint64_t mmu_shift;
	uint64_t strict;
	uint64_t pte_pc;		/* the last store into the table */
	int (*read_register)(void *uc, int which, void *value);
	int (*control)(void *uc, unsigned int what, ...);
	uint8_t served[LEAF_MAX];	/* what the MMU reads ... */
	uint8_t stored[LEAF_MAX];	/* ... and what the guest has stored */
};

/* What each instruction did. */
struct profile {
	uint64_t *counts;	/* [phase][offset][PROFILE], or NULL */
	const uint64_t *weight;	/* by operation: how often it counts */
};

/*
 * The sequence of accesses, for those who want it whole. One access is a word:
 * see step.h. An access that crosses a page of zsmalloc's is two.
 */
struct sequence {
	uint64_t *step;			/* in the order of the run, or NULL */
	uint64_t *end;			/* by operation: steps up to its last one */
	uint64_t number, max;		/* steps that there are, and fit */
};

struct hooks {
	struct image image;
	struct driver driver;
	struct memory memory;
	struct run run;
	struct profile profile;
	struct blocks blocks;
	struct rows rows;
	struct judgement judgement;
	struct by_span by_span;
	struct translations translations;
	struct sequence sequence;
};

static uint32_t *row_of(const struct hooks *h)
{
	const struct run *run = &h->run;

	return h->rows.row + (run->operation * PHASES + run->phase) * COLUMNS;
}

static const struct expected *expected_of(const struct hooks *h)
{
	return &h->run.expected[h->run.operation];
}

/* A word or page-table entry. */
static uint64_t load(const uint8_t *at, uint64_t size)
{
	return size == 8 ? *(const uint64_t *)at : *(const uint32_t *)at;
}

#endif
