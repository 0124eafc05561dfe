/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * AArch64, stage 1 at EL1, addresses of 39 bits, or of 48 for a kernel's own
 * object (entry.S), granule of 4, 16 or 64 KiB: Arm ARM (DDI 0487), chapter D8.
 */
#ifndef ZS_PGTABLE_H
#define ZS_PGTABLE_H

typedef unsigned long pte_t;

#define MMU_PAGE_SHIFT		PAGE_SHIFT
#ifdef VA_BITS
#if PAGE_SHIFT == 12
#define PGTABLE_LEVELS		4
#define PGTABLE_SHIFTS		{ 39, 30, 21, 12 }
#define PGTABLE_BITS		{ 9, 9, 9, 9 }
#elif PAGE_SHIFT == 14
#define PGTABLE_LEVELS		4
#define PGTABLE_SHIFTS		{ 47, 36, 25, 14 }
#define PGTABLE_BITS		{ 1, 11, 11, 11 }
#elif PAGE_SHIFT == 16
#define PGTABLE_LEVELS		3
#define PGTABLE_SHIFTS		{ 42, 29, 16 }
#define PGTABLE_BITS		{ 6, 13, 13 }
#endif
#elif PAGE_SHIFT == 12
#define PGTABLE_LEVELS		3
#define PGTABLE_SHIFTS		{ 30, 21, 12 }
#define PGTABLE_BITS		{ 9, 9, 9 }
#elif PAGE_SHIFT == 14
#define PGTABLE_LEVELS		3
#define PGTABLE_SHIFTS		{ 36, 25, 14 }
#define PGTABLE_BITS		{ 3, 11, 11 }
#elif PAGE_SHIFT == 16
#define PGTABLE_LEVELS		2
#define PGTABLE_SHIFTS		{ 29, 16 }
#define PGTABLE_BITS		{ 10, 13 }
#endif
#ifndef PGTABLE_LEVELS
#error "AArch64 has pages of 4, 16 and 64 KiB"
#endif

#define PTE_TYPE_PAGE		3UL		/* also: a table */
#define PTE_RDONLY		(1UL << 7)
#define PTE_SHARED		(3UL << 8)
#define PTE_AF			(1UL << 10)	/* preset: no access flag faults */
#define PTE_PXN			(1UL << 53)
#define PTE_UXN			(1UL << 54)
#define PTE_ADDRESS		0x0000fffffffff000UL

static inline pte_t pgtable_leaf(unsigned long phys, int write, int exec)
{
	return phys | PTE_TYPE_PAGE | PTE_SHARED | PTE_AF | PTE_UXN |
	       (write ? 0 : PTE_RDONLY) | (exec ? 0 : PTE_PXN);
}

static inline pte_t pgtable_table(unsigned long phys, u32 level)
{
	return phys | PTE_TYPE_PAGE;
}

static inline unsigned long pgtable_next(pte_t entry)
{
	return entry & PTE_ADDRESS;
}

/* set_pte() of a valid kernel entry is followed by dsb(ishst) and isb(). */
static inline void zs_set_pte(pte_t *ptep, unsigned long pfn)
{
	*(volatile pte_t *)ptep = pgtable_leaf(pfn << MMU_PAGE_SHIFT, 1, 0);
	asm volatile("dsb ishst\n\tisb" : : : "memory");
}

/* pte_clear() is set_pte() of an invalid entry: no barriers. */
static inline void zs_clear_pte(pte_t *ptep)
{
	*(volatile pte_t *)ptep = 0;
}

/*
 * One page on this CPU only, as local_flush_tlb_all() in
 * arch/arm64/include/asm/tlbflush.h does all: non-shareable barriers around.
 */
static inline void zs_flush_tlb_one(void *addr)
{
	unsigned long operand = (unsigned long)addr >> 12 & ((1UL << 44) - 1);

	asm volatile("dsb nshst\n\t"
		     "tlbi vaae1, %0\n\t"
		     "dsb nsh\n\t"
		     "isb" : : "r" (operand) : "memory");
}

#endif
