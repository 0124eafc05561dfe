// SPDX-License-Identifier: GPL-2.0-only
/*
 * The locks' stand-ins. There is one CPU at a time, so a lock that is found
 * taken is a deadlock. The words have the kernel's layout, because some
 * architectures inline the unlock: kernel-target.h of the target says which.
 *
 * Which locks an operation has taken is kept, and each must be free again when
 * the operation ends, whoever released it.
 */
#include "kernel.h"
#include "kernel-target.h"

#define MAX_TAKEN	64

/* include/asm-generic/qspinlock_types.h, qrwlock.h */
#define QUEUED_LOCKED	1U
#define QUEUED_WRITER	0xffU
#define QUEUED_WAITING	0x1ffU
#define QUEUED_READER	0x200U
/* include/asm-generic/spinlock.h; arch/arm/include/asm/spinlock.h */
#define TICKET_NEXT	0x10000U
#define ARM_WRITER	0x80000000U

enum type { SPIN, RW };

static struct {
	u32 *lock;
	enum type type;
} taken[MAX_TAKEN];
static u32 nr_taken;

static __standin int is_held(const u32 *lock, enum type type)
{
	if (type == SPIN && ZK_SPINLOCK == ZK_TICKET)
		return *lock >> 16 != (*lock & 0xffff);
	return *lock != 0;
}

static __standin void take(u32 *lock, enum type type, unsigned long caller)
{
	u32 i;

	for (i = 0; i < nr_taken; i++)
		if (taken[i].lock == lock)
			return;
	/* What has been released makes room. */
	for (i = 0; nr_taken == MAX_TAKEN && i < nr_taken; i++)
		if (!is_held(taken[i].lock, taken[i].type))
			taken[i] = taken[--nr_taken];
	if (nr_taken == MAX_TAKEN) {
		zk_complain(ZK_LOCK_MANY, (unsigned long)lock, caller);
		return;
	}
	taken[nr_taken].lock = lock;
	taken[nr_taken++].type = type;
}

/* Nothing may be held in memory that is freed. */
__standin void zk_locks_freed(unsigned long start, unsigned long bytes)
{
	u32 i;

	for (i = 0; i < nr_taken;) {
		u32 *lock = taken[i].lock;

		if ((unsigned long)lock - start >= bytes) {
			i++;
			continue;
		}
		if (is_held(lock, taken[i].type))
			zk_report(ZK_LOCK_FREED, lock);
		taken[i] = taken[--nr_taken];
	}
}

/* After an operation nothing may be held. */
__driver void zk_locks_left(void)
{
	while (nr_taken) {
		nr_taken--;
		if (is_held(taken[nr_taken].lock, taken[nr_taken].type))
			zk_report(ZK_LOCK_LEFT, taken[nr_taken].lock);
	}
}

__standin void _raw_spin_lock(u32 *lock)
{
	if (is_held(lock, SPIN))
		zk_report(ZK_LOCK_TAKEN, lock);
	if (ZK_SPINLOCK == ZK_TICKET)
		__atomic_fetch_add(lock, TICKET_NEXT, __ATOMIC_ACQUIRE);
	else
		__atomic_store_n(lock, QUEUED_LOCKED, __ATOMIC_SEQ_CST);
	take(lock, SPIN, (unsigned long)__builtin_return_address(0));
}

__standin void _raw_spin_unlock(u32 *lock)
{
	if (!is_held(lock, SPIN))
		zk_report(ZK_LOCK_NOT_HELD, lock);
	if (ZK_SPINLOCK == ZK_TICKET)
		__atomic_store_n((u16 *)lock, (u16)(*lock + 1), __ATOMIC_RELEASE);
	else
		__atomic_store_n((u8 *)lock, 0, __ATOMIC_RELEASE);
}

__standin void _raw_read_lock(u32 *lock)
{
	u32 writer = ZK_RWLOCK == ZK_ARM ? ARM_WRITER : QUEUED_WAITING;

	if (*lock & writer)
		zk_report(ZK_LOCK_TAKEN, lock);
	__atomic_fetch_add(lock, ZK_RWLOCK == ZK_ARM ? 1 : QUEUED_READER,
			   __ATOMIC_ACQUIRE);
	take(lock, RW, (unsigned long)__builtin_return_address(0));
}

__standin void _raw_read_unlock(u32 *lock)
{
	u32 writer = ZK_RWLOCK == ZK_ARM ? ARM_WRITER : QUEUED_WAITING;

	if (!*lock || *lock & writer)
		zk_report(ZK_LOCK_NOT_HELD, lock);
	__atomic_fetch_sub(lock, ZK_RWLOCK == ZK_ARM ? 1 : QUEUED_READER,
			   __ATOMIC_RELEASE);
}

__standin void _raw_write_lock(u32 *lock)
{
	if (*lock)
		zk_report(ZK_LOCK_TAKEN, lock);
	__atomic_store_n(lock, ZK_RWLOCK == ZK_ARM ? ARM_WRITER : QUEUED_WRITER,
			 __ATOMIC_SEQ_CST);
	take(lock, RW, (unsigned long)__builtin_return_address(0));
}

__standin void _raw_write_unlock(u32 *lock)
{
	if (*lock != (ZK_RWLOCK == ZK_ARM ? ARM_WRITER : QUEUED_WRITER))
		zk_report(ZK_LOCK_NOT_HELD, lock);
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
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
