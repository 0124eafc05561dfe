/* SPDX-License-Identifier: GPL-2.0-only */
/* How ARMv7 kernels lay out their locks, and how a CPU finds its own data. */
#ifndef ZS_KERNEL_TARGET_H
#define ZS_KERNEL_TARGET_H

#include "../kernel/locktypes.h"

#define ZK_SPINLOCK	ZK_TICKET
#define ZK_RWLOCK	ZK_ARM

static inline void zk_cpu_init(void)
{
}

/* TPIDRPRW: the per-CPU offset; TPIDRURO: the current task (5.16 and later). */
static inline void zk_cpu_select(u32 cpu)
{
	unsigned long base = zk_config.percpu + cpu * zk_config.percpu_stride;
	unsigned long task = zk_config.task + cpu * zk_config.task_stride;

	asm volatile("mcr p15, 0, %0, c13, c0, 4\n\t"
		     "mcr p15, 0, %1, c13, c0, 3" : : "r" (base), "r" (task)
		     : "memory");
}

#endif
