// SPDX-License-Identifier: GPL-2.0-only
/* Counts how often each translated block ran, by phase and scope. */

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

/*
 * Out of line, so that on_block() saves no register for it: on_block() runs as
 * often as anything here, and mostly for the next round of a loop.
 */
static __attribute__((noinline)) void other_block(struct hooks *h, void *uc,
						  uint64_t address, uint32_t size)
{
	struct blocks *blocks = &h->blocks;
	uint64_t offset = address - h->image.text, cell;
	uint32_t block;

	if (offset >= h->image.text_size)
		return;
	if (follow(h, uc, address) == DRIVER)
		return;
	spend(h, uc);
	block = block_of(blocks, offset, address, size);
	if (block == NO_BLOCK) {
		stop(h, uc, TOO_MANY_BLOCKS);
		return;
	}
	cell = block * (PHASES * SCOPES) + blocks->cell;
	blocks->hits[cell]++;
	/* A rep-prefixed instruction: every round is a block of its own. */
	if (blocks->previous + blocks->previous_size == address + size)
		blocks->repeats[cell]++;
	blocks->previous = address;
	blocks->previous_size = size;
	blocks->previous_cell = cell;
}

void on_block(void *uc, uint64_t address, uint32_t size, void *user)
{
	struct hooks *h = user;
	struct blocks *blocks = &h->blocks;

	if (address != blocks->previous || size != blocks->previous_size) {
		other_block(h, uc, address, size);
		return;
	}
	spend(h, uc);
	blocks->hits[blocks->previous_cell]++;
	blocks->repeats[blocks->previous_cell]++;
}
