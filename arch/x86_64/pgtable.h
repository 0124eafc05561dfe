/* SPDX-License-Identifier: GPL-2.0-only */
/* x86-64, 4-level paging: Intel SDM volume 3, section 5.5. */
#ifndef ZS_PGTABLE_H
#define ZS_PGTABLE_H

typedef unsigned long pte_t;

#define MMU_PAGE_SHIFT		12
#define PGTABLE_LEVELS		4
#define PGTABLE_SHIFTS		{ 39, 30, 21, 12 }
#define PGTABLE_BITS		{ 9, 9, 9, 9 }

#define PTE_PRESENT		(1UL << 0)
#define PTE_WRITE		(1UL << 1)
/* Preset, so that no access walks the tables again just to set them. */
#define PTE_ACCESSED_DIRTY	(1UL << 5 | 1UL << 6)
#define PTE_NX			(1UL << 63)
#define PTE_ADDRESS		0x000ffffffffff000UL

static inline pte_t pgtable_leaf(unsigned long phys, int write, int exec)
{
	return phys | PTE_PRESENT | PTE_ACCESSED_DIRTY |
	       (write ? PTE_WRITE : 0) | (exec ? 0 : PTE_NX);
}

static inline pte_t pgtable_table(unsigned long phys, u32 level)
{
	return phys | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED_DIRTY;
}

static inline unsigned long pgtable_next(pte_t entry)
{
	return entry & PTE_ADDRESS;
}

static inline void zs_set_pte(pte_t *ptep, unsigned long pfn)
{
	*(volatile pte_t *)ptep = pgtable_leaf(pfn << MMU_PAGE_SHIFT, 1, 0);
}

static inline void zs_clear_pte(pte_t *ptep)
{
	*(volatile pte_t *)ptep = 0;
}

/* __flush_tlb_one() of 2012, arch/x86/include/asm/tlbflush.h: this CPU only. */
static inline void zs_flush_tlb_one(void *addr)
{
	asm volatile("invlpg (%0)" : : "r" (addr) : "memory");
}

#endif
