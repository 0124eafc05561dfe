// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest program of a kernel's own zsmalloc: replays a batch of operations
 * on the real allocator, through the interface that this kernel has.
 *
 * Everything in section .text.driver is nobody's cost. What zs_malloc() and
 * so on execute is their phase, whoever they call in turn.
 */
#include "../user.h"
#include "kernel.h"
#include "kernel-target.h"

struct zs_boot zs_boot_info;
struct zk_batch zk_batch;
/* Read once: a host that starts two CPUs gives each a batch of its own. */
struct zk_batch *zk_next_batch = &zk_batch;
struct zk_batch *zk_running[ZK_RUNNERS];

#define GFP_NOIO_HIGHMEM_MOVABLE	(0x400U | 0x800U | 0x2U | 0x8U)

/* The kernel's interface; which of it there is depends on the kernel. */
#define __maybe	__attribute__((weak))
__maybe unsigned long zs_create_pool(const char *name);
__maybe void zs_destroy_pool(unsigned long pool);
/* The last one, the node, is ignored up to 6.15. */
__maybe unsigned long zs_malloc(unsigned long pool, unsigned long bytes, u32 gfp,
				int node);
__maybe void zs_free(unsigned long pool, unsigned long handle);
/* By other names here: arch/zs.h has those of the strategies. */
__maybe void *zk_map(unsigned long pool, unsigned long handle, u32 mode)
	__asm__("zs_map_object");
__maybe void zk_unmap(unsigned long pool, unsigned long handle)
	__asm__("zs_unmap_object");
/* From January 2026 with the length in third place. */
__maybe void *zs_obj_read_begin(unsigned long pool, unsigned long handle,
				unsigned long third, void *fourth);
__maybe void zs_obj_read_end(unsigned long pool, unsigned long handle,
			     unsigned long third, void *fourth);
__maybe void zs_obj_read_sg_begin(unsigned long pool, unsigned long handle,
				  void *list, unsigned long bytes);
__maybe void zs_obj_read_sg_end(unsigned long pool, unsigned long handle);
__maybe void zs_obj_write(unsigned long pool, unsigned long handle, void *from,
			  unsigned long bytes);
__maybe unsigned long zs_compact(unsigned long pool);

static __driver void allocate(struct zk_op *op)
{
	unsigned long handle;

	handle = zs_malloc(zk_state.pool, op->length, GFP_NOIO_HIGHMEM_MOVABLE,
			   -1);
	op->handle = handle;
	op->obj = 0;
	/* IS_ERR_VALUE(), include/linux/err.h; up to 5.x zero */
	if (!handle || handle >= -4095UL)
		handle = 0;
	else
		op->obj = *(unsigned long *)handle;
	zk_config.handles[op->object] = handle;
}

static __driver void read_begin(unsigned long handle, struct zk_op *op,
				struct zs_span *span)
{
	span->length = op->length;
	if (zk_config.api == ZK_MAP)
		span->addr = zk_map(zk_state.pool, handle, op->mode);
	else if (zk_config.api == ZK_READ)
		span->addr = zs_obj_read_begin(zk_state.pool, handle,
					       (unsigned long)zk_config.stream,
					       0);
	else
		span->addr = zs_obj_read_begin(zk_state.pool, handle,
					       op->length, op->caller);
}

static __driver void read_end(unsigned long handle, struct zk_op *op,
			      void *address)
{
	if (zk_config.api == ZK_MAP)
		zk_unmap(zk_state.pool, handle);
	else if (zk_config.api == ZK_READ)
		zs_obj_read_end(zk_state.pool, handle, (unsigned long)address, 0);
	else
		zs_obj_read_end(zk_state.pool, handle, op->length, address);
}

/* One or two spans, as struct scatterlist has them. */
static __driver u32 read_list(unsigned long handle, struct zk_op *op,
			      struct zs_span *span)
{
	unsigned long list[16], at = (unsigned long)list;
	u32 i, left = op->length;

	for (i = 0; i < 16; i++)
		*(volatile unsigned long *)&list[i] = 0;
	zs_obj_read_sg_begin(zk_state.pool, handle, list, op->length);
	for (i = 0; i < 2 && left; i++, at += zk_config.sg_bytes) {
		unsigned long page = *zk_word(at, zk_config.sg_page) & ~3UL;

		span[i].addr = zk_page_address(page) +
			       *(u32 *)(at + zk_config.sg_offset);
		span[i].length = *(u32 *)(at + zk_config.sg_length);
		left -= span[i].length;
	}
	return i;
}

static __driver void use_list(unsigned long handle, struct zk_op *op)
{
	struct zs_span span[2];
	u32 spans;

	if (op->mode != ZS_MM_WO) {
		spans = read_list(handle, op, span);
		zs_access_out(span, spans, op->caller);
		zs_obj_read_sg_end(zk_state.pool, handle);
	}
}

/* To 6.14: map, look or store or both, unmap. */
static __driver void use_map(unsigned long handle, struct zk_op *op)
{
	struct zs_span span;

	read_begin(handle, op, &span);
	op->address = (unsigned long)span.addr;
	if (!span.addr) {
		zk_report(ZK_BAD_RESULT, handle);
		return;
	}
	if (op->mode != ZS_MM_WO)
		zs_access_out(&span, 1, op->caller);
	if (op->mode == ZS_MM_RW)
		zs_exchange(op->caller, op->update, op->length);
	if (op->mode != ZS_MM_RO)
		zs_access_in(&span, 1, op->caller);
	read_end(handle, op, span.addr);
}

/*
 * In 6.15 the user's buffer must hold all of the largest object, whatever its
 * length: the user gives a page of its own, and uses the payload there.
 */
static __driver void use_stream(struct zk_op *op, const struct zs_span *span)
{
	u32 i;

	zs_access_out(span, 1, zk_config.stream);
	for (i = 0; i < op->length; i++)
		op->caller[i] = zk_config.stream[i];
}

/* From 6.15 on: a read has an end, a write is one call, an update is both. */
static __driver void use_read_write(unsigned long handle, struct zk_op *op)
{
	struct zs_span span;

	if (op->mode != ZS_MM_WO && zk_config.api != ZK_SG) {
		read_begin(handle, op, &span);
		op->address = (unsigned long)span.addr;
		if (!span.addr) {
			zk_report(ZK_BAD_RESULT, handle);
			return;
		}
		if (span.addr == zk_config.stream)
			use_stream(op, &span);
		else
			zs_access_out(&span, 1, op->caller);
		read_end(handle, op, span.addr);
	} else if (op->mode != ZS_MM_WO) {
		use_list(handle, op);
	}
	if (op->mode == ZS_MM_RW)
		zs_exchange(op->caller, op->update, op->length);
	if (op->mode != ZS_MM_RO)
		zs_obj_write(zk_state.pool, handle, op->caller, op->length);
}

static __driver void release(struct zk_op *op)
{
	zs_free(zk_state.pool, zk_config.handles[op->object]);
	zk_config.handles[op->object] = 0;
}

/*
 * mm/migrate.c, move_to_new_folio(): isolate, migrate, put back. The old page's
 * other reference is dropped afterwards, and with it the page.
 */
static __driver u32 migrate(struct zk_op *op)
{
	unsigned long page = zk_page(op->handle), to;
	u8 (*isolate)(unsigned long page, u32 mode);
	int (*move)(unsigned long to, unsigned long page, u32 mode);
	void (*putback)(unsigned long page);
	int error;

	if (!zk_state.movable)
		return ~0U;
	isolate = (void *)*zk_word(zk_state.movable, zk_config.isolate);
	move = (void *)*zk_word(zk_state.movable, zk_config.migrate);
	putback = (void *)*zk_word(zk_state.movable, zk_config.putback);
	to = zk_get_page();
	if (!to)
		return ~0U;
	if (!zk_lock_page(page)) {
		*(u32 *)(to + zk_config.page_refcount) = 0;
		zk_put_page(to, 0);
		return ZK_GONE;
	}
	*zk_word(to, zk_config.page_flags) |= zk_config.locked;
	if (!isolate(page, 0)) {
		error = 1;
	} else {
		*zk_word(page, zk_config.page_flags) |= zk_config.isolated;
		error = move(to, page, 2);	/* MIGRATE_SYNC */
		if (error)
			putback(page);
		*zk_word(page, zk_config.page_flags) &= ~zk_config.isolated;
	}
	*zk_word(page, zk_config.page_flags) &= ~zk_config.locked;
	*zk_word(to, zk_config.page_flags) &= ~zk_config.locked;
	/* What has become a page of the pool has a reference of its own. */
	if (!--*(u32 *)(to + zk_config.page_refcount))
		zk_put_page(to, 0);
	else if (error)
		zk_report(ZK_PAGE_USED, to);
	if (!--*(u32 *)(page + zk_config.page_refcount))
		zk_put_page(page, 0);
	return error;
}

/* After two CPUs: do what was left for later, and look for locks. */
static __driver void settle(void)
{
	unsigned long work = zk_state.work;
	void (*function)(unsigned long work);

	zk_state.work = 0;
	if (work) {
		function = (void *)*zk_word(work, zk_config.work_func);
		function(work);
	}
	zk_locks_left();
}

static __driver void operate(struct zk_op *op)
{
	int (*init)(void) = (void *)zk_config.init;
	void (*exit)(void) = (void *)zk_config.exit;

	switch (op->kind) {
	case ZK_ALLOCATE:
		allocate(op);
		break;
	case ZK_FREE:
		release(op);
		break;
	case ZK_INIT:
		op->result = init();
		break;
	case ZK_CREATE:
		zk_state.pool = zs_create_pool("zsemu");
		op->handle = zk_state.pool;
		break;
	case ZK_DESTROY:
		zs_destroy_pool(zk_state.pool);
		break;
	case ZK_EXIT:
		exit();
		break;
	case ZK_COMPACT:
		op->result = zs_compact(zk_state.pool);
		break;
	case ZK_MIGRATE:
		op->result = migrate(op);
		break;
	case ZK_SETTLE:
		settle();
		break;
	default:
		if (zk_config.api == ZK_MAP)
			use_map(zk_config.handles[op->object], op);
		else
			use_read_write(zk_config.handles[op->object], op);
	}
	op->logged = zk_state.logged;
}

/* As in arch/driver.c, but a shape's number alone tells what it costs. */
static __driver u32 stops(const struct zk_batch *batch, const struct zk_op *op)
{
	u32 known = batch->known[op->shape];

	if (batch->stop_at == ZS_STOP_NEW)
		return !known;
	if (!known)
		batch->known[op->shape] = op->shape != 0;
	return known;
}

__driver void zs_driver(void)
{
	struct zk_batch *batch = zk_next_batch;
	volatile unsigned long *current = &batch->current;
	unsigned long i;

	zk_running[zk_me()] = batch;
	zk_cpu_init();
	for (i = batch->first; i < batch->last; i++) {
		struct zk_op *op = &batch->ops[i];

		if (batch->stop_at != ZS_STOP_NEVER && stops(batch, op))
			break;
		*current = i;
		zk_cpu_select(op->cpu);
		operate(op);
		if (!zk_config.parallel)
			zk_locks_left();
	}
	*current = i;
}
