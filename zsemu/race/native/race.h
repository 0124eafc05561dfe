/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the native side of zsemu race shares with Python: one struct race, with
 * its two CPUs. zsemu/race/native_structures.py has the same fields in the same
 * order, and a test compares the two.
 */
#ifndef ZSEMU_RACE_H
#define ZSEMU_RACE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../guest/native/findings.h"
#include "../../guest/native/phases.h"
#include "../../guest/native/places.h"

#define MAX_BLOCKS	512	/* of a schedule */
#define OUTCOMES	32768	/* distinct final states that are kept */
#define LEAF_USED	1024	/* bytes of the windows' page table in use */
#define FAILS		(1ULL << 32)	/* in a verdict: it is a failure */
#define WAITS		64	/* rounds after which a CPU is taken to wait */
#define TO_END		(~0ULL)	/* of a block: the CPU runs to its end */

/* Kinds of instruction, as zsemu/guest/native/hooks.h has them. */
enum kind { PLAIN, STRING, STORE_EXCLUSIVE, BLOCK_ZERO, TLB };
#define KIND		0x3f
/* Which of the four kinds of invalidate: TLB + these. */
enum { PAGE_LOCAL, PAGE_BROADCAST, ALL_LOCAL, ALL_BROADCAST };

/* How a CPU has ended. */
enum end { RUNS, DONE, FAULT, HALTS, ENDLESS };

/* What a search does about states that it has seen before. */
enum mode { BOUNDED, EXHAUSTIVE };

/* A part of a schedule: a CPU executes so many instructions. */
struct block {
	uint64_t cpu;
	uint64_t instructions;
};

/* An access to memory that the other CPU accesses, too. */
struct event {
	uint64_t before;	/* instructions that the CPU executed before */
	uint64_t offset;	/* in RAM */
	uint32_t size, store;
	uint64_t pc;
};

/* What a store has overwritten. */
struct undo {
	uint64_t offset, old, size;
};

/* An access of a schedule that is traced. cpu is 2 while the host looks. */
struct step {
	uint64_t cpu, pc, before, offset, size, store, value, shared;
};

/* An access to the pool that may be outside the slot. */
struct outside {
	uint64_t at;		/* byte of the zspage */
	uint64_t offset;	/* in RAM */
	uint32_t size, store;
	uint64_t phase, pc;
};

/* A final state that was reached. */
struct outcome {
	uint64_t key;		/* hash of the state; 0: unused */
	uint64_t verdict;	/* what the host said of it; 0: fine */
	uint64_t number;	/* schedules that end in it */
	uint64_t length;	/* blocks of the simplest of them ... */
	uint64_t steps;		/* ... and instructions up to its last switch */
};

struct race;

struct cpu {
	struct race *race;
	void *uc;
	uint64_t number;	/* 0 or 1 */
	uint64_t pc;
	uint64_t count;		/* instructions executed */
	uint64_t step;		/* of those, before the step that it is in */
	uint64_t inside;	/* it is in code that is not divided */
	uint64_t until;		/* at which count it stops */
	uint64_t stopped;	/* it did */
	uint64_t ended;		/* enum end */
	uint64_t first;		/* count with which it began */
	uint64_t read;		/* hash of what it has loaded that is shared */
	uint64_t last;		/* pc of the instruction that executes */
	uint64_t fault;		/* Unicorn's error */
	/* Since it last changed memory: first event, see on_memory() for these. */
	uint64_t calm, wait_pc, wait_offset, waited, passed, next_mark;
	uint64_t phase, operation;	/* that it is in */
	/* Its part of race.outside, and of that the operation's, + 1. */
	uint64_t nr_outside, outside_first, outside_of;
	struct finding stray;	/* the first; its pc is 0 if there is none */
	uint8_t *served;	/* what its MMU reads: LEAF_USED bytes */
};

#define ENTRIES		5	/* settle, map, access_out, access_in, unmap */

/* Where the driver's own code lies, and what it calls. */
struct entries {
	uint64_t driver, driver_end;
	uint64_t entry[ENTRIES];	/* or 0 */
};

struct race {
	struct cpu cpu[2];
	/* the code */
	uint64_t text, text_size, stop_address;
	uint64_t step_text, step_size;	/* code that is not divided */
	const uint8_t *kind;		/* by offset in the text */
	const uint16_t *operand;	/* of an invalidate: its register ... */
	const int64_t *displacement;	/* ... and what is added to it ... */
	uint64_t operand_shift;		/* ... after this left shift */
	uint64_t word_bits, pc_register;
	struct entries entries;
	/* memory; offsets are from the start of the RAM */
	struct memory memory;
	uint8_t *accessed;		/* by byte: who has loaded, stored */
	uint64_t pool, pool_end;
	/* the windows' page table, and what it maps */
	uint64_t leaf_size, pte_size, pte_present;
	uint64_t window, mmu_shift;
	uint64_t entry_first[2];	/* bytes of it that are a CPU's own ... */
	uint64_t entry_end[2];		/* ... up to these; see on_entry() */
	/* by what accesses are judged: by operation; or NULL, if none is */
	const struct expected *expected;
	uint64_t operations;
	uint64_t current[2];	/* the word that says which a CPU is in */
	struct outside *outside[2];
	uint64_t max_outside[2];
	uint8_t *stored;		/* room for judge_outside(), all zero */
	/* how a search goes */
	uint64_t budget;	/* instructions of a CPU in one block */
	uint64_t limit;		/* schedules after which a search gives up */
	uint64_t best;		/* fewest steps to the last switch of a failure */
	uint64_t nested;	/* CPU 1 interrupts: it runs as one block */
	uint64_t one_tlb;	/* both are one CPU, one after the other */
	uint64_t after;		/* CPU 1 may begin once CPU 0 has come so far */
	uint64_t mode;		/* enum mode */
	uint64_t quiet;		/* the host looks: nothing is noted */
	uint64_t (*judge)(void);
	/* Unicorn's functions */
	int (*emu_start)(void *, uint64_t, uint64_t, uint64_t, uint64_t);
	int (*emu_stop)(void *);
	int (*reg_read)(void *, int, void *);
	int (*ctl)(void *, unsigned int, ...);
	int (*context_alloc)(void *, void **);
	int (*context_free)(void *);
	int (*context_save)(void *, void *);
	int (*context_restore)(void *, void *);
	/* what came of it */
	uint64_t schedules, pruned, gave_up, grown, entries_shared;
	uint64_t points[2];		/* at most, of one CPU in one block */
	struct outcome *outcome;	/* [OUTCOMES], a hash table */
	struct block *simplest;		/* [OUTCOMES][MAX_BLOCKS]: schedules */
	uint64_t nr_outcomes;
	/* hashes: of all memory but stacks, and without scratch */
	uint64_t state, result;
	struct undo *log;
	uint64_t nr_log, max_log;
	struct event *event;
	uint64_t nr_events, max_events;
	struct step *step;		/* a trace, or NULL */
	uint64_t nr_steps, max_steps;
	uint64_t *seen;			/* states, a hash table; or NULL */
	uint64_t nr_seen, seen_mask;
	struct block schedule[MAX_BLOCKS];
	uint64_t length;
	struct snapshot *snapshot[MAX_BLOCKS];
	uint64_t random;
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ULL;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ULL;
	return x ^ x >> 32;
}

#endif
