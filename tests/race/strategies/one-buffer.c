// SPDX-License-Identifier: GPL-2.0-only
/*
 * As sg, but the part in page 1 is in one buffer for all CPUs while mapped,
 * with a lock of its own. The lock is one of the zspage's words, and the buffer
 * lies behind them: a strategy may store into nothing else that CPUs share. So
 * a part that does not fit there stays where it is.
 *
 * Needs: slot
 * Promises:
 */
#include "zs.h"

#define LOCK(loc)	(&(loc)->zspage->word[0])
#define BUFFER(loc)	((char *)&(loc)->zspage->word[ZS_MAX_PAGES])
#define ROOM(loc)	((unsigned long)((char *)((loc)->zspage + 1) - BUFFER(loc)))
#define FIRST(loc)	(PAGE_SIZE - (loc)->offset - (loc)->header)

static void lock(const struct zs_location *loc)
{
	while (__atomic_exchange_n(LOCK(loc), 1, __ATOMIC_ACQUIRE))
		;
}

static void unlock(const struct zs_location *loc)
{
	__atomic_store_n(LOCK(loc), 0, __ATOMIC_RELEASE);
}

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	if (loc->length <= FIRST(loc))
		return zs_one_span(span, zs_payload(loc), loc);

	span[0].addr = zs_payload(loc);
	span[0].length = FIRST(loc);
	span[1].addr = zs_page_address(loc->zspage, loc->page + 1);
	span[1].length = loc->length - FIRST(loc);
	if (FIRST(loc) > ROOM(loc))
		return 2;

	lock(loc);
	zs_copy(BUFFER(loc), zs_payload(loc), FIRST(loc));
	span[0].addr = BUFFER(loc);
	return 2;
}

void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
		     enum zs_mapmode mode, void *caller)
{
	if (loc->length <= FIRST(loc) || FIRST(loc) > ROOM(loc))
		return;

	zs_copy(zs_payload(loc), BUFFER(loc), FIRST(loc));
	unlock(loc);
}
