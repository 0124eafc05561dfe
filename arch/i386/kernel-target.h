/* SPDX-License-Identifier: GPL-2.0-only */
/* How i386 kernels lay out their locks, and how a CPU finds its own data. */
#ifndef ZS_KERNEL_TARGET_H
#define ZS_KERNEL_TARGET_H

#include "../kernel/locktypes.h"

#define ZK_SPINLOCK	ZK_QUEUED
#define ZK_RWLOCK	ZK_QUEUED

/* Intel SDM volume 3, section 3.4.5: flat, present, 4 KiB granularity. */
#define ZK_CODE		0x00cf9a000000ffffULL
#define ZK_DATA		0x00cf92000000ffffULL

/* Nothing, code, data, per-CPU data. */
static unsigned long long zk_gdt[4] __attribute__((aligned(8)));

/*
 * With a table of descriptors all segments must come from it, or the stack
 * pointer is cut to 16 bits.
 */
static inline void zk_cpu_init(void)
{
	struct {
		u16 limit;
		unsigned long base;
	} __attribute__((packed)) pointer = { sizeof(zk_gdt) - 1,
					      (unsigned long)zk_gdt };

	zk_gdt[1] = ZK_CODE;
	zk_gdt[2] = ZK_DATA;
	asm volatile("lgdt %0\n\t"
		     "ljmp $8, $1f\n"
		     "1:\n\t"
		     "mov %1, %%ds\n\t"
		     "mov %1, %%es\n\t"
		     "mov %1, %%ss"
		     : : "m" (pointer), "r" (16) : "memory");
}

static inline void zk_cpu_select(u32 cpu)
{
	unsigned long long base = zk_config.percpu + cpu * zk_config.percpu_stride;

	zk_gdt[3] = ZK_DATA | (base & 0xffffff) << 16 | (base >> 24) << 56;
	asm volatile("mov %0, %%fs" : : "r" (24) : "memory");
}

#endif
