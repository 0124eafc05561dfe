/* SPDX-License-Identifier: GPL-2.0-only */
/* How RISC-V kernels lay out their locks, and how a CPU finds its own data. */
#ifndef ZS_KERNEL_TARGET_H
#define ZS_KERNEL_TARGET_H

#include "../kernel/locktypes.h"

#define ZK_SPINLOCK	ZK_TICKET	/* asm-generic/ticket_spinlock.h */
#define ZK_RWLOCK	ZK_QUEUED

static inline void zk_cpu_init(void)
{
}

/* tp holds the current task, and that the number of its CPU. */
static inline void zk_cpu_select(u32 cpu)
{
	unsigned long task = zk_config.task + cpu * zk_config.task_stride;

	asm volatile("mv tp, %0" : : "r" (task) : "memory");
}

#endif
