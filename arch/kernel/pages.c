// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page allocator's stand-in: one page at a time, in the random order in
 * which the host has put the frames on the stack, so that the pages of a
 * zspage are neighbours by accident only; of the frames between them the
 * guest maps none. Pages are checked when they come back, as free_pages_prepare()
 * does (mm/page_alloc.c).
 */
#include "kernel.h"

#define MOVABLE		2UL	/* PAGE_MAPPING_MOVABLE, include/linux/page-flags.h */
#define ON_STACK	0x80000000U
#define GFP_ZERO	0x100U	/* ___GFP_ZERO, include/linux/gfp_types.h */

static __standin unsigned long frame_of(unsigned long page)
{
	return (page - zk_config.memmap) / zk_config.page_bytes;
}

__standin unsigned long zk_page(unsigned long frame)
{
	return zk_config.memmap + frame * zk_config.page_bytes;
}

__standin char *zk_page_address(unsigned long page)
{
	return (char *)(zk_config.linear + (frame_of(page) << PAGE_SHIFT));
}

__standin unsigned long zk_get_page(void)
{
	unsigned long i, frame, page;

	if (!zk_config.nr_frames || (zk_config.fail_after &&
				     zk_state.pages_out >= zk_config.fail_after))
		return 0;
	frame = zk_config.frames[--zk_config.nr_frames];
	/* As from the lists of each CPU: the second one takes the lowest first. */
	if (zk_me() == 1) {
		unsigned long last = frame;

		frame = zk_config.frames[0];
		zk_config.frames[0] = last;
	}
	page = zk_page(frame);
	for (i = 0; i < zk_config.page_bytes; i += sizeof(long))
		*zk_word(page, i) = 0;
	*(u32 *)(page + zk_config.page_type) = ~0U;
	*(u32 *)(page + zk_config.page_refcount) = 1;
	zk_config.log[zk_state.logged++] = frame;
	zk_state.pages_out++;
	return page;
}

/* A page whose last reference is gone. */
__standin unsigned long zk_put_page(unsigned long page, unsigned long caller)
{
	unsigned long offset = page - zk_config.memmap;

	if (offset % zk_config.page_bytes) {
		zk_complain(ZK_PAGE_FOREIGN, page, caller);
		return 0;
	}
	if (*zk_word(page, zk_config.page_flags) & zk_config.locked)
		zk_complain(ZK_PAGE_LOCKED, page, caller);
	if (*zk_word(page, zk_config.page_mapping) & ~3UL)
		zk_complain(ZK_PAGE_MOVABLE, page, caller);
	if (!zk_state.pages_out || zk_config.nr_frames >= zk_config.all_frames ||
	    *(u32 *)(page + zk_config.page_refcount) == ON_STACK) {
		zk_complain(ZK_PAGE_DOUBLE, page, caller);
		return 0;
	}
	*(u32 *)(page + zk_config.page_refcount) = ON_STACK;
	zk_config.frames[zk_config.nr_frames++] = frame_of(page);
	zk_state.pages_out--;
	return page;
}

/* As isolate_movable_page() begins, mm/migrate.c: 0 if it is free, or locked. */
__standin int zk_lock_page(unsigned long page)
{
	unsigned long *flags = zk_word(page, zk_config.page_flags);
	u32 *count = (u32 *)(page + zk_config.page_refcount);

	if (!*count || *count == ON_STACK || *flags & zk_config.locked ||
	    *zk_word(page, zk_config.page_mapping) <= MOVABLE)
		return 0;
	++*count;
	*flags |= zk_config.locked;
	return 1;
}

static __standin unsigned long allocate(u32 gfp, u32 order, unsigned long caller)
{
	unsigned long i, page;

	if (order) {
		zk_complain(ZK_PAGE_ORDER, order, caller);
		return 0;
	}
	page = zk_get_page();
	if (page && gfp & GFP_ZERO)
		for (i = 0; i < PAGE_SIZE; i += sizeof(long))
			*zk_word((unsigned long)zk_page_address(page), i) = 0;
	return page;
}

/* 6.1 to 6.9, and since then with the name that memory profiling gave it. */
__standin unsigned long alloc_pages(u32 gfp, u32 order)
{
	return allocate(gfp, order, (unsigned long)__builtin_return_address(0));
}

__standin unsigned long __alloc_pages(u32 gfp, u32 order, int node, void *mask)
{
	return allocate(gfp, order, (unsigned long)__builtin_return_address(0));
}

__standin unsigned long alloc_pages_noprof(u32 gfp, u32 order)
{
	return allocate(gfp, order, (unsigned long)__builtin_return_address(0));
}

__standin unsigned long __alloc_pages_noprof(u32 gfp, u32 order, int node,
					     void *mask)
{
	return allocate(gfp, order, (unsigned long)__builtin_return_address(0));
}

__standin void __free_pages(unsigned long page, u32 order)
{
	u32 *count = (u32 *)(page + zk_config.page_refcount);

	if (order)
		zk_report(ZK_PAGE_ORDER, order);
	if (*count == 1)
		*count = 0;
	else if (*count != ON_STACK)
		zk_report(ZK_PAGE_USED, page);
	zk_put_page(page, (unsigned long)__builtin_return_address(0));
}

/* The caller has found the reference count to be zero. */
__standin void __folio_put(unsigned long page)
{
	u32 count = *(u32 *)(page + zk_config.page_refcount);

	if (count && count != ON_STACK)
		zk_report(ZK_PAGE_USED, page);
	zk_put_page(page, (unsigned long)__builtin_return_address(0));
}

__standin void unlock_page(unsigned long page)
{
	unsigned long *flags = zk_word(page, zk_config.page_flags);

	if (!(*flags & zk_config.locked))
		zk_report(ZK_PAGE_UNLOCKED, page);
	*flags &= ~zk_config.locked;
}

__standin void __SetPageMovable(unsigned long page, unsigned long operations)
{
	zk_state.movable = operations;
	*zk_word(page, zk_config.page_mapping) = operations | MOVABLE;
}

/* mm/compaction.c: the flag stays until the page is freed. */
__standin void __ClearPageMovable(unsigned long page)
{
	*zk_word(page, zk_config.page_mapping) = MOVABLE;
}

__standin int PageMovable(unsigned long page)
{
	return *zk_word(page, zk_config.page_mapping) > MOVABLE;
}

__standin void inc_zone_page_state(unsigned long page, u32 item)
{
	zk_state.statistics++;
}

__standin void dec_zone_page_state(unsigned long page, u32 item)
{
	if (--zk_state.statistics < 0)
		zk_report(ZK_STATISTICS, page);
}

/* The 32-bit kernels' highmem: here every page has an address already. */
__standin void *__kmap_local_page_prot(unsigned long page, unsigned long prot)
{
	return zk_page_address(page);
}

__standin void kunmap_local_indexed(const void *address)
{
}
