/* SPDX-License-Identifier: GPL-2.0-only */
/* Knows what lies where, and what an operation may load or store there. */
#ifndef ZSEMU_PLACES_H
#define ZSEMU_PLACES_H

#include <stdint.h>

#define ZSPAGE_SIZE	512
#define ZSPAGE_PFNS	64
#define ZSPAGE_WORDS	256
#define OUTSIDE		(~0ULL)

/* Regions of guest memory, as zsemu/guest/memory.py has them. */
enum region {
	POOL, BUFFER, CALLER, PAGETABLE, STATE, BATCH, STACK, CODE, OTHER,
	NR_REGIONS,
	/* Descriptors count as batch, and as state from ZSPAGE_WORDS on. */
	ZSPAGE,
};

/* What the host knows of an operation, by which its accesses are judged. */
struct expected {
	uint32_t scope;
	uint32_t cpu;
	int64_t zspage;		/* index of its descriptor */
	uint64_t low, high;	/* bytes of the zspage that it may displace */
	uint64_t caller;	/* caller's buffer: offset in RAM ... */
	uint64_t length;	/* ... and length, that of the payload */
	uint64_t given;		/* the buffer that the strategy was given, as long */
	uint64_t header;	/* bytes before the payload */
	uint64_t reads;		/* whether it is mapped read-only */
	/* its slot: offsets in RAM of its one or two parts, and their sizes */
	uint64_t part[2];
	uint64_t bytes[2];
};

/* What lies where in guest RAM. Offsets are from the start of the RAM. */
struct memory {
	uint8_t *ram;
	uint64_t start, size, page_shift;	/* start: physical address */
	/* by page of RAM */
	const uint8_t *region;
	const int32_t *owner;		/* CPU, or zspage of a pool page */
	const int32_t *index;		/* which page of its zspage it is */
	uint64_t zspages;		/* offset of the descriptors */
	uint64_t ops, op_size;		/* offset of the records, size of one */
	uint64_t data, data_size;	/* the image's static data */
	uint64_t buffers;		/* offset of CPU 0's buffer ... */
	uint64_t stride;		/* ... and bytes to the next one's */
	uint64_t leaf;			/* the windows' page table ... */
	uint64_t leaf_stride;		/* ... and bytes of it that a CPU owns */
};

/* An access to memory as counts and judgement take it. */
struct access {
	uint64_t address;		/* physical */
	uint64_t offset;		/* in RAM */
	uint64_t size;
	uint64_t value;			/* that is stored */
	int store;			/* 0: a load, 1: a store */
	int region;
};

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
static int allowed(const struct memory *m, const struct expected *e,
		   uint64_t operation, const struct access *a)
{
	uint64_t offset = a->offset, page = offset >> m->page_shift;
	uint64_t at;

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
		return offset >= m->leaf &&
		       (offset - m->leaf) / m->leaf_stride == e->cpu;
	case CALLER:
		return within(a, e->caller, e->length) ||
		       (!a->store && within(a, e->given, e->length));
	case BATCH:
		at = m->ops + operation * m->op_size;
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

#endif
