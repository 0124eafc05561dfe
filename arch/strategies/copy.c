// SPDX-License-Identifier: GPL-2.0-only
/*
 * The whole slot into a per-CPU buffer at map and back at unmap, in any mode.
 *
 * Whose: Seth Jennings, "zsmalloc: remove x86 dependency", patch 1/4 of 2 July
 * 2012 (1341263752-10210-2-git-send-email-sjenning@...), 3.6 without modes.
 * Moves: class_size bytes at map, class_size bytes at unmap, whatever the mode.
 * Keeps: the copy in the per-CPU buffer between map and unmap.
 * Forbids: a second mapping on the same CPU.
 * Needs: slot
 * Promises: neighbour-clean, stateless, no-leak
 */
#include "zs.h"

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	const struct zspage *zspage = loc->zspage;
	unsigned long first = PAGE_SIZE - loc->offset;

	if (!zs_spans(loc))
		return zs_one_span(span, zs_payload(loc), loc);

	zs_copy(area->buffer,
		zs_page_address(zspage, loc->page) + loc->offset, first);
	zs_copy(area->buffer + first, zs_page_address(zspage, loc->page + 1),
		zspage->class_size - first);
	return zs_one_span(span, area->buffer + loc->header, loc);
}

void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
		     enum zs_mapmode mode, void *caller)
{
	const struct zspage *zspage = loc->zspage;
	unsigned long first = PAGE_SIZE - loc->offset;

	if (!zs_spans(loc))
		return;

	zs_copy(zs_page_address(zspage, loc->page) + loc->offset, area->buffer,
		first);
	zs_copy(zs_page_address(zspage, loc->page + 1), area->buffer + first,
		zspage->class_size - first);
}
