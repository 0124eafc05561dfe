/* SPDX-License-Identifier: GPL-2.0-only */
/* What Sv32 and Sv39 share: RISC-V privileged architecture, chapter "Supervisor". */

#define PTE_V			(1UL << 0)
#define PTE_R			(1UL << 1)
#define PTE_W			(1UL << 2)
#define PTE_X			(1UL << 3)
/* Preset, so that no access walks the tables again just to set them. */
#define PTE_A			(1UL << 6)
#define PTE_D			(1UL << 7)

static inline pte_t pgtable_leaf(unsigned long phys, int write, int exec)
{
	return phys >> 12 << 10 | PTE_V | PTE_R | PTE_A | PTE_D |
	       (write ? PTE_W : 0) | (exec ? PTE_X : 0);
}

static inline pte_t pgtable_table(unsigned long phys, u32 level)
{
	return phys >> 12 << 10 | PTE_V;
}

static inline unsigned long pgtable_next(pte_t entry)
{
	return entry >> 10 << 12;
}

/*
 * set_pte() alone: where a CPU may have cached that the entry was invalid,
 * the kernel fences in the fault handler (new_vmalloc_check, since 6.12).
 */
static inline void zs_set_pte(pte_t *ptep, unsigned long pfn)
{
	*(volatile pte_t *)ptep = pgtable_leaf(pfn << MMU_PAGE_SHIFT, 1, 0);
}

static inline void zs_clear_pte(pte_t *ptep)
{
	*(volatile pte_t *)ptep = 0;
}

/* local_flush_tlb_page(), arch/riscv/include/asm/tlbflush.h. */
static inline void zs_flush_tlb_one(void *addr)
{
	asm volatile("sfence.vma %0" : : "r" (addr) : "memory");
}
