/* SPDX-License-Identifier: GPL-2.0-only */
/* How arm64 kernels lay out their locks, and how a CPU finds its own data. */
#ifndef ZS_KERNEL_TARGET_H
#define ZS_KERNEL_TARGET_H

#include "../kernel/locktypes.h"

#define ZK_SPINLOCK	ZK_QUEUED
#define ZK_RWLOCK	ZK_QUEUED

static inline void zk_cpu_init(void)
{
}

/* SP_EL0 holds the current task: arch/arm64/include/asm/current.h. */
static inline void zk_cpu_select(u32 cpu)
{
	unsigned long base = zk_config.percpu + cpu * zk_config.percpu_stride;
	unsigned long task = zk_config.task + cpu * zk_config.task_stride;

	asm volatile("msr tpidr_el1, %0\n\t"
		     "msr sp_el0, %1" : : "r" (base), "r" (task) : "memory");
}

#endif
