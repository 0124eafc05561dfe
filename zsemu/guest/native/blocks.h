/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The histogram of translated blocks: how often each ran, in the cells that
 * it has. The callbacks on_block() of strategies and of kernels' objects fill
 * it; zsemu/guest/block_histogram.py makes and reads it.
 */
#ifndef ZSEMU_BLOCKS_H
#define ZSEMU_BLOCKS_H

#include <stdint.h>

/* A translated block of Unicorn's. */
struct block {
	uint64_t address;
	uint32_t size;
	uint32_t next;		/* another block of the same address, + 1 */
};

struct blocks {
	uint32_t *at;			/* by offset in the text: number + 1 */
	struct block *block;		/* by number */
	uint64_t *hits, *repeats;	/* [number][cell] */
	uint64_t number, max;		/* blocks that there are, and fit */
	uint64_t cell;			/* phase and scope of what runs now */
	/* the last block of this phase: address (0: none), size, cell */
	uint64_t previous, previous_size, previous_cell;
	/*
	 * How often it ran again, which is not among the hits yet: a loop's
	 * rounds are counted in one place, whose neighbours are read with it.
	 */
	uint64_t rounds;
};

#define NO_BLOCK	(~0U)	/* there is no room for another */

static uint32_t block_of(struct blocks *blocks, uint64_t offset,
			 uint64_t address, uint32_t size)
{
	uint32_t *link = &blocks->at[offset];

	while (*link) {
		struct block *b = &blocks->block[*link - 1];

		if (b->size == size)
			return *link - 1;
		link = &b->next;
	}
	if (blocks->number == blocks->max)
		return NO_BLOCK;
	blocks->block[blocks->number] = (struct block){ address, size, 0 };
	*link = ++blocks->number;
	return *link - 1;
}

/* Whether the last block runs again: most blocks are a loop's next round. */
static int is_round(const struct blocks *blocks, uint64_t address, uint32_t size)
{
	return address == blocks->previous && size == blocks->previous_size;
}

static void count_round(struct blocks *blocks)
{
	blocks->rounds++;
}

static void add_rounds(struct blocks *blocks)
{
	blocks->hits[blocks->previous_cell] += blocks->rounds;
	blocks->repeats[blocks->previous_cell] += blocks->rounds;
	blocks->rounds = 0;
}

/* Count any other block, of which each has so many cells; 0 without room. */
static int count_block(struct blocks *blocks, uint64_t offset,
		       uint64_t address, uint32_t size, uint64_t cells)
{
	uint32_t block = block_of(blocks, offset, address, size);
	uint64_t cell = block * cells + blocks->cell;

	if (block == NO_BLOCK)
		return 0;
	add_rounds(blocks);
	blocks->hits[cell]++;
	/* A rep-prefixed instruction: every round is a block of its own. */
	if (blocks->previous + blocks->previous_size == address + size)
		blocks->repeats[cell]++;
	blocks->previous = address;
	blocks->previous_size = size;
	blocks->previous_cell = cell;
	return 1;
}

#endif
