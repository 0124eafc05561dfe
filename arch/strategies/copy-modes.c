// SPDX-License-Identifier: GPL-2.0-only
/*
 * As copy, but nothing in for a write-only and nothing out for a read-only map.
 *
 * Whose: Seth Jennings, patch 4/4 of 2 July 2012 (1341263752-10210-5-...),
 * mended by f553646 (3.6: the mode was tested but never stored); since 4.1
 * (2e40e163a25a) the copy out leaves the header alone. Until 6.14.
 * Moves: class_size bytes at map unless write-only; class_size - header bytes
 * at unmap unless read-only.
 * Keeps: the copy in the per-CPU buffer between map and unmap, and the mode.
 * Forbids: a second mapping on the same CPU.
 * Needs: slot
 * Promises: ro-clean, neighbour-clean, stateless
 */
#include "zs.h"

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	const struct zspage *zspage = loc->zspage;
	unsigned long first = PAGE_SIZE - loc->offset;

	if (!zs_spans(loc))
		return zs_one_span(span, zs_payload(loc), loc);

	if (mode != ZS_MM_WO) {
		zs_copy(area->buffer,
			zs_page_address(zspage, loc->page) + loc->offset, first);
		zs_copy(area->buffer + first,
			zs_page_address(zspage, loc->page + 1),
			zspage->class_size - first);
	}
	return zs_one_span(span, area->buffer + loc->header, loc);
}

void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
		     enum zs_mapmode mode, void *caller)
{
	const struct zspage *zspage = loc->zspage;
	unsigned long offset = loc->offset + loc->header;
	unsigned long first = PAGE_SIZE - offset;
	char *buffer = area->buffer + loc->header;

	if (!zs_spans(loc) || mode == ZS_MM_RO)
		return;

	zs_copy(zs_page_address(zspage, loc->page) + offset, buffer, first);
	zs_copy(zs_page_address(zspage, loc->page + 1), buffer + first,
		zspage->class_size - loc->header - first);
}
