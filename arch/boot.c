// SPDX-License-Identifier: GPL-2.0-only
/*
 * Builds the guest's page tables from the ranges that the host asks for.
 * Runs with paging off; the target's entry.S switches it on afterwards.
 */
#include "driver.h"

#define __boot	__attribute__((section(".text.driver"), noinline))

static __boot pte_t *entry_at(unsigned long virt, u32 depth)
{
	static const unsigned char shifts[] = PGTABLE_SHIFTS;
	static const unsigned char bits[] = PGTABLE_BITS;
	pte_t *entry, *table = (pte_t *)zs_boot_info.root;
	u32 level;

	for (level = 0;; level++) {
		entry = &table[virt >> shifts[level] & ((1UL << bits[level]) - 1)];
		if (level == depth)
			return entry;
		if (!*entry) {
			*entry = pgtable_table(zs_boot_info.tables, level);
			zs_boot_info.tables += 1UL << MMU_PAGE_SHIFT;
		}
		table = (pte_t *)pgtable_next(*entry);
	}
}

static __boot void map_range(const struct zs_range *range)
{
	unsigned long page = 0, left = range->run;

	while (page < range->pages) {
		unsigned long offset = page << MMU_PAGE_SHIFT;

		*entry_at(range->virt + offset, PGTABLE_LEVELS - 1) =
			pgtable_leaf(range->phys + offset, range->write,
				     range->exec);
		page++;
		if (!--left) {
			page += range->skip;
			left = range->run;
		}
	}
}

__boot unsigned long zs_boot(void)
{
	unsigned long i;

	for (i = 0; i < zs_boot_info.nr_ranges; i++)
		map_range(&zs_boot_info.range[i]);
	/* The next CPU finds the tables there. */
	zs_boot_info.nr_ranges = 0;
	*entry_at(zs_boot_info.window, PGTABLE_LEVELS - 2) =
		pgtable_table(zs_boot_info.window_leaf, PGTABLE_LEVELS - 2);
	return zs_boot_info.root;
}
