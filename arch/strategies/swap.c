// SPDX-License-Identifier: GPL-2.0-only
/*
 * In place: the part in page 1 changes places with the neighbour's in page 2.
 *
 * Whose: Nitin Gupta, linux-mm, 11 July 2012 (4FFDC54F.5030402@vflare.org);
 * never implemented in a kernel. A spanning object is stored rotated: its head
 * at the start of page 2, its tail behind the header in page 1. The exchange
 * makes it whole at the start of page 2; the neighbour's first bytes wait in
 * page 1. The header belongs to the allocator and stays where it is.
 * Moves: with s' = bytes of the object (slot without header) in page 1, s'
 * bytes each way at map and again at unmap, in any mode.
 * Keeps: nothing; between map and unmap the neighbour's first s' bytes, with
 * its header or free-list link, are displaced.
 * Forbids: while mapped, to map, allocate, free or move the neighbour, to map
 * the same object again (which would exchange it back), or another object
 * whose displaced bytes would overlap.
 * A chain (the neighbour spans too) needs no order: one mapping at a time is
 * all undone before the next.
 * Needs: neighbours
 * Promises: stateless, no-leak
 */
#include "zs.h"

static void exchange(const struct zs_location *loc)
{
	const struct zspage *zspage = loc->zspage;
	unsigned long offset = loc->offset + loc->header;
	unsigned long second = loc->offset + zspage->class_size - PAGE_SIZE;

	zs_swap(zs_page_address(zspage, loc->page) + offset,
		zs_page_address(zspage, loc->page + 1) + second,
		PAGE_SIZE - offset);
}

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	if (!zs_spans(loc))
		return zs_one_span(span, zs_payload(loc), loc);

	exchange(loc);
	return zs_one_span(span, zs_page_address(loc->zspage, loc->page + 1),
			   loc);
}

void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
		     enum zs_mapmode mode, void *caller)
{
	if (zs_spans(loc))
		exchange(loc);
}
