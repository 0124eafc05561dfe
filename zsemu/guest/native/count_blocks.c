// SPDX-License-Identifier: GPL-2.0-only
/* Counts how often each translated block ran, by phase and scope. */

/*
 * Out of line, so that on_block() saves no register for it: on_block() runs as
 * often as anything here, and mostly for the next round of a loop.
 */
static __attribute__((noinline)) void other_block(struct hooks *h, void *uc,
						  uint64_t address, uint32_t size)
{
	uint64_t offset = address - h->image.text;

	if (offset >= h->image.text_size)
		return;
	if ((h->run.phase == DRIVER || !lasts(h)) &&
	    follow(h, uc, address) == DRIVER)
		return;
	spend(h, uc);
	if (!count_block(&h->blocks, offset, address, size, PHASES * SCOPES))
		stop(h, uc, TOO_MANY_BLOCKS);
}

void on_block(void *uc, uint64_t address, uint32_t size, void *user)
{
	struct hooks *h = user;

	if (!is_round(&h->blocks, address, size) || !lasts(h)) {
		other_block(h, uc, address, size);
		return;
	}
	spend(h, uc);
	count_round(&h->blocks);
}
