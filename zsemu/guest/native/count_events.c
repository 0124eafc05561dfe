// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fills a row of counts for every operation and phase, from every instruction
 * and every access. Unicorn's events are normalised here to what hardware
 * retires; see README.md for the definitions of the counts.
 */

#define BLOCK_SIZE	64	/* of a dc zva, on all of Unicorn's CPUs */
#define UC_MEM_WRITE	17	/* a read is 16 */

/* Count for the current instruction what was counted in the row. */
static void attribute(struct hooks *h, enum column column, uint64_t amount)
{
	const struct run *run = &h->run;
	uint64_t at = run->phase * h->image.text_size + run->pc - h->image.text;

	if (h->profile.counts)
		h->profile.counts[at * PROFILE + column] +=
			amount * h->profile.weight[run->operation];
}

void on_code(void *uc, uint64_t address, uint32_t size, void *user)
{
	struct hooks *h = user;
	uint64_t offset = address - h->image.text;
	uint32_t *row;
	int kind;

	if (offset >= h->image.text_size)
		return;
	if (follow(h, uc, address) == DRIVER) {
		h->run.pc = address;
		return;
	}
	if (address == h->by_span.access_out || address == h->by_span.access_in)
		judge_spans(h, address);
	spend(h, uc);
	follow_calls(h, address, size);
	row = row_of(h);
	kind = h->image.kind[offset] & KIND;
	h->rows.round = kind == STRING;
	h->rows.zeroing = kind == BLOCK_ZERO;
	/* One instruction, however often it is executed. */
	if (kind == STRING && h->run.pc == address)
		return;
	h->run.pc = address;
	row[INSTRUCTIONS]++;
	attribute(h, INSTRUCTIONS, 1);
	row[CLASS_LOAD + h->image.class[offset]]++;
	if (kind >= TLB) {
		row[TLB_PAGE_LOCAL + kind - TLB]++;
		if (h->translations.strict)
			on_invalidate(h, uc, offset, kind - TLB);
	}
}

/* Count a cache line, once in each epoch. */
static void touch(struct hooks *h, void *uc, uint32_t *row, uint64_t line,
		  int store)
{
	struct rows *rows = &h->rows;
	uint64_t i = line * 0x9e3779b97f4a7c15ULL >> (64 - LINE_BITS);

	for (;; i = (i + 1) & ((1 << LINE_BITS) - 1)) {
		struct line *l = &rows->lines[i];

		if (l->epoch != rows->epoch) {
			*l = (struct line){ line, rows->epoch, store, 0 };
			row[LINES_TOUCHED]++;
			row[LINES_DIRTIED] += store;
			/* Else the search for a free place might never end. */
			if (row[LINES_TOUCHED] == LINES_MAX && !h->run.stopped)
				stop(h, uc, TOO_MUCH_MEMORY);
			return;
		}
		if (l->line == line) {
			if (store && !l->dirty) {
				l->dirty = 1;
				row[LINES_DIRTIED]++;
			}
			return;
		}
	}
}

/* Count a store of a page-table entry; the halves of an 8-byte one are one. */
static void count_entry(struct hooks *h, const struct access *a, uint32_t *row)
{
	struct rows *rows = &h->rows;
	struct translations *t = &h->translations;
	uint64_t pte = a->offset / t->pte_size;
	uint64_t half = 1ULL << a->offset % t->pte_size;

	t->pte_pc = h->run.pc;
	if (t->strict)
		store_entry(t, a->offset - h->memory.leaf, a->size, a->value);
	if (pte != rows->last_pte || rows->pte_halves & half) {
		row[PTE_STORES]++;
		rows->pte_halves = 0;
	}
	rows->last_pte = pte;
	rows->pte_halves |= half;
}

static void count_access(struct hooks *h, void *uc, const struct access *a,
			 uint32_t *row)
{
	const struct memory *m = &h->memory;
	uint64_t first = a->offset >> LINE_SHIFT;
	uint64_t last = (a->offset + a->size - 1) >> LINE_SHIFT;
	uint64_t inside = (a->offset - m->zspages) % ZSPAGE_SIZE;
	int region = a->region;
	uint32_t *traffic;

	if (region == ZSPAGE)
		region = inside >= ZSPAGE_WORDS ? STATE : BATCH;
	traffic = row + REGIONS + 4 * region;
	row[LOADS + a->store]++;
	row[BYTES_LOADED + a->store] += a->size;
	attribute(h, LOADS + a->store, 1);
	attribute(h, BYTES_LOADED + a->store, a->size);
	traffic[a->store]++;
	traffic[2 + a->store] += a->size;

	if (a->store && region == BUFFER)
		note_used(h, a);
	if (a->store && region == PAGETABLE)
		count_entry(h, a, row);
	touch(h, uc, row, first, a->store);
	if (last != first)
		touch(h, uc, row, last, a->store);
}

void on_memory(void *uc, int type, uint64_t address, int size, int64_t value,
	       void *user)
{
	struct hooks *h = user;
	struct access a = {
		address, address - h->memory.start, size, value,
		type == UC_MEM_WRITE, OTHER,
	};
	const struct expected *e;
	uint32_t *row;
	uint8_t kind;

	/* Where nothing is hooked, Unicorn shows what its TLB does not have. */
	if (h->run.phase == DRIVER || h->by_span.judged)
		return;
	/* A store-exclusive that succeeds shows a read, too. */
	kind = h->image.kind[h->run.pc - h->image.text];
	if (!a.store && (kind & KIND) == STORE_EXCLUSIVE)
		return;
	if ((kind & KIND) == BLOCK_ZERO) {
		/* Unicorn shows it byte by byte, and two probes. */
		if (!a.store || !h->rows.zeroing)
			return;
		h->rows.zeroing = 0;
		a.size = BLOCK_SIZE;
		a.offset &= -(uint64_t)BLOCK_SIZE;
		a.address &= -(uint64_t)BLOCK_SIZE;
	}
	if (a.offset < h->memory.size)
		a.region = h->memory.region[a.offset >> h->memory.page_shift];
	e = expected_of(h);
	row = row_of(h);
	row[STRING_ITERATIONS] += h->rows.round;
	attribute(h, STRING_ITERATIONS, h->rows.round);
	h->rows.round = 0;

	if (kind & ALIGNED && a.address % a.size)
		report(h, MISALIGNED, h->run.pc, a.address, a.size, a.value);
	if (a.address % a.size && h->run.phase != ACCESS)
		row[UNALIGNED]++;
	if (a.store)
		judge_store(h, e, &a, row);
	else
		judge_load(h, e, &a, row);
	keep_access(h, &a);
	count_access(h, uc, &a, row);
}
