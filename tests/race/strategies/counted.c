// SPDX-License-Identifier: GPL-2.0-only
/*
 * As sg, with a count of maps of the zspage, for which the allocator waits.
 *
 * Needs: slot
 * Promises:
 */
#include "zs.h"

static void count(const struct zs_location *loc, unsigned long change)
{
	__atomic_fetch_add(&loc->zspage->word[0], change, __ATOMIC_SEQ_CST);
}

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	unsigned long first = PAGE_SIZE - loc->offset - loc->header;

	count(loc, 1);
	if (loc->length <= first)
		return zs_one_span(span, zs_payload(loc), loc);

	span[0].addr = zs_payload(loc);
	span[0].length = first;
	span[1].addr = zs_page_address(loc->zspage, loc->page + 1);
	span[1].length = loc->length - first;
	return 2;
}

void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
		     enum zs_mapmode mode, void *caller)
{
	count(loc, -1UL);
}

void zs_settle(struct zs_area *area, const struct zs_location *loc)
{
	while (__atomic_load_n(&loc->zspage->word[0], __ATOMIC_SEQ_CST))
		;
}
