// SPDX-License-Identifier: GPL-2.0-only
/*
 * As sg, between two locks that it always takes in the same order.
 *
 * Needs: slot
 * Promises:
 */
#include "zs.h"

static unsigned long held[2];

static void lock(unsigned long which)
{
	while (__atomic_exchange_n(&held[which], 1, __ATOMIC_ACQUIRE))
		;
}

static void unlock(unsigned long which)
{
	__atomic_store_n(&held[which], 0, __ATOMIC_RELEASE);
}

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	unsigned long first = PAGE_SIZE - loc->offset - loc->header;

	lock(0);
	lock(1);
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
	unlock(1);
	unlock(0);
}
