// SPDX-License-Identifier: GPL-2.0-only
/*
 * A small allocator with the interfaces of kernels that no distribution has
 * packaged yet, for the tests: one class after another of 6.3's rule, zspages
 * found first fit, nothing ever compacted. Its own work: nothing is the kernel's.
 *
 * With LOCKED it is for several CPUs.
 *
 * API is 1 for zs_obj_read_begin(pool, handle, buffer), 2 for the same with
 * the length, 3 for zs_obj_read_sg_begin().
 */
typedef unsigned long ul;
typedef unsigned int u32;

#define PAGE		(1UL << PAGE_SHIFT)
#ifndef CHAIN
#define CHAIN		8
#endif
#define SMALLEST	32
#define DELTA		(PAGE >> 8)
#define CLASSES		((PAGE - SMALLEST + DELTA - 1) / DELTA + 1)
#define HEADER		sizeof(ul)
#define INDEX_BITS	PAGE_SHIFT	/* enough for the objects and 32-bit frames */
#define ALLOCATED	1UL

struct page {
	ul flags;
	ul mapping;
	ul index;
	ul private;
	u32 page_type;
	u32 _refcount;
	ul unused[2];
};

struct movable_operations {
	void *isolate_page, *migrate_page, *putback_page;
};

struct scatterlist {
	ul page_link;
	u32 offset;
	u32 length;
};

struct thread_info {
	unsigned long long preempt_count;
	u32 cpu;
};

struct task_struct {
	struct thread_info thread_info;
};

struct zspage {
	struct zspage *next;
	u32 inuse, free;
	struct page *pages[CHAIN];
};

struct size_class {
	int size, objs_per_zspage, pages_per_zspage;
	struct zspage *zspages;
};

struct zs_pool {
	const char *name;
	struct size_class *size_class[CLASSES];
	void *handles, *zspages;
	u32 lock[2], inner[2];
};

/* struct zk_config of arch/kernel/kernel.h, as words: where pages are. */
extern ul zk_config[];
#define memmap		((struct page *)zk_config[15])
#define linear		((char *)zk_config[16])
void *kmem_cache_create(const char *name, u32 bytes, u32 align, ul flags,
			void *ctor);
void kmem_cache_destroy(void *cache);
void *kmem_cache_alloc(void *cache, u32 gfp);
void kmem_cache_free(void *cache, void *object);
void *kmalloc_trace(void *cache, u32 gfp, ul bytes);
void kfree(void *object);
struct page *alloc_pages(u32 gfp, u32 order);
void __free_pages(struct page *page, u32 order);
void *memcpy(void *dst, const void *src, ul n);
#ifdef LOCKED
void _raw_spin_lock(u32 *lock);
void _raw_spin_unlock(u32 *lock);
#else
#define _raw_spin_lock(lock)
#define _raw_spin_unlock(lock)
#endif

/* Debug information of what the host looks for. */
struct movable_operations unused_operations;
struct scatterlist unused_list;
struct task_struct unused_task;

static ul frame(struct page *page)
{
	return page - memmap;
}

static char *address(struct page *page)
{
	return linear + frame(page) * PAGE;
}

int zs_init(void)
{
	return 0;
}

void zs_exit(void)
{
}

static void describe(struct size_class *class, int size)
{
	int pages, best = 1;

	for (pages = 1; pages <= CHAIN; pages++)
		if (pages * (int)PAGE % size < best * (int)PAGE % size)
			best = pages;
	class->size = size;
	class->pages_per_zspage = size & (size - 1) ? best : 1;
	class->objs_per_zspage = class->pages_per_zspage * (int)PAGE / size;
	class->zspages = 0;
}

struct zs_pool *zs_create_pool(const char *name)
{
	struct zs_pool *pool = kmalloc_trace(0, 0x100, sizeof(*pool));
	struct size_class *last = 0;
	ul i;

	pool->handles = kmem_cache_create("handle", sizeof(ul), 0, 0, 0);
	pool->zspages = kmem_cache_create("zspage", sizeof(struct zspage), 0, 0, 0);
	for (i = CLASSES; i--;) {
		struct size_class class;
		ul size = SMALLEST + i * DELTA;

		describe(&class, size > PAGE ? PAGE : size);
		if (last && last->pages_per_zspage == class.pages_per_zspage &&
		    last->objs_per_zspage == class.objs_per_zspage) {
			pool->size_class[i] = last;
			continue;
		}
		last = kmalloc_trace(0, 0, sizeof(*last));
		last->size = class.size;
		last->objs_per_zspage = class.objs_per_zspage;
		last->pages_per_zspage = class.pages_per_zspage;
		last->zspages = 0;
		pool->size_class[i] = last;
	}
	return pool;
}

void zs_destroy_pool(struct zs_pool *pool)
{
	ul i;

	for (i = 0; i < CLASSES; i++)
		if (!i || pool->size_class[i] != pool->size_class[i - 1])
			kfree(pool->size_class[i]);
	kmem_cache_destroy(pool->handles);
	kmem_cache_destroy(pool->zspages);
	kfree(pool);
}

static int is_huge(const struct size_class *class)
{
	return class->objs_per_zspage == 1 && class->pages_per_zspage == 1;
}

static ul *slot_word(struct size_class *class, struct zspage *zspage, ul slot)
{
	ul at = slot * class->size;

	return (ul *)(address(zspage->pages[at / PAGE]) + at % PAGE);
}

static struct zspage *open(struct zs_pool *pool, struct size_class *class)
{
	struct zspage *zspage = kmem_cache_alloc(pool->zspages, 0);
	int i;

	if (!zspage)
		return 0;
	for (i = 0; i < class->pages_per_zspage; i++) {
		zspage->pages[i] = alloc_pages(0, 0);
		if (!zspage->pages[i]) {
			while (i--)
				__free_pages(zspage->pages[i], 0);
			kmem_cache_free(pool->zspages, zspage);
			return 0;
		}
		zspage->pages[i]->private = (ul)zspage;
		zspage->pages[i]->index = (ul)class;
	}
	for (i = 0; i < class->objs_per_zspage; i++)
		*slot_word(class, zspage, i) = (i + 1UL) << 1;
	zspage->inuse = zspage->free = 0;
	zspage->next = class->zspages;
	class->zspages = zspage;
	return zspage;
}

ul zs_malloc(struct zs_pool *pool, ul bytes, u32 gfp, int node)
{
	struct size_class *class;
	struct zspage *zspage;
	ul *handle, *word, slot;

	if (!bytes)
		return -22UL;
	if (bytes > PAGE)
		return -28UL;
	bytes = bytes + HEADER > PAGE ? PAGE : bytes + HEADER;
	class = pool->size_class[bytes <= SMALLEST ? 0 :
				 (bytes - SMALLEST + DELTA - 1) / DELTA];
	handle = kmem_cache_alloc(pool->handles, 0);
	if (!handle)
		return -12UL;
	_raw_spin_lock(pool->lock);
	for (zspage = class->zspages; zspage; zspage = zspage->next)
		if (zspage->inuse < (u32)class->objs_per_zspage)
			break;
	if (!zspage)
		zspage = open(pool, class);
	if (!zspage) {
		_raw_spin_unlock(pool->lock);
		kmem_cache_free(pool->handles, handle);
		return -12UL;
	}
	slot = zspage->free;
	word = slot_word(class, zspage, slot);
	zspage->free = *word >> 1;
	zspage->inuse++;
	if (!is_huge(class))
		*word = (ul)handle | ALLOCATED;
	*handle = frame(zspage->pages[slot * class->size / PAGE]) << INDEX_BITS | slot;
	_raw_spin_unlock(pool->lock);
	return (ul)handle;
}

struct place {
	struct size_class *class;
	struct zspage *zspage;
	ul slot;
	struct page *page[2];
	ul offset;	/* of the payload in the first page */
};

static void find(ul handle, struct place *place)
{
	ul word = *(ul *)handle, at;
	struct page *page = memmap + (word >> INDEX_BITS);

	place->zspage = (struct zspage *)page->private;
	place->class = (struct size_class *)page->index;
	place->slot = word & ((1UL << INDEX_BITS) - 1);
	at = place->slot * place->class->size;
	at += is_huge(place->class) ? 0 : HEADER;
	/* The header never spans: classes are multiples of 16. */
	place->page[0] = place->zspage->pages[at / PAGE];
	place->page[1] = at / PAGE + 1 < (ul)place->class->pages_per_zspage ?
				 place->zspage->pages[at / PAGE + 1] : 0;
	place->offset = at % PAGE;
}

void zs_free(struct zs_pool *pool, ul handle)
{
	struct zspage **link;
	struct place place;
	int i;

	_raw_spin_lock(pool->lock);
	find(handle, &place);
	*slot_word(place.class, place.zspage, place.slot) = (ul)place.zspage->free << 1;
	place.zspage->free = place.slot;
	kmem_cache_free(pool->handles, (void *)handle);
	if (--place.zspage->inuse)
		goto out;
	for (link = &place.class->zspages; *link != place.zspage;)
		link = &(*link)->next;
	*link = place.zspage->next;
	for (i = 0; i < place.class->pages_per_zspage; i++)
		__free_pages(place.zspage->pages[i], 0);
	kmem_cache_free(pool->zspages, place.zspage);
out:
	_raw_spin_unlock(pool->lock);
}

static ul first_part(const struct place *place, ul bytes)
{
	return place->offset + bytes > PAGE ? PAGE - place->offset : bytes;
}

void zs_obj_write(struct zs_pool *pool, ul handle, const char *from, ul bytes)
{
	struct place place;
	ul part;

	find(handle, &place);
	part = first_part(&place, bytes);
	memcpy(address(place.page[0]) + place.offset, from, part);
	if (part < bytes)
		memcpy(address(place.page[1]), from + part, bytes - part);
}

#if API < 3
static void *read(ul handle, ul bytes, char *buffer)
{
	struct place place;
	ul part;

	find(handle, &place);
	part = first_part(&place, bytes);
	if (part == bytes)
		return address(place.page[0]) + place.offset;
	memcpy(buffer, address(place.page[0]) + place.offset, part);
	memcpy(buffer + part, address(place.page[1]), bytes - part);
	return buffer;
}
#endif

#if API == 1
/* 6.15 does not know the length: all that is left of the slot. */
void *zs_obj_read_begin(struct zs_pool *pool, ul handle, void *buffer)
{
	struct place place;

	find(handle, &place);
	return read(handle, place.class->size - (is_huge(place.class) ? 0 : HEADER),
		    buffer);
}

void zs_obj_read_end(struct zs_pool *pool, ul handle, void *address)
{
}
#elif API == 2
void *zs_obj_read_begin(struct zs_pool *pool, ul handle, ul bytes, void *buffer)
{
	return read(handle, bytes, buffer);
}

void zs_obj_read_end(struct zs_pool *pool, ul handle, ul bytes, void *address)
{
}
#else
void zs_obj_read_sg_begin(struct zs_pool *pool, ul handle, struct scatterlist *sg,
			  ul bytes)
{
	struct place place;
	ul part;

	find(handle, &place);
	part = first_part(&place, bytes);
	sg[0].page_link = (ul)place.page[0];
	sg[0].offset = place.offset;
	sg[0].length = part;
	sg[1].page_link = (ul)place.page[1];
	sg[1].offset = 0;
	sg[1].length = bytes - part;
}

void zs_obj_read_sg_end(struct zs_pool *pool, ul handle)
{
}
#endif
