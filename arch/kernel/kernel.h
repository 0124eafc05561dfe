/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a kernel's own zsmalloc object is linked with, and what the host tells
 * it. zsemu/kernel/guest.py has the same layouts as NumPy types.
 *
 * Everything that depends on the kernel's configuration, such as the layout
 * of struct page, is data in zk_config: the same stand-ins serve every kernel.
 */
#ifndef ZS_KERNEL_H
#define ZS_KERNEL_H

#include "../driver.h"

typedef unsigned char u8;
typedef unsigned short u16;

/* All that the stand-ins know of this kernel; written before anything runs. */
struct zk_config {
	/* struct page: its size, and offsets of what the allocator sets up */
	unsigned long page_bytes;
	unsigned long page_flags;
	unsigned long page_mapping;
	unsigned long page_refcount;
	unsigned long page_type;	/* or _mapcount: -1 in a page of no type */
	unsigned long locked;		/* 1 << PG_locked */
	unsigned long isolated;		/* 1 << PG_isolated */
	/* struct movable_operations: offsets */
	unsigned long isolate;
	unsigned long migrate;
	unsigned long putback;
	unsigned long shrinker_bytes;	/* sizeof(struct shrinker) */
	/* struct scatterlist: its size, and offsets */
	unsigned long sg_bytes;
	unsigned long sg_page;
	unsigned long sg_offset;
	unsigned long sg_length;
	/* where things are, virtual */
	unsigned long memmap;		/* struct page of frame 0 */
	unsigned long linear;		/* physical address 0 */
	unsigned long percpu;		/* CPU 0's area, and bytes to the next */
	unsigned long percpu_stride;
	unsigned long task;		/* CPU 0's current task, and so on */
	unsigned long task_stride;
	unsigned long cpus;
	unsigned long slab;		/* memory for kmalloc() and its like */
	unsigned long slab_pages;
	u32 *slab_state;		/* a word per ZK_UNIT of it: zero at first */
	u32 *frames;			/* stack of free page frames, in random order */
	unsigned long nr_frames;	/* on it now */
	unsigned long all_frames;	/* that it can hold */
	u32 *log;			/* frames allocated, in order */
	unsigned long *handles;		/* by number of the object */
	char *stream;			/* a user's own page: zram's local_copy */
	/* the kernel's interface */
	unsigned long api;		/* enum zk_api */
	unsigned long init;		/* its initcall */
	unsigned long exit;
	unsigned long fail_after;	/* pages that may be out; 0: any number */
	/* two CPUs at once */
	unsigned long parallel;		/* whether they run so */
	unsigned long stack;		/* top of the first one's stack, virtual */
	unsigned long work_func;	/* struct work_struct: offset */
};

enum zk_api {
	ZK_MAP,		/* zs_map_object() and zs_unmap_object(), to 6.14 */
	ZK_READ,	/* zs_obj_read_begin(pool, handle, buffer), 6.15 */
	ZK_READ_LENGTH,	/* the same with the length, January 2026 */
	ZK_SG,		/* zs_obj_read_sg_begin() */
};

/* What a stand-in found wrong. zsemu/kernel/errors.py says it in words. */
enum zk_cause {
	ZK_NOTHING,
	ZK_LOCK_TAKEN,		/* a lock is taken that is held: a deadlock */
	ZK_LOCK_NOT_HELD,	/* a lock is released that is not held */
	ZK_LOCK_LEFT,		/* a lock is held after the operation */
	ZK_LOCK_FREED,		/* memory is freed while a lock in it is held */
	ZK_LOCK_MANY,		/* more locks than the stand-ins can follow */
	ZK_SLAB_DOUBLE,		/* an object is freed that is not allocated */
	ZK_SLAB_FOREIGN,	/* what is freed was never an object */
	ZK_SLAB_CACHE,		/* it is freed into another cache than its own */
	ZK_SLAB_LEFT,		/* a cache is destroyed that has objects */
	ZK_SLAB_LARGE,		/* more than a page is asked for */
	ZK_PAGE_ORDER,		/* not one page is asked for */
	ZK_PAGE_DOUBLE,		/* a page is freed that is free */
	ZK_PAGE_FOREIGN,	/* what is freed is no page of the pool */
	ZK_PAGE_USED,		/* a page is freed with a wrong reference count */
	ZK_PAGE_LOCKED,		/* a page is freed while it is locked */
	ZK_PAGE_MOVABLE,	/* a page is freed that can still be migrated */
	ZK_PAGE_UNLOCKED,	/* a page is unlocked that is not locked */
	ZK_LIST,		/* a list's links do not fit each other */
	ZK_STATISTICS,		/* a zone's counter falls below zero */
	ZK_PRINTS,		/* the kernel prints a message */
	ZK_WARNS,		/* WARN() */
	ZK_DEFERS,		/* work is queued: something could not be locked */
	ZK_NEVER,		/* a function that must never be entered */
	ZK_BAD_RESULT,		/* zs_map_object() and so on gave no address */
};

/* Emulated CPUs: two, and one on which the host looks at what they have done. */
#define ZK_RUNNERS	3
#define ZK_STACK_SHIFT	14	/* bytes of the stack of each, as a power of two */
#define ZK_MAX_TAKEN	16
#define ZK_MAX_ORDERS	32

enum zk_lock_type { ZK_SPIN, ZK_READER, ZK_WRITER };

/* The locks of one emulated CPU. */
struct zk_locks {
	unsigned long waits;	/* for this one; or 0 */
	unsigned long ticket;	/* of a ticket lock that it waits for */
	unsigned long nr_taken;
	struct zk_taken {
		unsigned long lock, type, ticket;
	} taken[ZK_MAX_TAKEN];
	/* Taken while another was held: the host compares this for two CPUs. */
	unsigned long nr_orders;
	struct zk_order {
		unsigned long outer, inner;
		unsigned long gate;	/* held around both, by nobody else; or 0 */
	} order[ZK_MAX_ORDERS];
};

#define ZK_MAX_ERRORS	20

struct zk_error {
	unsigned long cause;
	unsigned long operation;	/* index in the batch */
	unsigned long object;		/* address of the lock, page, ... */
	unsigned long caller;		/* return address of the stand-in */
};

struct zk_state {
	unsigned long nr_errors;
	struct zk_error error[ZK_MAX_ERRORS];
	unsigned long pages_out;	/* pages allocated and not freed */
	unsigned long objects_out;	/* slab objects, caches and strings */
	unsigned long logged;		/* entries of the log */
	long statistics;		/* NR_ZSPAGES, by the calls */
	unsigned long pool;		/* struct zs_pool * */
	unsigned long movable;		/* the movable_operations, once known */
	unsigned long work;		/* struct work_struct * that is queued */
};

enum zk_kind {
	/* as in a trace: */
	ZK_ALLOCATE,
	ZK_FREE,
	ZK_READS,
	ZK_WRITES,
	ZK_UPDATES,
	/* and what the allocator does beside: */
	ZK_INIT,	/* the initcall */
	ZK_CREATE,	/* zs_create_pool() */
	ZK_DESTROY,
	ZK_EXIT,
	ZK_COMPACT,	/* zs_compact(); the result is the number of pages freed */
	ZK_MIGRATE,	/* the page of the frame in `handle` */
	ZK_SETTLE,	/* when nobody else runs: queued work, locks that are left */
};

#define ZK_GONE		(~1U)	/* of a migration: free, or locked by another */

struct zk_op {
	u32 kind;
	u32 cpu;
	u32 object;
	u32 length;
	char *caller;
	char *update;
	u32 shape;
	u32 mode;
	/* written by the driver: */
	unsigned long handle;
	unsigned long obj;	/* the word that the handle points to */
	unsigned long address;	/* of the payload */
	u32 logged;		/* entries of the log afterwards */
	u32 result;
} __attribute__((aligned(64)));

struct zk_batch {
	struct zk_op *ops;
	unsigned long first, last;
	unsigned long current;	/* the one being done; last when all are */
	unsigned long stop_at;	/* as zs_batch has it */
	unsigned char *known;	/* by shape; shape 0 never becomes known */
};

extern struct zk_config zk_config;
extern struct zk_state zk_state;
extern struct zk_batch zk_batch;
extern struct zk_batch *zk_next_batch, *zk_running[ZK_RUNNERS];
extern struct zk_locks zk_locks[ZK_RUNNERS];

/* Kept apart by address: the driver is nobody's cost, stand-ins are ours. */
#define __driver	__attribute__((section(".text.driver"), noinline))
#define __standin	__attribute__((section(".text.standin"), noinline))
/* Where a CPU waits for another. The rest of a stand-in is one step of a schedule. */
#define __waits	__attribute__((section(".text.standin.waits"), noinline))
#define __weak	__attribute__((weak))
#define __percpu_data	__attribute__((section(".data..percpu")))

#define zk_report(cause, object)					\
	zk_complain(cause, (unsigned long)(object),			\
		    (unsigned long)__builtin_return_address(0))

void zk_complain(enum zk_cause cause, unsigned long object,
		 unsigned long caller);

/* Which of the emulated CPUs this is: each has a stack of its own. */
static inline u32 zk_me(void)
{
	unsigned long at = (unsigned long)__builtin_frame_address(0);

	return zk_config.parallel ? (zk_config.stack - at) >> ZK_STACK_SHIFT : 0;
}

/* locks.c */
void zk_locks_freed(unsigned long start, unsigned long bytes);
void zk_locks_left(void);

/* pages.c */
unsigned long zk_page(unsigned long frame);
int zk_lock_page(unsigned long page);
char *zk_page_address(unsigned long page);
unsigned long zk_get_page(void);
unsigned long zk_put_page(unsigned long page, unsigned long caller);

/* slab.c */
void *zk_allocate(unsigned long bytes, u32 gfp, u32 cache);

static inline unsigned long *zk_word(unsigned long base, unsigned long offset)
{
	return (unsigned long *)(base + offset);
}

#endif /* ZS_KERNEL_H */
