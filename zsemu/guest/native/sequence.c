// SPDX-License-Identifier: GPL-2.0-only
/* Keeps every access of the operations that run, in order. */

static void add_step(struct hooks *h, uint64_t offset, uint64_t size, int store)
{
	struct sequence *s = &h->sequence;

	/* The host sees that there was no room by the number. */
	if (s->number < s->max)
		s->step[s->number] = offset << STEP_OFFSET | size << STEP_SIZE |
				     (uint64_t)store << STEP_STORE |
				     h->run.phase << STEP_PHASE;
	s->end[h->run.operation] = ++s->number;
}

/*
 * Unicorn tells the physical address of the first byte. Only a window shows two
 * pages of the pool beside each other: what is behind the first is the start of
 * the slot's second part.
 */
static void keep_access(struct hooks *h, const struct access *a)
{
	uint64_t page = 1ULL << h->memory.page_shift;
	uint64_t left = page - a->offset % page;

	if (!h->sequence.step)
		return;
	if (a->region != POOL || a->size <= left) {
		add_step(h, a->offset, a->size, a->store);
		return;
	}
	add_step(h, a->offset, left, a->store);
	add_step(h, expected_of(h)->part[1], a->size - left, a->store);
}
