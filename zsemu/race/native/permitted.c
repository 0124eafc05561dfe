// SPDX-License-Identifier: GPL-2.0-only
/*
 * Judges where a CPU loads and stores, by the rules of zsemu check: places.h
 * says what an operation may access, and outside its slot it may load only what
 * it also stores, as zsemu/guest/native/loads.c has it.
 *
 * All that is noted is of one CPU alone, and follows from what that CPU
 * executes. So it is undone with the CPU's other state, and it is the same in
 * all schedules that differ only in the order of independent accesses. That is
 * also why a page that migrates is its zspage's in both frames, all the time.
 */

/* Keep the first access of a CPU that it may not make. */
static void keep_stray(struct cpu *c, const struct finding *found)
{
	if (!c->stray.pc)
		c->stray = *found;
}

/* What distinguishes a final state by the strays of one CPU. */
static uint64_t stray_key(const struct cpu *c)
{
	const struct finding *f = &c->stray;

	if (!f->pc)
		return 0;
	return mix(mix(mix(mix(f->pc) + f->operation) + f->address) + f->value);
}

/* Which byte of its zspage an operation's slot begins with. */
static uint64_t slot_of(const struct race *r, const struct expected *e)
{
	return linear(&r->memory, e->part[0]);
}

/* Note an access to the zspage, unless it lies in the slot. */
static void note_outside(struct race *r, struct cpu *c,
			 const struct expected *e, const struct access *a)
{
	uint64_t at = linear(&r->memory, a->offset), n = c->number;
	uint64_t slot = slot_of(r, e), end = slot + e->bytes[0] + e->bytes[1];

	if (at >= slot && at + a->size <= end)
		return;
	if (c->nr_outside == r->max_outside[n]) {
		r->max_outside[n] = r->max_outside[n] ? 2 * r->max_outside[n] :
							1024;
		r->outside[n] = realloc(r->outside[n],
					r->max_outside[n] *
						sizeof(*r->outside[n]));
	}
	r->outside[n][c->nr_outside++] = (struct outside){
		at, a->offset, a->size, a->store, c->phase, c->last,
	};
}

/* Judge an access of a strategy, or of its user. */
static void judge_access(struct race *r, struct cpu *c, uint64_t offset,
			 uint64_t size, int store, uint64_t value)
{
	const struct memory *m = &r->memory;
	const struct expected *e = &r->expected[c->operation];
	const struct access a = {
		m->start + offset, offset, size, value, store,
		m->region[offset >> m->page_shift],
	};

	if (!allowed(m, e, c->operation, &a))
		keep_stray(c, &(struct finding){
			store ? STRAY : STRAY_LOAD, c->operation, c->phase,
			c->last, a.address, size, store ? value : 0 });
	/* The user finds a payload where the strategy says, perhaps outside. */
	else if (a.region == POOL && (store || c->phase != ACCESS))
		note_outside(r, c, e, &a);
}

/* Keep the first bytes of a load outside the slot that were not stored. */
static void judge_load(struct race *r, struct cpu *c, const struct outside *o)
{
	const struct expected *e = &r->expected[c->operation];
	uint64_t slot = slot_of(r, e), bytes = e->bytes[0] + e->bytes[1];
	uint64_t first = 0, end;

	while (first < o->size && (r->stored[o->at + first] ||
				   o->at + first - slot < bytes))
		first++;
	for (end = first; end < o->size && !r->stored[o->at + end] &&
			  o->at + end - slot >= bytes;)
		end++;
	if (first < end)
		keep_stray(c, &(struct finding){
			STRAY_LOAD, c->operation, o->phase, o->pc,
			r->memory.start + o->offset + first, end - first });
}

/* Judge what the operation has loaded outside its slot up to here. */
static void judge_outside(struct race *r, struct cpu *c)
{
	const struct outside *o = r->outside[c->number];
	uint64_t i;

	for (i = c->outside_first; i < c->nr_outside; i++)
		if (o[i].store)
			memset(r->stored + o[i].at, 1, o[i].size);
	for (i = c->outside_first; i < c->nr_outside; i++)
		if (!o[i].store)
			judge_load(r, c, &o[i]);
	for (i = c->outside_first; i < c->nr_outside; i++)
		if (o[i].store)
			memset(r->stored + o[i].at, 0, o[i].size);
}

static void begin_phase(struct race *r, struct cpu *c, enum phase phase)
{
	uint64_t operation = 0;

	memcpy(&operation, r->memory.ram + r->current[c->number],
	       r->word_bits / 8);
	c->phase = phase;
	/* A stray store may have changed it. */
	if (operation < r->operations)
		c->operation = operation;
	operation = c->operation;
	/* What map has loaded, unmap may store. */
	if (phase > MAP && c->outside_of == operation + 1)
		return;
	c->outside_of = operation + 1;
	c->outside_first = c->nr_outside;
}

static void end_phase(struct race *r, struct cpu *c)
{
	/* A map that lasts may be for a user who has yet to store. */
	if (c->phase == SETTLE || c->phase == UNMAP ||
	    (c->phase == MAP && r->expected[c->operation].reads))
		judge_outside(r, c);
	c->phase = DRIVER;
}

/*
 * The phase that code at an address belongs to when it runs next. The function
 * that the driver calls decides; whatever that calls in turn belongs to the
 * same phase, until the driver's own code runs again.
 */
static enum phase phase_of(const struct entries *e, enum phase phase,
			   uint64_t address)
{
	static const enum phase phases[ENTRIES] = {
		SETTLE, MAP, ACCESS, ACCESS, UNMAP,
	};
	int i;

	if (address - e->driver < e->driver_end - e->driver)
		return DRIVER;
	if (phase != DRIVER)
		return phase;
	for (i = 0; i < ENTRIES; i++)
		if (address == e->entry[i])
			return phases[i];
	return DRIVER;
}

/* Follow which phase of which operation a CPU is in: it executes an address. */
static void follow(struct race *r, struct cpu *c, uint64_t address)
{
	enum phase phase = phase_of(&r->entries, c->phase, address);

	if (phase == c->phase)
		return;
	if (phase == DRIVER)
		end_phase(r, c);
	else
		begin_phase(r, c, phase);
}
