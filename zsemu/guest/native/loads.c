// SPDX-License-Identifier: GPL-2.0-only
/*
 * Judges loads that the place alone does not decide. Outside its slot a
 * strategy may load only what it displaces: bytes that it also stores, in the
 * same zs_settle(), or from map to unmap, or in the same map if that is for
 * reading. A copy that takes some bytes more of the next slot never stores
 * them there.
 *
 * Of every byte of the zspage outside the slot is noted whether it was stored,
 * or else the first instruction that loaded it.
 */

#define STORED		(~0U)

static void note_outside(struct hooks *h, const struct expected *e,
			 const struct access *a)
{
	struct judgement *j = &h->judgement;
	uint32_t load = ((h->run.pc - h->image.text) * PHASES + h->run.phase) + 1;
	uint64_t first = linear(&h->memory, a->offset), i;

	if (is_inside(e, a))
		return;
	for (i = 0; i < a->size; i++) {
		uint32_t *noted = j->outside + first + i;

		if (in_slot(e, a->offset + i) != OUTSIDE)
			continue;
		if (a->store)
			*noted = STORED;
		else if (!*noted)
			*noted = load;
		if (first + i < j->outside_first)
			j->outside_first = first + i;
		if (first + i >= j->outside_end)
			j->outside_end = first + i + 1;
	}
}

/* Forget what another operation did, or this one before it mapped. */
static void begin_outside(struct hooks *h)
{
	struct judgement *j = &h->judgement;

	if (h->run.phase > MAP && j->outside_of == h->run.operation + 1)
		return;
	j->outside_of = h->run.operation + 1;
	if (j->outside_first < j->outside_end)
		memset(j->outside + j->outside_first, 0,
		       (j->outside_end - j->outside_first) * sizeof(*j->outside));
	j->outside_first = OUTSIDE;
	j->outside_end = 0;
}

/* The physical address of a byte of the operation's zspage. */
static uint64_t address_of(const struct hooks *h, const struct expected *e,
			   uint64_t at)
{
	const struct memory *m = &h->memory;
	uint64_t word = h->image.word_bits / 8;
	const uint8_t *pfn = m->ram + m->zspages + e->zspage * ZSPAGE_SIZE +
			     ZSPAGE_PFNS + (at >> m->page_shift) * word;

	return (load(pfn, word) << m->page_shift) +
	       (at & ((1ULL << m->page_shift) - 1));
}

/* Report the first bytes outside the slot that were loaded and not stored. */
static void judge_outside(struct hooks *h)
{
	struct judgement *j = &h->judgement;
	uint64_t at = j->outside_first, size = 1;
	uint32_t noted;

	while (at < j->outside_end && (!j->outside[at] || j->outside[at] == STORED))
		at++;
	if (at >= j->outside_end)
		return;
	noted = j->outside[at];
	while (at + size < j->outside_end && j->outside[at + size] == noted)
		size++;
	report_in(h, (noted - 1) % PHASES, STRAY_LOAD,
		  h->image.text + (noted - 1) / PHASES,
		  address_of(h, expected_of(h), at), size, 0);
}

/* How many bytes of a load lie behind the payload in the slot. */
static uint64_t slack(const struct expected *e, const struct access *a)
{
	uint64_t i, bytes = 0;

	if (is_inside(e, a) &&
	    in_slot(e, a->offset) + a->size <= e->header + e->length)
		return 0;
	for (i = 0; i < a->size; i++) {
		uint64_t at = in_slot(e, a->offset + i);

		bytes += at != OUTSIDE && at >= e->header + e->length;
	}
	return bytes;
}

static void note_written(struct hooks *h, const struct access *a)
{
	uint64_t at = (a->offset - h->memory.buffers) % h->memory.stride;

	if (at + a->size > SLOT_MAX)
		return;
	memset(h->judgement.written + at, 1, a->size);
	if (at + a->size > h->judgement.written_end)
		h->judgement.written_end = at + a->size;
}

/* How many bytes of a load of the buffer were not stored since the map began. */
static uint64_t unwritten(const struct hooks *h, const struct access *a)
{
	uint64_t at = (a->offset - h->memory.buffers) % h->memory.stride;
	uint64_t i, bytes = 0;

	for (i = 0; i < a->size && at + i < SLOT_MAX; i++)
		bytes += !h->judgement.written[at + i];
	return bytes;
}

static void note_used(struct hooks *h, const struct access *a)
{
	const struct memory *m = &h->memory;
	uint64_t end = (a->offset - m->buffers) % m->stride + a->size;

	if (end > h->rows.buffer_used)
		h->rows.buffer_used = end;
}
