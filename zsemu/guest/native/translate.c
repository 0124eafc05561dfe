// SPDX-License-Identifier: GPL-2.0-only
/* Has Unicorn translate blocks before they run. */

#define UC_REQUEST_BLOCK	(8U | 2U << 26 | 3U << 30)	/* of uc_ctl() */

/* As Unicorn's uc_tb: what it tells of a block. */
struct translated {
	uint64_t pc;
	uint16_t instructions, size;
};

/* Translate the blocks at so many addresses; return Unicorn's error, or 0. */
int translate(void *uc, int (*control)(void *uc, unsigned int what, ...),
	      const uint64_t *address, uint64_t number)
{
	struct translated block;
	int error = 0;
	uint64_t i;

	for (i = 0; i < number && !error; i++)
		error = control(uc, UC_REQUEST_BLOCK, address[i], &block);
	return error;
}
