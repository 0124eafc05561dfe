/* SPDX-License-Identifier: GPL-2.0-only */
/* How x86-64 kernels lay out their locks, and how a CPU finds its own data. */
#ifndef ZS_KERNEL_TARGET_H
#define ZS_KERNEL_TARGET_H

#include "../kernel/locktypes.h"

#define ZK_SPINLOCK	ZK_QUEUED
#define ZK_RWLOCK	ZK_QUEUED

#define MSR_GS_BASE	0xc0000101U

static inline void zk_cpu_init(void)
{
}

/* Per-CPU variables are linked at 0: the base is the CPU's own area. */
static inline void zk_cpu_select(u32 cpu)
{
	unsigned long base = zk_config.percpu + cpu * zk_config.percpu_stride;

	asm volatile("wrmsr" : : "c" (MSR_GS_BASE), "a" ((u32)base),
		     "d" ((u32)(base >> 32)));
}

#endif
