// SPDX-License-Identifier: GPL-2.0-only
/*
 * As swap, but not exchanged back before somebody needs the neighbour's bytes.
 *
 * Whose: Nitin Gupta's second idea of 11 July 2012
 * (4FFDC54F.5030402@vflare.org): to "remove the assumption that the spilled
 * part begins at offset 0 in the next page"; never implemented in a kernel.
 * Moves: with s' = bytes of the object (slot without header) in page 1, s'
 * bytes each way at map unless the object is still whole from the last time;
 * at unmap nothing; to undo a neighbour, its s' bytes each way.
 * Keeps: word[i] = 1 + offset of the slot that spans from page i into page
 * i + 1 while it is whole in page i + 1, so that it can be undone without its
 * location. The next slot's first s' bytes are displaced all that time.
 * Forbids: while mapped, what swap forbids; settle is needed before anybody
 * looks at raw bytes.
 * A chain (the neighbour spans too): of two spanning neighbours at most one is
 * whole. A map first undoes the slot before, if that has displaced this one's
 * first bytes, then the slot behind, whose bytes it is about to displace.
 * Needs: neighbours
 * Promises:
 */
#include "zs.h"

/* Exchanges the slot that starts at @offset of @page and spans. */
static void exchange(const struct zs_location *loc, u32 page,
		     unsigned long offset)
{
	const struct zspage *zspage = loc->zspage;
	unsigned long second = offset + zspage->class_size - PAGE_SIZE;

	offset += loc->header;
	zs_swap(zs_page_address(zspage, page) + offset,
		zs_page_address(zspage, page + 1) + second, PAGE_SIZE - offset);
}

/* Undoes the slot that spans out of @page, if that is whole. */
static void undo(const struct zs_location *loc, u32 page)
{
	unsigned long *word = &loc->zspage->word[page];

	if (*word) {
		exchange(loc, page, *word - 1);
		*word = 0;
	}
}

/*
 * Undoes the slot before this one, if that has displaced this one's first
 * bytes: only the first slot that starts in a page can be its neighbour.
 */
static void undo_before(const struct zs_location *loc)
{
	if (loc->page && loc->offset < loc->zspage->class_size)
		undo(loc, loc->page - 1);
}

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	struct zspage *zspage = loc->zspage;
	u32 page = loc->page;

	undo_before(loc);
	if (!zs_spans(loc))
		return zs_one_span(span, zs_payload(loc), loc);

	if (!zspage->word[page]) {
		unsigned long behind = loc->offset + zspage->class_size -
				       PAGE_SIZE;

		/* The slot behind spans too: its bytes must be its own. */
		if (behind + zspage->class_size > PAGE_SIZE)
			undo(loc, page + 1);
		exchange(loc, page, loc->offset);
		zspage->word[page] = loc->offset + 1;
	}
	return zs_one_span(span, zs_page_address(zspage, page + 1), loc);
}

void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
		     enum zs_mapmode mode, void *caller)
{
}

void zs_settle(struct zs_area *area, const struct zs_location *loc)
{
	undo_before(loc);
	if (zs_spans(loc))
		undo(loc, loc->page);
}
