/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host writes into guest memory and reads from it. zsemu/guest.py
 * has the same layouts as NumPy types.
 */
#ifndef ZS_DRIVER_H
#define ZS_DRIVER_H

#include "zs.h"

/* A piece of the address space that the guest maps for itself at boot. */
struct zs_range {
	unsigned long virt;
	unsigned long phys;
	unsigned long pages;	/* of MMU_PAGE_SHIFT */
	unsigned long run;	/* pages mapped ... */
	unsigned long skip;	/* ... and then left out, over and over */
	unsigned long write;
	unsigned long exec;
};

#define ZS_MAX_RANGES	16

struct zs_boot {
	unsigned long stack_phys;	/* top of the stack, before ... */
	unsigned long stack_virt;	/* ... and after paging is on */
	unsigned long root;		/* top table, zeroed, physical */
	unsigned long tables;		/* zeroed pages for the others */
	unsigned long window;		/* virtual: one leaf table's worth */
	unsigned long window_leaf;	/* that table, zeroed, physical */
	unsigned long nr_ranges;
	struct zs_range range[ZS_MAX_RANGES];
};

enum zs_kind {
	ZS_ALLOCATE,
	ZS_FREE,
	ZS_READ,
	ZS_WRITE,
	ZS_UPDATE,
	/* Not in a trace; what the allocator does by itself, piece by piece: */
	ZS_SETTLE,	/* zs_settle() and nothing else */
	ZS_MOVE,	/* compaction: the raw slot to another, the handle with it */
	ZS_MIGRATE,	/* page loc.page of the zspage to the frame in handle */
	/* and a map that lasts: */
	ZS_HOLD,	/* map, and look at what is readable */
	ZS_RELEASE,	/* use it, and unmap */
	ZS_ACCESS,	/* a map's access only, as if the payload had been found at span */
};

#define ZS_OPENS	(1U << 0)	/* this allocation creates its zspage */
#define ZS_CHECK	(1U << 1)	/* look at the header before the read */
#define ZS_EACH		(1U << 2)	/* the host looks at each of the user's accesses */

/* Which code of others runs: written by the driver, read by the host's hooks. */
enum zs_phase {
	ZS_NO_PHASE,
	ZS_IN_SETTLE,
	ZS_IN_MAP,
	ZS_IN_ACCESS,
	ZS_IN_UNMAP,
};

enum zs_error {
	ZS_OK,
	ZS_BAD_SPANS,	/* not 1 or 2, or not of loc.length bytes together */
};

struct zs_op {
	u32 kind;
	u32 cpu;
	struct zs_location loc;
	struct zs_location to;	/* of a move */
	char *caller;		/* the caller's buffer */
	char *update;		/* new content of an update; afterwards what was seen */
	unsigned long handle;	/* what the header holds, tag bit included */
	u32 shape;
	u32 flags;
	u32 mode;		/* of a map */
	u32 held;		/* which of the lasting maps */
	/* written by the driver: */
	unsigned long found;	/* the word at the slot's first bytes */
	unsigned long span;	/* of a map: where its only span is, 0 if it has two */
	u32 state;		/* hash of the page words that matter, before the operation */
	u32 error;
	u32 phase;		/* enum zs_phase */
} __attribute__((aligned(64)));

struct zs_batch {
	struct zs_op *ops;
	unsigned long first, last;	/* those to do */
	unsigned long current;		/* the one being done; last when all are */
	unsigned long stop_at;
	unsigned char *known;		/* by shape: known with all words zero; or NULL */
	u32 *known_state;		/* pairs (shape, state), open addressing */
	unsigned long known_mask;	/* pairs in that table, less one */
	unsigned long nr_known;		/* pairs in use */
	struct zs_area *area;		/* of CPU 0 */
	unsigned long area_stride;	/* bytes to the next CPU's */
};

/*
 * By what the host judges the user's accesses, if not one by one. It does so of
 * an access whose spans lie in these parts of the direct map, where an address
 * says what is there; elsewhere, and for ZS_EACH, it looks at each one.
 */
struct zs_by_span {
	unsigned long wanted;
	/* addresses in the direct map */
	unsigned long buffers, buffers_size;	/* of the CPUs */
	unsigned long callers, callers_size;	/* buffers of callers */
	unsigned long pool, pool_size;
	/* written by the driver: the spans of the access that is about to begin */
	unsigned long addr[2];
	unsigned long length[2];
	unsigned long each;		/* of an operation that is ZS_EACH */
};

/* What zs_driver() stops before: nothing, or operations of shapes that ... */
#define ZS_STOP_NEW	0	/* ... are not known */
#define ZS_STOP_KNOWN	1	/* ... are; others are known from now on */
#define ZS_STOP_NEVER	2
#define ZS_MAX_HELD	8

extern struct zs_boot zs_boot_info;
extern struct zs_batch zs_batch;
extern struct zs_batch *zs_next_batch;
extern struct zs_by_span zs_by_span;

#endif /* ZS_DRIVER_H */
