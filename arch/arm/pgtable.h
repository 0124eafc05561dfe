/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ARMv7-A, short descriptors, 4 KiB pages: Arm ARM (DDI 0406C), B3.5.
 * Linux keeps a second, software copy of each entry beside the hardware's
 * (arch/arm/include/asm/pgtable-2level.h); only the hardware's is here.
 */
#ifndef ZS_PGTABLE_H
#define ZS_PGTABLE_H

typedef unsigned long pte_t;

#define MMU_PAGE_SHIFT		12
#define PGTABLE_LEVELS		2
#define PGTABLE_SHIFTS		{ 20, 12 }
#define PGTABLE_BITS		{ 12, 8 }

#define PTE_XN			(1UL << 0)
#define PTE_SMALL_PAGE		(1UL << 1)
#define PTE_CACHED		(3UL << 2)
#define PTE_PRIVILEGED		(1UL << 4)	/* AP[0], SCTLR.AFE = 0 */
#define PTE_WRITEALLOC		(1UL << 6)	/* TEX[0] */
#define PTE_RDONLY		(1UL << 9)	/* AP[2] */
#define PTE_SHARED		(1UL << 10)
#define PTE_ADDRESS		0xfffffc00UL	/* of a table */

static inline pte_t pgtable_leaf(unsigned long phys, int write, int exec)
{
	return phys | PTE_SMALL_PAGE | PTE_CACHED | PTE_PRIVILEGED |
	       PTE_WRITEALLOC | PTE_SHARED | (write ? 0 : PTE_RDONLY) |
	       (exec ? 0 : PTE_XN);
}

static inline pte_t pgtable_table(unsigned long phys, u32 level)
{
	return phys | 1;
}

static inline unsigned long pgtable_next(pte_t entry)
{
	return entry & PTE_ADDRESS;
}

/* cpu_v7_set_pte_ext(), arch/arm/mm/proc-v7-2level.S; SMP needs no cache clean. */
static inline void zs_set_pte(pte_t *ptep, unsigned long pfn)
{
	*(volatile pte_t *)ptep = pgtable_leaf(pfn << MMU_PAGE_SHIFT, 1, 0);
}

static inline void zs_clear_pte(pte_t *ptep)
{
	*(volatile pte_t *)ptep = 0;
}

/* local_flush_tlb_kernel_page(), arch/arm/include/asm/tlbflush.h: TLBIMVA. */
static inline void zs_flush_tlb_one(void *addr)
{
	asm volatile("dsb nshst\n\t"
		     "mcr p15, 0, %0, c8, c7, 1\n\t"
		     "dsb nsh\n\t"
		     "isb" : : "r" (addr) : "memory");
}

#endif
