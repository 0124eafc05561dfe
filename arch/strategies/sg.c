// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two spans, as they lie: a scatterlist. Nothing is moved, ever.
 *
 * Whose: Yosry Ahmed, zs_obj_read_sg_begin(), zs_obj_read_sg_end() of January
 * 2026 (dc2e4982cb01), after Herbert Xu's proposal of March 2025; here for all
 * modes. The user has to cope with an object in two pieces.
 * Moves: nothing, in any mode.
 * Keeps: nothing.
 * Forbids: nothing.
 * Needs: slot
 * Promises: ro-clean, neighbour-clean, stateless, no-leak
 */
#include "zs.h"

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	unsigned long first = PAGE_SIZE - loc->offset - loc->header;

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
}
