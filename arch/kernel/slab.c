// SPDX-License-Identifier: GPL-2.0-only
/*
 * The slab allocator's stand-in: objects of powers of two, last freed first
 * allocated, each known by where it starts: its size, its cache, and whether
 * it is allocated.
 */
#include "kernel.h"

#define UNIT_SHIFT	5
#define LARGEST		PAGE_SHIFT
#define GFP_ZERO	0x100U

/* A word of zk_config.slab_state: */
#define USED		(1U << 31)
#define BELONGS		(1U << 30)	/* to an object that starts here */
#define CACHE		0xffffU

struct cache {
	unsigned long bytes;
	unsigned long objects;
	u32 number;
};

static unsigned long free_list[LARGEST + 1];
static unsigned long used_pages;
static u32 caches;

static __standin u32 *state_of(unsigned long object)
{
	return &zk_config.slab_state[(object - zk_config.slab) >> UNIT_SHIFT];
}

static __standin unsigned long refill(u32 shift)
{
	unsigned long start, at;

	if (used_pages == zk_config.slab_pages)
		return 0;
	start = zk_config.slab + (used_pages++ << PAGE_SHIFT);
	for (at = start + PAGE_SIZE; at > start;) {
		at -= 1UL << shift;
		*(unsigned long *)at = free_list[shift];
		*state_of(at) = BELONGS | shift << 16;
		free_list[shift] = at;
	}
	return free_list[shift];
}

__standin void *zk_allocate(unsigned long bytes, u32 gfp, u32 cache)
{
	u32 shift = UNIT_SHIFT;
	unsigned long i, object;

	while (1UL << shift < bytes)
		shift++;
	if (shift > LARGEST) {
		zk_report(ZK_SLAB_LARGE, bytes);
		return 0;
	}
	object = free_list[shift];
	if (!object)
		object = refill(shift);
	if (!object)
		return 0;
	free_list[shift] = *(unsigned long *)object;
	*state_of(object) = USED | BELONGS | shift << 16 | cache;
	zk_state.objects_out++;
	if (gfp & GFP_ZERO)
		for (i = 0; i < 1UL << shift; i += sizeof(long))
			*zk_word(object, i) = 0;
	return (void *)object;
}

static __standin void release(unsigned long object, u32 cache,
			      unsigned long caller)
{
	u32 *state, shift;

	if (!object)
		return;
	if (object - zk_config.slab >= used_pages << PAGE_SHIFT ||
	    object & ((1UL << UNIT_SHIFT) - 1) || !(*state_of(object) & BELONGS)) {
		zk_complain(ZK_SLAB_FOREIGN, object, caller);
		return;
	}
	state = state_of(object);
	shift = *state >> 16 & 0xff;
	if (!(*state & USED)) {
		zk_complain(ZK_SLAB_DOUBLE, object, caller);
		return;
	}
	if ((*state & CACHE) != cache)
		zk_complain(ZK_SLAB_CACHE, object, caller);
	zk_locks_freed(object, 1UL << shift);
	*state &= ~USED;
	*(unsigned long *)object = free_list[shift];
	free_list[shift] = object;
	zk_state.objects_out--;
}

/* By their names: to 6.9, and since then with that of memory profiling. */
__standin void *kmalloc_trace(void *cache, u32 gfp, unsigned long bytes)
{
	return zk_allocate(bytes, gfp, 0);
}

__standin void *__kmalloc_cache_noprof(void *cache, u32 gfp, unsigned long bytes)
{
	return zk_allocate(bytes, gfp, 0);
}

__standin void *__kmalloc(unsigned long bytes, u32 gfp)
{
	return zk_allocate(bytes, gfp, 0);
}

__standin void *__kmalloc_noprof(unsigned long bytes, u32 gfp)
{
	return zk_allocate(bytes, gfp, 0);
}

__standin void kfree(unsigned long object)
{
	release(object, 0, (unsigned long)__builtin_return_address(0));
}

static __standin struct cache *create(unsigned long bytes)
{
	struct cache *cache = zk_allocate(sizeof(*cache), 0, 0);

	if (cache) {
		cache->bytes = bytes;
		cache->objects = 0;
		cache->number = ++caches & CACHE;
	}
	return cache;
}

__standin void *kmem_cache_create(const char *name, u32 bytes, u32 align,
				  unsigned long flags, void (*ctor)(void *))
{
	return create(bytes);
}

__standin void *__kmem_cache_create_args(const char *name, u32 bytes,
					 void *args, unsigned long flags)
{
	return create(bytes);
}

__standin void kmem_cache_destroy(struct cache *cache)
{
	if (!cache)
		return;
	if (cache->objects)
		zk_report(ZK_SLAB_LEFT, cache->objects);
	release((unsigned long)cache, 0,
		(unsigned long)__builtin_return_address(0));
}

static __standin void *from_cache(struct cache *cache, u32 gfp)
{
	void *object = zk_allocate(cache->bytes, gfp, cache->number);

	cache->objects += object != 0;
	return object;
}

__standin void *kmem_cache_alloc(struct cache *cache, u32 gfp)
{
	return from_cache(cache, gfp);
}

__standin void *kmem_cache_alloc_noprof(struct cache *cache, u32 gfp)
{
	return from_cache(cache, gfp);
}

__standin void kmem_cache_free(struct cache *cache, unsigned long object)
{
	cache->objects--;
	release(object, cache->number,
		(unsigned long)__builtin_return_address(0));
}
