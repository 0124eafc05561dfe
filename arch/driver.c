// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest program: replays a batch of operations, each to completion.
 *
 * It plays the allocator and its user. Everything in section .text.driver is
 * nobody's cost; the functions in .access are the access phase; whatever
 * the strategy's three functions execute is the settle, map or unmap phase.
 */
#include "driver.h"
#include "user.h"

#define __driver	__attribute__((section(".text.driver"), noinline))
/* At -O0, too: out of line, it would lie among the strategy's functions. */
#define __part_of_driver	inline __attribute__((always_inline))

#define op_of(location) \
	((struct zs_op *)((char *)(location) - __builtin_offsetof(struct zs_op, loc)))

struct zs_boot zs_boot_info;
struct zs_batch zs_batch;
/* Read once: a host that starts two CPUs gives each a batch of its own. */
struct zs_batch *zs_next_batch = &zs_batch;
unsigned long zs_direct_map;
struct zs_by_span zs_by_span;

/* The slot's first word: link of the free list, or header. It is the driver's. */
static __driver unsigned long *first_word(struct zs_location *loc)
{
	op_of(loc)->phase = ZS_NO_PHASE;
	return (unsigned long *)(zs_page_address(loc->zspage, loc->page) +
				 loc->offset);
}

static __driver void settle(struct zs_area *area, struct zs_location *loc)
{
	if (!zs_settle)
		return;
	op_of(loc)->phase = ZS_IN_SETTLE;
	zs_settle(area, loc);
}

/* As init_zspage(): every slot's first word links to the next, tag bit clear. */
static __driver void open_zspage(struct zspage *zspage)
{
	/* What a stray store has left there must not make it endless. */
	unsigned long offset = 0, size = zspage->class_size ?: PAGE_SIZE;
	u32 page = 0, slot = 0;

	for (; page < zspage->nr_pages; offset -= PAGE_SIZE, page++) {
		char *address = zs_page_address(zspage, page);

		zspage->word[page] = 0;
		for (; offset < PAGE_SIZE; offset += size)
			*(unsigned long *)(address + offset) = slot++ << 1;
	}
}

static __driver u32 total_length(const struct zs_span *span, u32 spans)
{
	if (spans == 1)
		return span[0].length;
	if (spans == 2)
		return span[0].length + span[1].length;
	return ~0U;
}

/* Maps that last from a hold to its release. */
static struct {
	struct zs_span span[2];
	u32 spans;
} held[ZS_MAX_HELD];

static __driver u32 map(struct zs_area *area, struct zs_op *op,
			struct zs_span *span)
{
	u32 spans;

	if (op->kind == ZS_ACCESS) {
		span[0].addr = (void *)op->span;
		span[0].length = op->loc.length;
		return 1;
	}
	span[0].length = span[1].length = 0;
	op->phase = ZS_IN_MAP;
	spans = zs_map_object(area, &op->loc, op->mode, op->caller, span);
	if (total_length(span, spans) != op->loc.length)
		op->error = ZS_BAD_SPANS;
	op->span = spans == 1 ? (unsigned long)span[0].addr : 0;
	return spans;
}

/*
 * The user's access once more, where nothing is hooked but the first block of
 * each function. The host judges it there, by its spans: see struct zs_by_span.
 */
#define ZS_OUT		zs_access_out_by_span
#define ZS_IN		zs_access_in_by_span
#define ZS_USER_COPY	zs_copy_by_span
#define ZS_USER_SECTION	".access.by_span"
#include "access.h"

/* Where the host knows by an address what lies there. */
static __part_of_driver int is_plain(unsigned long at)
{
	return at - zs_by_span.callers < zs_by_span.callers_size ||
	       at - zs_by_span.pool < zs_by_span.pool_size ||
	       at - zs_by_span.buffers < zs_by_span.buffers_size;
}

/* The spans that the user has are its own. */
static __driver void give(struct zs_span *own, const struct zs_span *span,
			  u32 spans)
{
	u32 i;

	for (i = 0; i < spans; i++) {
		own[i].addr = span[i].addr;
		own[i].length = span[i].length;
	}
}

/* Whether the host judges an access by its spans, of which it is told. */
static __driver int by_span(const struct zs_span *span, u32 spans)
{
	u32 i;

	if (!zs_by_span.wanted || zs_by_span.each)
		return 0;
	zs_by_span.length[1] = 0;
	for (i = 0; i < spans; i++) {
		if (!is_plain((unsigned long)span[i].addr))
			return 0;
		zs_by_span.addr[i] = (unsigned long)span[i].addr;
		zs_by_span.length[i] = span[i].length;
	}
	return 1;
}

static __driver void access_out(const struct zs_span *span, u32 spans,
				char *buffer)
{
	struct zs_span own[2];

	give(own, span, spans);
	if (by_span(own, spans))
		zs_access_out_by_span(own, spans, buffer);
	else
		zs_access_out(own, spans, buffer);
}

static __driver void access_in(const struct zs_span *span, u32 spans,
			       char *buffer)
{
	struct zs_span own[2];

	give(own, span, spans);
	if (by_span(own, spans))
		zs_access_in_by_span(own, spans, buffer);
	else
		zs_access_in(own, spans, buffer);
}

static __part_of_driver void begin_access(struct zs_op *op)
{
	op->phase = ZS_IN_ACCESS;
	zs_by_span.each = op->flags & ZS_EACH;
}

static __driver void access(struct zs_op *op, const struct zs_span *span,
			    u32 spans)
{
	char *caller = op->caller;

	begin_access(op);
	if (op->mode != ZS_MM_WO)
		access_out(span, spans, caller);
	if (op->mode == ZS_MM_RW)
		zs_exchange(caller, op->update, op->loc.length);
	if (op->mode != ZS_MM_RO)
		access_in(span, spans, caller);
}

static __driver void use(struct zs_area *area, struct zs_op *op)
{
	struct zs_span span[2];
	u32 spans = map(area, op, span);

	if (op->error)
		return;
	access(op, span, spans);
	if (op->kind == ZS_ACCESS)
		return;
	op->phase = ZS_IN_UNMAP;
	zs_unmap_object(area, &op->loc, op->mode, op->caller);
}

static __driver void hold(struct zs_area *area, struct zs_op *op)
{
	/* A strategy may store into the stack, but not into static data. */
	struct zs_span span[2];
	u32 spans = map(area, op, span);

	held[op->held].spans = spans;
	held[op->held].span[0].addr = span[0].addr;
	held[op->held].span[0].length = span[0].length;
	held[op->held].span[1].addr = span[1].addr;
	held[op->held].span[1].length = span[1].length;
	begin_access(op);
	if (!op->error && op->mode != ZS_MM_WO)
		access_out(span, spans, op->caller);
}

/*
 * What was seen when the map began must still be there: a reader looks once
 * more, into a buffer of its own.
 */
static __driver void release(struct zs_area *area, struct zs_op *op)
{
	const struct zs_span *span = held[op->held].span;
	u32 spans = held[op->held].spans;

	begin_access(op);
	if (op->mode == ZS_MM_RO)
		access_out(span, spans, op->update);
	else
		access(op, span, spans);
	op->phase = ZS_IN_UNMAP;
	zs_unmap_object(area, &op->loc, op->mode, op->caller);
}

/* Copies raw bytes of a slot as zs_object_copy() does, page part by page part. */
static __driver void move(const struct zs_location *from,
			  const struct zs_location *to)
{
	u32 i, size = from->zspage->class_size;

	for (i = 0; i < size; i += sizeof(unsigned long)) {
		u32 source = from->offset + i, target = to->offset + i;

		*(unsigned long *)(zs_page_address(to->zspage,
						   to->page + target / PAGE_SIZE) +
				   target % PAGE_SIZE) =
			*(unsigned long *)(zs_page_address(from->zspage,
							   from->page + source / PAGE_SIZE) +
					   source % PAGE_SIZE);
	}
}

/* The page's word stays with it: it belongs to the same place in the chain. */
static __driver void migrate(struct zspage *zspage, u32 page, unsigned long pfn)
{
	const unsigned long *from = (unsigned long *)zs_page_address(zspage, page);
	unsigned long *to, i;

	zspage->pfn[page] = pfn;
	to = (unsigned long *)zs_page_address(zspage, page);
	for (i = 0; i < PAGE_SIZE / sizeof(*to); i++)
		to[i] = from[i];
}

static __driver void operate(struct zs_area *area, struct zs_op *op)
{
	struct zs_location *loc = &op->loc;

	switch (op->kind) {
	case ZS_ALLOCATE:
		if (op->flags & ZS_OPENS)
			open_zspage(loc->zspage);
		settle(area, loc);
		op->found = *first_word(loc);
		if (loc->header)
			*first_word(loc) = op->handle;
		break;
	case ZS_FREE:
		settle(area, loc);
		op->found = *first_word(loc);
		*first_word(loc) = (unsigned long)loc->slot << 1;
		break;
	case ZS_SETTLE:
		settle(area, loc);
		break;
	case ZS_MOVE:
		move(loc, &op->to);
		*first_word(loc) = (unsigned long)loc->slot << 1;
		break;
	case ZS_MIGRATE:
		migrate(loc->zspage, loc->page, op->handle);
		break;
	case ZS_HOLD:
		hold(area, op);
		break;
	case ZS_RELEASE:
		release(area, op);
		break;
	default:
		if (op->flags & ZS_CHECK) {
			settle(area, loc);
			op->found = *first_word(loc);
		}
		use(area, op);
	}
}

static __part_of_driver u32 mix(u32 state, unsigned long word)
{
	if (!word)
		return state;
	state ^= (u32)word + (u32)(word >> (4 * sizeof(word)));
	return ((state << 13 | state >> 19) * 0x9e3779b1U) | 1;
}

/*
 * The state that an operation on the slot can depend on: the words of the
 * pages that it and its neighbours touch. Zero if they all are.
 */
static __part_of_driver u32 state_of(const struct zs_location *loc)
{
	const struct zspage *zspage = loc->zspage;
	u32 page = loc->page, state = 0;

	if (page)
		state = mix(state, zspage->word[page - 1]);
	state = mix(state * 3, zspage->word[page]);
	if (page + 1 < zspage->nr_pages && zs_spans(loc))
		state = mix(state * 3, zspage->word[page + 1]);
	/* What is displaced lies where the class size says. */
	return state ? mix(state, zspage->class_size) : 0;
}

/* The pair of a shape and a state, or where it would be: its state is zero. */
static __driver u32 *find_state(const struct zs_batch *batch,
				const struct zs_op *op)
{
	unsigned long i, first = op->shape * 31 + op->state;
	u32 *pair;

	/* One place is free: were the mask overwritten, this would not end. */
	for (i = 0; i <= batch->known_mask; i++) {
		pair = batch->known_state + ((first + i) & batch->known_mask) * 2;
		if (!pair[1] || (pair[0] == op->shape && pair[1] == op->state))
			break;
	}
	return pair;
}

static __part_of_driver u32 is_known(const struct zs_batch *batch,
				     const struct zs_op *op)
{
	return op->state ? find_state(batch, op)[1] : batch->known[op->shape];
}

static __driver void learn(struct zs_batch *batch, const struct zs_op *op)
{
	u32 *pair;

	if (!op->state) {
		batch->known[op->shape] = 1;
		return;
	}
	/* One place stays free, or a search would never end. */
	if (batch->nr_known == batch->known_mask)
		return;
	pair = find_state(batch, op);
	pair[0] = op->shape;
	pair[1] = op->state;
	batch->nr_known++;
}

static __driver u32 stops(struct zs_batch *batch, struct zs_op *op)
{
	u32 known;

	/* Without shapes nobody asks; and the words are not this CPU's alone. */
	if (batch->known)
		op->state = state_of(&op->loc);
	if (batch->stop_at == ZS_STOP_NEVER)
		return 0;
	known = is_known(batch, op);
	if (batch->stop_at == ZS_STOP_NEW)
		return !known;
	if (!known)
		learn(batch, op);
	return known;
}

__driver void zs_driver(void)
{
	struct zs_batch *batch = zs_next_batch;
	volatile unsigned long *current = &batch->current;
	unsigned long i;

	for (i = batch->first; i < batch->last; i++) {
		struct zs_op *op = &batch->ops[i];

		*current = i;
		if (stops(batch, op))
			break;
		operate((struct zs_area *)((char *)batch->area +
					   op->cpu * batch->area_stride),
			op);
		if (op->error)
			break;
	}
	*current = i;
}
