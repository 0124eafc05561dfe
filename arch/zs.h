/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The contract between a mapping strategy and whoever calls it.
 *
 * A strategy is one C file that includes this header and defines
 * zs_map_object() and zs_unmap_object(), and zs_settle() if it leaves
 * anything displaced. The same file is compiled for every target.
 */
#ifndef ZS_H
#define ZS_H

typedef unsigned int u32;

#include "pgtable.h"

#define PAGE_SIZE	(1UL << PAGE_SHIFT)	/* PAGE_SHIFT is a compiler flag */
#define ZS_MAX_PAGES	16			/* the longest chain */

/* As in the kernel from 3.6 to 6.14, in its order. */
enum zs_mapmode {
	ZS_MM_RW,
	ZS_MM_RO,
	ZS_MM_WO,	/* only the bytes written are defined afterwards */
};

/*
 * A chain of nr_pages pages, cut into slots of class_size bytes.
 *
 * word[i] belongs to the strategy: zero when page i joins the zspage, moved
 * with the page when that migrates. Nothing but these words and the private
 * part of struct zs_area survives from call to call.
 */
struct zspage {
	u32 nr_pages;
	u32 class_size;
	unsigned long pfn[ZS_MAX_PAGES] __attribute__((aligned(64)));
	unsigned long word[ZS_MAX_PAGES] __attribute__((aligned(256)));
} __attribute__((aligned(512)));

/*
 * A slot is class_size bytes: header, payload, slack. It spans when
 * offset + class_size > PAGE_SIZE; its second part then starts at byte 0 of
 * page + 1. The header is the allocator's and must not be left changed.
 */
struct zs_location {
	struct zspage *zspage;
	u32 slot;	/* index in the zspage */
	u32 page;	/* index of the page in which the slot starts */
	u32 offset;	/* of the slot in that page */
	u32 header;	/* bytes: 0, 4 or 8 */
	u32 length;	/* bytes of payload, right after the header */
};

/* One per CPU. */
struct zs_area {
	unsigned long cpu;
	char *buffer;			/* one page */
	char *window;			/* two pages of address space ... */
	pte_t *window_pte;		/* ... and their two entries, not present */
	unsigned long private[4];	/* the strategy's own, zero at first */
};

/* A piece of the payload as the caller sees it. */
struct zs_span {
	void *addr;
	unsigned long length;
};

/*
 * Makes the payload at @loc accessible to the caller and says where it is:
 * one or two spans, in order, @loc->length bytes together. @caller is the
 * caller's own buffer of that length, which may itself be handed out as the
 * only span. Returns the number of spans.
 */
u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span);

/* Ends the mapping; receives what zs_map_object() received. */
void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
		     enum zs_mapmode mode, void *caller);

/*
 * Optional. Called before the allocator itself touches the slot's first
 * bytes (header, free-list link) or moves raw bytes of the slot.
 */
void zs_settle(struct zs_area *area, const struct zs_location *loc)
	__attribute__((weak));

/* The target's primitives (arch/<target>/). The ranges never overlap. */
void zs_copy(void *dst, const void *src, unsigned long n);
void zs_swap(void *a, void *b, unsigned long n);

/* Base of the linear map of all pages: data, not a constant, as with KASLR. */
extern unsigned long zs_direct_map;

static inline char *zs_page_address(const struct zspage *zspage, u32 page)
{
	return (char *)(zs_direct_map + (zspage->pfn[page] << PAGE_SHIFT));
}

static inline int zs_spans(const struct zs_location *loc)
{
	return loc->offset + loc->zspage->class_size > PAGE_SIZE;
}

/* The payload of an object that does not span. */
static inline char *zs_payload(const struct zs_location *loc)
{
	return zs_page_address(loc->zspage, loc->page) + loc->offset +
	       loc->header;
}

static inline u32 zs_one_span(struct zs_span *span, void *addr,
			      const struct zs_location *loc)
{
	span->addr = addr;
	span->length = loc->length;
	return 1;
}

#endif /* ZS_H */
