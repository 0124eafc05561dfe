/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * i386 with PAE (needed for no-execute): Intel SDM volume 3, section 5.4.
 * An entry is 8 bytes, written as two words in the order of the kernel's
 * arch/x86/include/asm/pgtable-3level.h.
 */
#ifndef ZS_PGTABLE_H
#define ZS_PGTABLE_H

typedef unsigned long long pte_t;

#define MMU_PAGE_SHIFT		12
#define PGTABLE_LEVELS		3
#define PGTABLE_SHIFTS		{ 30, 21, 12 }
#define PGTABLE_BITS		{ 2, 9, 9 }

#define PTE_PRESENT		(1ULL << 0)
#define PTE_WRITE		(1ULL << 1)
/* Preset, so that no access walks the tables again just to set them. */
#define PTE_ACCESSED_DIRTY	(1ULL << 5 | 1ULL << 6)
#define PTE_NX			(1ULL << 63)
#define PTE_ADDRESS		0xfffff000UL

static inline pte_t pgtable_leaf(unsigned long phys, int write, int exec)
{
	return phys | PTE_PRESENT | PTE_ACCESSED_DIRTY |
	       (write ? PTE_WRITE : 0) | (exec ? 0 : PTE_NX);
}

/* All but the present bit are reserved in the four entries at the top. */
static inline pte_t pgtable_table(unsigned long phys, u32 level)
{
	return phys | PTE_PRESENT |
	       (level ? PTE_WRITE | PTE_ACCESSED_DIRTY : 0);
}

static inline unsigned long pgtable_next(pte_t entry)
{
	return entry & PTE_ADDRESS;
}

/* native_set_pte(): the half with the present bit last; smp_wmb() is a compiler barrier. */
static inline void zs_set_pte(pte_t *ptep, unsigned long pfn)
{
	volatile u32 *half = (volatile u32 *)ptep;
	pte_t pte = pgtable_leaf(pfn << MMU_PAGE_SHIFT, 1, 0);

	half[1] = pte >> 32;
	asm volatile("" : : : "memory");
	half[0] = pte;
}

/* native_pte_clear(): the half with the present bit first. */
static inline void zs_clear_pte(pte_t *ptep)
{
	volatile u32 *half = (volatile u32 *)ptep;

	half[0] = 0;
	asm volatile("" : : : "memory");
	half[1] = 0;
}

/* __flush_tlb_one() of 2012, arch/x86/include/asm/tlbflush.h: this CPU only. */
static inline void zs_flush_tlb_one(void *addr)
{
	asm volatile("invlpg (%0)" : : "r" (addr) : "memory");
}

#endif
