// SPDX-License-Identifier: GPL-2.0-only
/*
 * As sg, between two locks of the zspage that it always takes in the same order.
 *
 * Needs: slot
 * Promises:
 */
#include "zs.h"

static void lock(const struct zs_location *loc, unsigned long which)
{
	unsigned long *held = &loc->zspage->word[which];

	while (__atomic_exchange_n(held, 1, __ATOMIC_ACQUIRE))
		;
}

static void unlock(const struct zs_location *loc, unsigned long which)
{
	__atomic_store_n(&loc->zspage->word[which], 0, __ATOMIC_RELEASE);
}

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	unsigned long first = PAGE_SIZE - loc->offset - loc->header;

	lock(loc, 0);
	lock(loc, 1);
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
	unlock(loc, 1);
	unlock(loc, 0);
}
