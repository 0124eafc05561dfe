// SPDX-License-Identifier: GPL-2.0-only
/*
 * As copy, with one buffer for all CPUs and a lock of its own from map to unmap.
 *
 * Needs: slot
 * Promises:
 */
#include "zs.h"

static char buffer[PAGE_SIZE];
static unsigned long held;

static void lock(void)
{
	while (__atomic_exchange_n(&held, 1, __ATOMIC_ACQUIRE))
		;
}

static void unlock(void)
{
	__atomic_store_n(&held, 0, __ATOMIC_RELEASE);
}

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	const struct zspage *zspage = loc->zspage;
	unsigned long first = PAGE_SIZE - loc->offset;

	if (!zs_spans(loc))
		return zs_one_span(span, zs_payload(loc), loc);

	lock();
	zs_copy(buffer, zs_page_address(zspage, loc->page) + loc->offset, first);
	zs_copy(buffer + first, zs_page_address(zspage, loc->page + 1),
		zspage->class_size - first);
	return zs_one_span(span, buffer + loc->header, loc);
}

void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
		     enum zs_mapmode mode, void *caller)
{
	const struct zspage *zspage = loc->zspage;
	unsigned long first = PAGE_SIZE - loc->offset;

	if (!zs_spans(loc))
		return;

	zs_copy(zs_page_address(zspage, loc->page) + loc->offset, buffer,
		first);
	zs_copy(zs_page_address(zspage, loc->page + 1), buffer + first,
		zspage->class_size - first);
	unlock();
}
