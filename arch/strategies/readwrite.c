// SPDX-License-Identifier: GPL-2.0-only
/*
 * A read is copied into the caller's buffer, a write from it into the pages.
 *
 * Whose: Yosry Ahmed and Sergey Senozhatsky, zs_obj_read_begin(),
 * zs_obj_read_end(), zs_obj_write() of 6.15, as of January 2026: spans are
 * judged by the object's actual length (0be909f114c4, 19c4707b535a).
 * Moves: read-only: length bytes at map if the object itself spans, else
 * nothing. Write-only: length bytes at unmap, spanning or not. Read-write
 * (which the kernel's API does not offer): a read, then a write, if the object
 * itself spans, else nothing.
 * Keeps: nothing but what is in the caller's buffer.
 * Forbids: nothing.
 * Needs: slot
 * Promises: ro-clean, neighbour-clean, stateless, no-leak
 */
#include "zs.h"

static int object_spans(const struct zs_location *loc)
{
	return loc->offset + loc->header + loc->length > PAGE_SIZE;
}

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	const struct zspage *zspage = loc->zspage;

	if (mode == ZS_MM_WO)
		return zs_one_span(span, caller, loc);

	if (object_spans(loc)) {
		unsigned long offset = loc->offset + loc->header;
		unsigned long first = PAGE_SIZE - offset;

		zs_copy(caller, zs_page_address(zspage, loc->page) + offset,
			first);
		zs_copy((char *)caller + first,
			zs_page_address(zspage, loc->page + 1),
			loc->length - first);
		return zs_one_span(span, caller, loc);
	}
	return zs_one_span(span, zs_payload(loc), loc);
}

void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
		     enum zs_mapmode mode, void *caller)
{
	const struct zspage *zspage = loc->zspage;

	if (mode == ZS_MM_RO)
		return;

	if (object_spans(loc)) {
		unsigned long offset = loc->offset + loc->header;
		unsigned long first = PAGE_SIZE - offset;

		zs_copy(zs_page_address(zspage, loc->page) + offset, caller,
			first);
		zs_copy(zs_page_address(zspage, loc->page + 1),
			(char *)caller + first, loc->length - first);
	} else if (mode == ZS_MM_WO) {
		zs_copy(zs_payload(loc), caller, loc->length);
	}
}
