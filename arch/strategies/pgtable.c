// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two page-table entries at map, two clears and two invalidates at unmap.
 *
 * Whose: Nitin Gupta's zsmalloc as merged, staging, 61989a80fb3a (January
 * 2012) to 3.5, x86 only. The two entries of a per-CPU window are resolved
 * beforehand, so nothing walks the page tables.
 * Moves: no byte of the object, in any mode.
 * Keeps: two present entries between map and unmap.
 * Forbids: a second mapping on the same CPU.
 * Needs: slot
 * Promises: ro-clean, neighbour-clean, stateless, no-leak
 */
#include "zs.h"

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	const struct zspage *zspage = loc->zspage;

	if (!zs_spans(loc))
		return zs_one_span(span, zs_payload(loc), loc);

	zs_set_pte(&area->window_pte[0], zspage->pfn[loc->page]);
	zs_set_pte(&area->window_pte[1], zspage->pfn[loc->page + 1]);
	return zs_one_span(span, area->window + loc->offset + loc->header, loc);
}

void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
		     enum zs_mapmode mode, void *caller)
{
	if (!zs_spans(loc))
		return;

	zs_clear_pte(&area->window_pte[0]);
	zs_clear_pte(&area->window_pte[1]);
	zs_flush_tlb_one(area->window);
	zs_flush_tlb_one(area->window + PAGE_SIZE);
}
