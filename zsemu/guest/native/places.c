// SPDX-License-Identifier: GPL-2.0-only
/* Knows what lies where, and what an operation may load or store there. */

#define OUTSIDE		(~0ULL)

static int within(const struct access *a, uint64_t start, uint64_t size)
{
	return a->offset >= start && a->offset + a->size <= start + size;
}

/* Which byte of its zspage a byte of the pool is. */
static uint64_t linear(const struct memory *m, uint64_t offset)
{
	return ((uint64_t)m->index[offset >> m->page_shift] << m->page_shift) +
	       (offset & ((1ULL << m->page_shift) - 1));
}

/* Where in its slot a byte of the pool lies; OUTSIDE if it is not. */
static uint64_t in_slot(const struct expected *e, uint64_t offset)
{
	if (offset - e->part[0] < e->bytes[0])
		return offset - e->part[0];
	if (offset - e->part[1] < e->bytes[1])
		return e->bytes[0] + offset - e->part[1];
	return OUTSIDE;
}

/* Whether all of an access to the pool lies in one part of the slot. */
static int is_inside(const struct expected *e, const struct access *a)
{
	uint64_t end = a->offset + a->size;

	return (a->offset >= e->part[0] && end <= e->part[0] + e->bytes[0]) ||
	       (a->offset >= e->part[1] && end <= e->part[1] + e->bytes[1]);
}

/* Whether an operation may load from there, or store there. */
static int allowed(const struct hooks *h, const struct expected *e,
		   const struct access *a)
{
	const struct memory *m = &h->memory;
	const struct translations *t = &h->translations;
	uint64_t offset = a->offset, page = offset >> m->page_shift;
	uint64_t at, pte;

	switch (a->region) {
	case POOL:
		at = linear(m, offset);
		return m->owner[page] == e->zspage && at >= e->low &&
		       at + a->size <= e->high;
	case BUFFER:
	case STATE:
		return m->owner[page] == e->cpu;
	case ZSPAGE:
		offset -= m->zspages;
		return (int64_t)(offset / ZSPAGE_SIZE) == e->zspage &&
		       (!a->store || offset % ZSPAGE_SIZE >= ZSPAGE_WORDS);
	case PAGETABLE:
		pte = (offset - t->leaf) / t->pte_size;
		return offset >= t->leaf && pte / t->window_ptes == e->cpu;
	case CALLER:
		return within(a, e->caller, e->length) ||
		       (!a->store && within(a, e->given, e->length));
	case BATCH:
		at = m->ops + h->run.operation * m->op_size;
		return !a->store && within(a, at, m->op_size);
	case STACK:
		return 1;
	case CODE:
		return !a->store;
	case OTHER:
		return !a->store && within(a, m->data, m->data_size);
	}
	return 0;
}
