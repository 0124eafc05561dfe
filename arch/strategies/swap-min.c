// SPDX-License-Identifier: GPL-2.0-only
/*
 * As swap, but whichever part is smaller changes places with a neighbour's.
 *
 * Whose: a refinement of Nitin Gupta's proposal of 11 July 2012
 * (4FFDC54F.5030402@vflare.org), which on average moves more than a copy does.
 * With s' and s'' = bytes of the object (slot without header) in page 1 and 2:
 * if s' is not larger, exactly as swap. Else the object is made whole at the
 * end of page 1: its head from the start of page 2 goes right before the tail,
 * over the header and the end of the previous slot, which wait in page 2.
 * Moves: min(s', s'') bytes each way at map and again at unmap, in any mode.
 * Keeps: nothing; between map and unmap the next slot's first, or the previous
 * slot's last bytes and this slot's header, are displaced.
 * Forbids: while mapped, what swap forbids, for either neighbour.
 * A chain needs no order: one mapping at a time is undone before the next.
 * Needs: neighbours
 * Promises: stateless, no-leak
 */
#include "zs.h"

/* Returns where the object is whole between an exchange and the next. */
static char *exchange(const struct zs_location *loc)
{
	const struct zspage *zspage = loc->zspage;
	unsigned long offset = loc->offset + loc->header;
	unsigned long first = PAGE_SIZE - offset;
	unsigned long second = loc->offset + zspage->class_size - PAGE_SIZE;
	char *tail = zs_page_address(zspage, loc->page) + offset;
	char *head = zs_page_address(zspage, loc->page + 1);

	if (first <= second) {
		zs_swap(tail, head + second, first);
		return head;
	}
	zs_swap(tail - second, head, second);
	return tail - second;
}

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	if (!zs_spans(loc))
		return zs_one_span(span, zs_payload(loc), loc);

	return zs_one_span(span, exchange(loc), loc);
}

void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
		     enum zs_mapmode mode, void *caller)
{
	if (zs_spans(loc))
		exchange(loc);
}
