// SPDX-License-Identifier: GPL-2.0-only
/*
 * The locks' stand-ins. Where there is one CPU at a time, a lock that is found
 * taken is a deadlock; where there are two, a CPU waits for it. The words have
 * the kernel's layout, because some architectures inline the unlock, and the
 * question whether somebody waits: kernel-target.h of the target says which.
 *
 * Each CPU's locks are kept, and each must be free again when the operation
 * ends, whoever released it. Which lock was taken inside which is kept, too.
 */
#include "kernel.h"
#include "kernel-target.h"

/* include/asm-generic/qspinlock_types.h, qrwlock.h */
#define QUEUED_LOCKED	1U
#define QUEUED_HELD	0xffU
#define QUEUED_PENDING	0x100U
#define QUEUED_WRITER	0xffU
#define QUEUED_WAITING	0x100U
#define QUEUED_READER	0x200U
/* include/asm-generic/spinlock.h; arch/arm/include/asm/spinlock.h */
#define TICKET_NEXT	0x10000U
#define TICKET_OWNER	0xffffU
#define ARM_WRITER	0x80000000U

#define RW_WRITER	(ZK_RWLOCK == ZK_ARM ? ARM_WRITER : QUEUED_WRITER)
#define RW_WAITING	(ZK_RWLOCK == ZK_ARM ? 0 : QUEUED_WAITING)
#define RW_READER	(ZK_RWLOCK == ZK_ARM ? 1 : QUEUED_READER)

struct zk_locks zk_locks[ZK_RUNNERS];

/* Whether anybody holds a lock. */
static __standin int is_held(const u32 *lock, unsigned long type)
{
	if (type != ZK_SPIN)
		return (*lock & ~RW_WAITING) != 0;
	if (ZK_SPINLOCK == ZK_TICKET)
		return *lock >> 16 != (*lock & TICKET_OWNER);
	return (*lock & QUEUED_HELD) != 0;
}

/*
 * Whether this CPU still holds what it has taken. Where it is released inline,
 * the word tells: a ticket has a number, and a writer is alone.
 */
static __standin int is_mine(const struct zk_taken *one)
{
	const u32 *lock = (const u32 *)one->lock;

	if (one->type == ZK_SPIN && ZK_SPINLOCK == ZK_TICKET)
		return (*lock & TICKET_OWNER) == one->ticket && is_held(lock, ZK_SPIN);
	if (one->type == ZK_SPIN)
		return is_held(lock, ZK_SPIN);
	return ((*lock & RW_WRITER) == RW_WRITER) == (one->type == ZK_WRITER) &&
	       is_held(lock, one->type);
}

static __standin void forget(struct zk_locks *own, u32 i)
{
	for (own->nr_taken--; i < own->nr_taken; i++)
		own->taken[i] = own->taken[i + 1];
}

/* Note that a lock is taken while others are held. */
static __standin void order(struct zk_locks *own, unsigned long lock)
{
	unsigned long gate, outer, i, k;

	for (i = 0; i < own->nr_taken; i++) {
		outer = own->taken[i].lock;
		gate = i && own->taken[0].type != ZK_READER ? own->taken[0].lock : 0;
		for (k = 0; k < own->nr_orders; k++)
			if (own->order[k].outer == outer &&
			    own->order[k].inner == lock &&
			    own->order[k].gate == gate)
				break;
		if (k == own->nr_orders && k < ZK_MAX_ORDERS) {
			own->order[k].outer = outer;
			own->order[k].inner = lock;
			own->order[k].gate = gate;
			own->nr_orders++;
		}
	}
}

/* A lock is this CPU's from now on. */
static __standin void take(u32 *lock, enum zk_lock_type type,
			   unsigned long caller)
{
	struct zk_locks *own = &zk_locks[zk_me()];
	u32 i;

	own->waits = 0;
	for (i = 0; i < own->nr_taken;) {
		if (is_mine(&own->taken[i]) &&
		    own->taken[i].lock != (unsigned long)lock)
			i++;
		else
			forget(own, i);
	}
	if (own->nr_taken == ZK_MAX_TAKEN) {
		zk_complain(ZK_LOCK_MANY, (unsigned long)lock, caller);
		return;
	}
	if (zk_config.parallel)
		order(own, (unsigned long)lock);
	own->taken[own->nr_taken].lock = (unsigned long)lock;
	own->taken[own->nr_taken].type = type;
	own->taken[own->nr_taken++].ticket = own->ticket;
}

/* A lock is released that must be this CPU's; where it is inlined, nobody calls. */
static __standin void drop(u32 *lock, int held, unsigned long caller)
{
	struct zk_locks *own = &zk_locks[zk_me()];
	u32 i;

	for (i = 0; i < own->nr_taken; i++)
		if (own->taken[i].lock == (unsigned long)lock)
			break;
	if (i < own->nr_taken)
		forget(own, i);
	else
		held = 0;
	if (!held)
		zk_complain(ZK_LOCK_NOT_HELD, (unsigned long)lock, caller);
}

/* Nothing may be held in memory that is freed. */
__standin void zk_locks_freed(unsigned long start, unsigned long bytes)
{
	struct zk_locks *own = &zk_locks[zk_me()];
	u32 i;

	for (i = 0; i < own->nr_taken;) {
		if (own->taken[i].lock - start >= bytes) {
			i++;
			continue;
		}
		if (is_mine(&own->taken[i]))
			zk_report(ZK_LOCK_FREED, own->taken[i].lock);
		forget(own, i);
	}
}

/* After an operation nothing may be held. */
__driver void zk_locks_left(void)
{
	u32 i;

	for (i = 0; i < ZK_RUNNERS; i++) {
		struct zk_locks *own = &zk_locks[i];

		while (own->nr_taken) {
			own->nr_taken--;
			if (is_mine(&own->taken[own->nr_taken]))
				zk_report(ZK_LOCK_LEFT,
					  own->taken[own->nr_taken].lock);
		}
	}
}

/*
 * A lock that is taken: with one CPU a deadlock, of which it is told before
 * things go on. Returns whether the CPU has to wait.
 */
static __standin int must_wait(u32 *lock, unsigned long caller)
{
	if (zk_config.parallel) {
		zk_locks[zk_me()].waits = (unsigned long)lock;
		return 1;
	}
	zk_complain(ZK_LOCK_TAKEN, (unsigned long)lock, caller);
	return 0;
}

/*
 * Each attempt is one step of a schedule, so it needs no atomic instructions.
 * As in the kernel, a lock for which somebody waits shows that, and whoever
 * waits is first.
 */
static __standin int ticket_try(u32 *lock, unsigned long caller)
{
	struct zk_locks *own = &zk_locks[zk_me()];

	if (own->waits != (unsigned long)lock) {
		own->ticket = *lock >> 16;
		*lock += TICKET_NEXT;
	}
	if ((*lock & TICKET_OWNER) != own->ticket && must_wait(lock, caller))
		return 0;
	take(lock, ZK_SPIN, caller);
	return 1;
}

static __standin int queued_try(u32 *lock, unsigned long caller)
{
	int first = zk_locks[zk_me()].waits == (unsigned long)lock;

	if (*lock & (QUEUED_HELD | (first ? 0 : QUEUED_PENDING)) &&
	    must_wait(lock, caller)) {
		*lock |= QUEUED_PENDING;
		return 0;
	}
	*lock = QUEUED_LOCKED;
	take(lock, ZK_SPIN, caller);
	return 1;
}

/* The second word of a queued lock is that of its queue. */
static __standin int rw_try(u32 *lock, enum zk_lock_type type,
			    unsigned long caller)
{
	int first = zk_locks[zk_me()].waits == (unsigned long)lock;
	u32 others = type == ZK_WRITER ? ~RW_WAITING : RW_WRITER;

	if (*lock & (others | (first ? 0 : RW_WAITING)) &&
	    must_wait(lock, caller)) {
		if (ZK_RWLOCK == ZK_QUEUED) {
			*lock |= type == ZK_WRITER ? RW_WAITING : 0;
			lock[1] = 1;
		}
		return 0;
	}
	if (first && ZK_RWLOCK == ZK_QUEUED)
		lock[1] = 0;
	if (type == ZK_WRITER)
		*lock = RW_WRITER;
	else
		*lock += RW_READER;
	take(lock, type, caller);
	return 1;
}

static __waits void spin_lock(u32 *lock, unsigned long caller)
{
	while (!(ZK_SPINLOCK == ZK_TICKET ? ticket_try(lock, caller) :
					    queued_try(lock, caller)))
		;
}

static __waits void rw_lock(u32 *lock, enum zk_lock_type type,
			    unsigned long caller)
{
	while (!rw_try(lock, type, caller))
		;
}

__waits void _raw_spin_lock(u32 *lock)
{
	spin_lock(lock, (unsigned long)__builtin_return_address(0));
}

__waits void _raw_read_lock(u32 *lock)
{
	rw_lock(lock, ZK_READER, (unsigned long)__builtin_return_address(0));
}

__waits void _raw_write_lock(u32 *lock)
{
	rw_lock(lock, ZK_WRITER, (unsigned long)__builtin_return_address(0));
}

/* What is inlined of a lock calls these if the lock is not free. */
__waits void queued_spin_lock_slowpath(u32 *lock, u32 value)
{
	spin_lock(lock, (unsigned long)__builtin_return_address(0));
}

static __standin void read_back_off(u32 *lock)
{
	*lock -= QUEUED_READER;
}

__waits void queued_read_lock_slowpath(u32 *lock)
{
	read_back_off(lock);
	rw_lock(lock, ZK_READER, (unsigned long)__builtin_return_address(0));
}

__waits void queued_write_lock_slowpath(u32 *lock)
{
	rw_lock(lock, ZK_WRITER, (unsigned long)__builtin_return_address(0));
}

__standin void _raw_spin_unlock(u32 *lock)
{
	drop(lock, is_held(lock, ZK_SPIN),
	     (unsigned long)__builtin_return_address(0));
	if (ZK_SPINLOCK == ZK_TICKET)
		*(u16 *)lock += 1;
	else
		*(u8 *)lock = 0;
}

__standin void _raw_read_unlock(u32 *lock)
{
	drop(lock, is_held(lock, ZK_READER) && (*lock & RW_WRITER) != RW_WRITER,
	     (unsigned long)__builtin_return_address(0));
	*lock -= RW_READER;
}

__standin void _raw_write_unlock(u32 *lock)
{
	drop(lock, (*lock & RW_WRITER) == RW_WRITER,
	     (unsigned long)__builtin_return_address(0));
	*lock &= ~RW_WRITER;
}

/* With CONFIG_DEBUG_SPINLOCK only; the rest of the structure is not looked at. */
__standin void __raw_spin_lock_init(u32 *lock, const char *name, void *key,
				    short inner)
{
	lock[0] = 0;
}

__standin void __rwlock_init(u32 *lock, const char *name, void *key)
{
	lock[0] = lock[1] = 0;
}
