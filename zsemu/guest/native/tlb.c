// SPDX-License-Identifier: GPL-2.0-only
/*
 * Serves the windows' page table as a device, so that a missing invalidate
 * shows whatever Unicorn's own TLB happens to hold. The guest's stores go into
 * one table, and the MMU reads another: there an entry that was present stays
 * as it was until its invalidate.
 */

uint64_t leaf_read(void *uc, uint64_t offset, unsigned int size, void *user)
{
	struct translations *t = &((struct hooks *)user)->translations;

	return offset + size > LEAF_MAX ? 0 : load(t->served + offset, size);
}

/*
 * Does nothing: Unicorn may hand over an 8-byte store in halves, while
 * on_memory() has it whole and calls store_entry().
 */
void leaf_write(void *uc, uint64_t offset, unsigned int size, uint64_t value,
		void *user)
{
}

/* Let the MMU see an entry, by its offset in the table, as it was stored. */
static void serve(struct translations *t, uint64_t at)
{
	memcpy(t->served + at, t->stored + at, t->pte_size);
}

static void store_entry(struct translations *t, uint64_t offset, uint64_t size,
			uint64_t value)
{
	uint64_t at = offset / t->pte_size * t->pte_size;

	if (offset + size > LEAF_MAX)
		return;
	memcpy(t->stored + offset, &value, size);
	/* What is not present is not cached: the new entry is seen at once. */
	if (!(load(t->served + at, t->pte_size) & t->pte_present))
		serve(t, at);
}

static void invalidate_page(struct translations *t, uint64_t page)
{
	uint64_t at = page * t->pte_size;

	if (at < LEAF_MAX)
		serve(t, at);
}

static void invalidate_all(struct translations *t)
{
	memcpy(t->served, t->stored, LEAF_MAX);
}

/* Follow an invalidate, by its offset in the text; which: 0 to 3, its kind. */
static void on_invalidate(struct hooks *h, void *uc, uint64_t offset, int which)
{
	struct translations *t = &h->translations;
	const struct image *image = &h->image;
	uint64_t address = 0;

	if (which >= TLB_ALL_LOCAL - TLB_PAGE_LOCAL) {
		invalidate_all(t);
		return;
	}
	t->read_register(uc, image->operand[offset], &address);
	if (image->word_bits == 32)
		address = (uint32_t)address;
	address <<= image->operand_shift;
	address += image->displacement[offset];
	invalidate_page(t, (address - t->window) >> t->mmu_shift);
}

/* Report the CPU's entries that have changed without their invalidate. */
static void judge_translations(struct hooks *h, void *uc)
{
	struct translations *t = &h->translations;
	uint64_t first = expected_of(h)->cpu * t->window_ptes, i, at, stored;

	for (i = first; i < first + t->window_ptes; i++) {
		at = i * t->pte_size;
		stored = load(t->stored + at, t->pte_size);
		if (load(t->served + at, t->pte_size) != stored) {
			report(h, STALE, t->pte_pc,
			       t->window + (i << t->mmu_shift), t->pte_size,
			       stored);
			/*
			 * Once is enough. What Unicorn still holds, and for how
			 * long, must not decide what is found from here on.
			 */
			serve(t, at);
			t->control(uc, UC_FLUSH_TLB);
		}
	}
}
