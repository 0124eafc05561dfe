// SPDX-License-Identifier: GPL-2.0-only
/* Judges what an operation does: what it may access, and what was promised. */

#define SCRATCH		0x5a	/* what a CPU's buffer holds before a map */

/* Remember the slot, and overwrite what an earlier map left in the buffer. */
static void before_map(struct hooks *h)
{
	const struct expected *e = expected_of(h);
	uint8_t *ram = h->memory.ram, *slot = h->judgement.slot;

	/* While another object is mapped, its bytes may be there. */
	if (!h->judgement.mapped++) {
		memset(ram + h->memory.buffers + e->cpu * h->memory.stride,
		       SCRATCH, 1ULL << h->memory.page_shift);
		memset(h->judgement.written, 0, h->judgement.written_end);
		h->judgement.written_end = 0;
	}
	memcpy(slot, ram + e->part[0], e->bytes[0]);
	memcpy(slot + e->bytes[0], ram + e->part[1], e->bytes[1]);
}

/* Count the bytes of the slot that are not as they were before the map. */
static uint64_t changed_bytes(const struct hooks *h, const struct expected *e)
{
	const uint8_t *ram = h->memory.ram, *slot = h->judgement.slot;
	uint64_t i, changed = 0;

	for (i = 0; i < e->bytes[0]; i++)
		changed += slot[i] != ram[e->part[0] + i];
	for (i = 0; i < e->bytes[1]; i++)
		changed += slot[e->bytes[0] + i] != ram[e->part[1] + i];
	return changed;
}

/* Count the zspage's page words and the CPU's window entries in use. */
static uint64_t words_left(const struct hooks *h, const struct expected *e)
{
	const struct translations *t = &h->translations;
	const struct memory *m = &h->memory;
	const uint8_t *table = t->strict ? t->stored : m->ram + m->leaf;
	const uint8_t *words = m->ram + m->zspages + e->zspage * ZSPAGE_SIZE +
			       ZSPAGE_WORDS;
	uint64_t word = h->image.word_bits / 8, first = e->cpu * t->window_ptes;
	uint64_t i, left = 0;

	for (i = 0; i < ZSPAGE_SIZE - ZSPAGE_WORDS; i += word)
		left += load(words + i, word) != 0;
	for (i = first; i < first + t->window_ptes; i++)
		left += (load(table + i * t->pte_size, t->pte_size) &
			 t->pte_present) != 0;
	return left;
}

/* Judge what an operation leaves behind. */
static void after_unmap(struct hooks *h)
{
	const struct expected *e = expected_of(h);
	uint64_t start = h->memory.start, pc = h->run.pc;
	/* What the operation wrote may differ, and nothing else. */
	uint64_t written = e->reads ? 0 : e->length;
	uint64_t changed = changed_bytes(h, e);
	uint32_t *row = row_of(h);

	h->judgement.mapped--;
	if (changed > written) {
		row[LEAKED] = changed - written;
		if (promised(h, NO_LEAK))
			report(h, NO_LEAK, pc, start + e->part[0],
			       changed - written, 0);
	}
	row[LEFT] += words_left(h, e);
	if (row[LEFT] && promised(h, STATELESS))
		report(h, STATELESS, pc, start + h->memory.zspages, row[LEFT],
		       0);
}

/* Remember who changed the watched byte. A store is shown before it is done. */
static void watch(struct hooks *h, const struct access *a)
{
	struct judgement *j = &h->judgement;

	if (a->offset > j->watch || j->watch >= a->offset + a->size ||
	    h->memory.ram[j->watch] ==
		    (uint8_t)(a->value >> (j->watch - a->offset) * 8))
		return;
	j->watched_pc = h->run.pc;
	calls_to_here(h, j->watched_calls);
}

static void judge_store(struct hooks *h, const struct expected *e,
			const struct access *a, uint32_t *row)
{
	uint64_t pc = h->run.pc;

	watch(h, a);
	if (!allowed(&h->memory, e, h->run.operation, a))
		report(h, STRAY, pc, a->address, a->size, a->value);
	else if (a->region == BUFFER)
		note_written(h, a);
	else if (a->region == POOL)
		note_outside(h, e, a);
	if (a->region != POOL)
		return;
	if (in_slot(e, a->offset) == OUTSIDE) {
		row[STORES_OUTSIDE]++;
		if (promised(h, NEIGHBOUR_CLEAN))
			report(h, NEIGHBOUR_CLEAN, pc, a->address, a->size,
			       a->value);
	}
	if (e->reads) {
		row[STORES_READING]++;
		if (promised(h, RO_CLEAN))
			report(h, RO_CLEAN, pc, a->address, a->size, a->value);
	}
}

static void judge_load(struct hooks *h, const struct expected *e,
		       const struct access *a, uint32_t *row)
{
	if (!allowed(&h->memory, e, h->run.operation, a)) {
		report(h, STRAY_LOAD, h->run.pc, a->address, a->size, 0);
		return;
	}
	/* The user finds a payload where the strategy says, perhaps outside. */
	if (h->run.phase == ACCESS)
		return;
	if (a->region == POOL) {
		note_outside(h, e, a);
		row[SLACK_LOADED] += slack(e, a);
	}
	if (a->region == BUFFER)
		row[UNWRITTEN_LOADED] += unwritten(h, a);
}

/*
 * Judge a piece of a span that lies in one page. What is stored into it comes
 * from the caller's buffer, where @from points.
 */
static void judge_piece(struct hooks *h, const struct expected *e,
			struct access *a, const uint8_t *from)
{
	uint64_t left = a->size, word = h->image.word_bits / 8;

	if (allowed(&h->memory, e, h->run.operation, a) &&
	    (a->region != POOL || is_inside(e, a)) &&
	    !(a->store && e->reads)) {
		if (a->store && a->region == BUFFER) {
			note_written(h, a);
			note_used(h, a);
		}
		return;
	}
	/* Something is wrong somewhere in it: look closer. */
	while (left) {
		a->size = left < word ? left : word;
		if (a->store) {
			memcpy(&a->value, from, a->size);
			judge_store(h, e, a, row_of(h));
		} else {
			judge_load(h, e, a, row_of(h));
		}
		left -= a->size;
		from += a->size;
		a->offset += a->size;
		a->address += a->size;
	}
}

/*
 * Judge the user's access, about to begin at an address, by its spans: what
 * follows is not hooked.
 */
static void judge_spans(struct hooks *h, uint64_t pc)
{
	const struct memory *m = &h->memory;
	const struct expected *e = expected_of(h);
	const uint8_t *spans = h->by_span.spans;
	uint64_t word = h->image.word_bits / 8, page = 1ULL << m->page_shift;
	uint64_t i, left, size, from = e->caller;
	int store = pc == h->by_span.access_in;

	h->by_span.judged = 1;
	h->run.pc = pc;
	for (i = 0; i < 2; i++) {
		uint64_t offset = load(spans + i * word, word) - h->by_span.direct;

		/* A strategy may have overwritten what the driver says. */
		left = load(spans + (2 + i) * word, word);
		if (left > e->length)
			left = e->length;
		for (; left; left -= size, offset += size, from += size) {
			struct access a = {
				offset + m->start, offset, 0, 0, store, OTHER,
			};

			if (offset < m->size)
				a.region = m->region[offset >> m->page_shift];
			size = page - offset % page;
			if (size > left)
				size = left;
			a.size = size;
			/* Nothing is mapped between two pages: it will fault. */
			if (a.region == OTHER)
				break;
			judge_piece(h, e, &a, m->ram + from);
		}
	}
	h->run.pc = 0;
}
