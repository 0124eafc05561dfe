// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest of zsemu/doctor.py: a strategy whose zs_settle() calls what the
 * host names. Behind it in the image come the sequences of
 * arch/<target>/selftest.toml, as functions.
 */
#include "zs.h"

/* The host writes function and arguments into the area's private words. */
void zs_settle(struct zs_area *area, const struct zs_location *loc)
{
	void (*probe)(unsigned long, unsigned long, struct zs_area *);

	probe = (void *)area->private[0];
	probe(area->private[1], area->private[2], area);
}

void probe_load(unsigned long address, unsigned long value,
		struct zs_area *area)
{
	*(volatile unsigned long *)address;
}

void probe_store(unsigned long address, unsigned long value,
		 struct zs_area *area)
{
	*(volatile unsigned long *)address = value;
}

void probe_call(unsigned long address, unsigned long value,
		struct zs_area *area)
{
	((void (*)(void))address)();
}

static volatile unsigned long *word(struct zs_area *area, u32 page)
{
	return (volatile unsigned long *)(area->window + page * PAGE_SIZE);
}

/*
 * Both pages of the window from one frame to the other, invalidated one after
 * the other. What each read saw goes to @seen, in order: both pages before the
 * change, after it, after the first invalidate, and after the second. The
 * second word of the frame that is thought to be mapped is stored to twice.
 */
void probe_translation(unsigned long *seen, unsigned long from,
		       struct zs_area *area)
{
	unsigned long to = area->private[3];

	zs_set_pte(&area->window_pte[0], from);
	zs_set_pte(&area->window_pte[1], from);
	seen[0] = *word(area, 0);
	seen[1] = *word(area, 1);
	zs_set_pte(&area->window_pte[0], to);
	zs_set_pte(&area->window_pte[1], to);
	seen[2] = *word(area, 0);
	seen[3] = *word(area, 1);
	word(area, 0)[1] = 1;
	zs_flush_tlb_one(area->window);
	seen[4] = *word(area, 0);
	seen[5] = *word(area, 1);
	word(area, 0)[2] = 1;
	zs_flush_tlb_one(area->window + PAGE_SIZE);
	seen[6] = *word(area, 0);
	seen[7] = *word(area, 1);
	zs_clear_pte(&area->window_pte[0]);
	zs_clear_pte(&area->window_pte[1]);
	zs_flush_tlb_one(area->window);
	zs_flush_tlb_one(area->window + PAGE_SIZE);
}

/* What must be found: an entry changed after its invalidate, not before. */
void probe_early_invalidate(unsigned long *seen, unsigned long from,
			    struct zs_area *area)
{
	zs_set_pte(&area->window_pte[1], from);
	seen[0] = *word(area, 1);
	zs_flush_tlb_one(area->window + PAGE_SIZE);
	zs_clear_pte(&area->window_pte[1]);
}

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	return zs_one_span(span, caller, loc);
}

void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
		     enum zs_mapmode mode, void *caller)
{
}
