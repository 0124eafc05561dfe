// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two CPUs over one memory: each can run up to an instruction, and what they
 * did can be undone.
 */

#define UC_MEM_WRITE	17
#define FLUSH_TLB	(11U | 1U << 30)	/* of uc_ctl() */

/* What is needed to return to a state, beside the undo log. */
struct snapshot {
	void *context[2];
	struct cpu cpu[2];
	uint8_t served[2][LEAF_USED];
	uint64_t nr_log, state, result, nr_steps;
};

/* Account for a store in the hashes: sums over aligned words of 8 bytes. */
static void hash_store(struct race *r, uint64_t offset, uint64_t size,
		       uint64_t value)
{
	uint8_t region = r->memory.region[offset >> r->memory.page_shift];
	uint64_t word, old, new, change, i;

	if (region == STACK)
		return;
	for (word = offset & ~7ULL; word < offset + size; word += 8) {
		memcpy(&old, r->memory.ram + word, 8);
		new = old;
		for (i = 0; i < 8; i++)
			if (word + i - offset < size)
				((uint8_t *)&new)[i] =
					value >> (word + i - offset) * 8;
		change = mix(new + mix(word)) - mix(old + mix(word));
		r->state += change;
		/* What is left in a CPU's buffer does not matter at the end. */
		if (region != BUFFER)
			r->result += change;
	}
}

static void remember(struct race *r, uint64_t offset, uint64_t size)
{
	struct undo *u;

	if (r->nr_log == r->max_log) {
		r->max_log = r->max_log ? 2 * r->max_log : 4096;
		r->log = realloc(r->log, r->max_log * sizeof(*r->log));
	}
	u = &r->log[r->nr_log++];
	u->offset = offset;
	u->size = size;
	memcpy(&u->old, r->memory.ram + offset, size);
}

static void undo_to(struct race *r, uint64_t mark)
{
	while (r->nr_log > mark) {
		struct undo *u = &r->log[--r->nr_log];

		memcpy(r->memory.ram + u->offset, &u->old, u->size);
	}
}

/*
 * Note who accesses which bytes. Returns whether the other CPU has an access
 * that conflicts with this one: one of the two stores.
 */
static int conflicts(struct race *r, const struct cpu *c, uint64_t offset,
		     uint64_t size, int store)
{
	unsigned int mine = (store ? 2 : 1) << 2 * c->number;
	unsigned int theirs = (store ? 3 : 2) << 2 * (c->number ^ 1);
	int found = 0;
	uint64_t i;

	for (i = offset; i < offset + size; i++) {
		if (r->accessed[i] & theirs) {
			found = 1;
			r->grown |= !(r->accessed[i] & mine);
		}
		r->accessed[i] |= mine;
	}
	/* Which page it is, a changed translation decides. */
	if (r->entries_shared && offset >= r->pool && offset < r->pool_end)
		found = 1;
	return found;
}

static uint64_t load(const uint8_t *at, uint64_t size)
{
	uint64_t value = 0;

	memcpy(&value, at, size > 8 ? 8 : size);
	return value;
}

/* Let a CPU's MMU see an entry as it is stored. */
static void serve(struct race *r, struct cpu *c, uint64_t at)
{
	const struct memory *m = &r->memory;

	memcpy(c->served + at, m->ram + m->leaf + at, r->pte_size);
}

/*
 * A store into the windows' page table. An entry that is not present is not
 * cached: its new value is seen at once. A present one stays, on either CPU,
 * until its invalidate.
 *
 * Memory hooks see physical addresses. So where an entry is not one CPU's
 * alone, any access to the pool may go through it, and conflicts.
 */
static void on_entry(struct race *r, struct cpu *c, uint64_t offset,
		     uint64_t size, uint64_t value)
{
	uint64_t at = (offset - r->memory.leaf) / r->pte_size * r->pte_size;
	uint64_t inside = offset - r->memory.leaf - at, i;
	unsigned int other = 2U << 2 * (c->number ^ 1);
	int n;

	if (!r->quiet && !r->entries_shared &&
	    (at < r->entry_first[c->number] || at >= r->entry_end[c->number] ||
	     r->accessed[offset] & other)) {
		r->entries_shared = 1;
		r->grown = 1;
	}
	for (n = 0; n < 2; n++) {
		uint8_t *served = r->cpu[n].served + at;

		if (load(served, r->pte_size) & r->pte_present)
			continue;
		serve(r, &r->cpu[n], at);
		for (i = 0; i < size; i++)
			served[inside + i] = value >> i * 8;
	}
}

static void flush(struct race *r, struct cpu *c, int all, uint64_t at)
{
	if (all)
		memcpy(c->served, r->memory.ram + r->memory.leaf, r->leaf_size);
	else if (at < r->leaf_size)
		serve(r, c, at);
}

/* An invalidate: of the other CPU's TLB, too, if it is broadcast. */
static void invalidate(struct race *r, struct cpu *c, uint64_t at_text,
		       int which)
{
	struct cpu *other = &r->cpu[c->number ^ 1];
	uint64_t address = 0, at;
	int all = which >= ALL_LOCAL;

	if (!all) {
		r->reg_read(c->uc, r->operand[at_text], &address);
		if (r->word_bits == 32)
			address = (uint32_t)address;
		address <<= r->operand_shift;
		address += r->displacement[at_text];
	}
	at = ((address - r->window) >> r->mmu_shift) * r->pte_size;
	flush(r, c, all, at);
	if (r->one_tlb || which == PAGE_BROADCAST || which == ALL_BROADCAST) {
		flush(r, other, all, at);
		r->ctl(other->uc, FLUSH_TLB);
	}
}

void on_code(void *uc, uint64_t address, uint32_t size, void *user)
{
	struct cpu *c = user;
	struct race *r = c->race;
	uint64_t at = address - r->text;
	int inside = address - r->step_text < r->step_size, kind;
	int divides = inside && c->inside && c->count - c->step < r->budget;

	if (c->stopped || (c->count >= c->until && !divides)) {
		if (!c->stopped)
			c->pc = address;
		c->stopped = 1;
		r->emu_stop(uc);
		return;
	}
	if (!inside || !c->inside)
		c->step = c->count;
	c->inside = inside;
	c->count++;
	c->last = address;
	if (r->expected && !r->quiet)
		follow(r, c, address);
	if (at >= r->text_size)
		return;
	kind = r->kind[at] & KIND;
	if (kind >= TLB)
		invalidate(r, c, at, kind - TLB);
}

static void add_event(struct race *r, const struct cpu *c, uint64_t offset,
		      uint64_t size, int store)
{
	if (r->nr_events == r->max_events) {
		r->max_events = r->max_events ? 2 * r->max_events : 1024;
		r->event = realloc(r->event,
				   r->max_events * sizeof(*r->event));
	}
	r->event[r->nr_events++] = (struct event){
		c->step, offset, size, store, c->last,
	};
}

static void trace(struct race *r, const struct cpu *c, uint64_t offset,
		  uint64_t size, int store, uint64_t value, int shared)
{
	if (r->nr_steps < r->max_steps)
		r->step[r->nr_steps++] = (struct step){
			r->quiet ? 2 : c->number, c->last, c->step,
			offset, size, store, value, shared,
		};
}

/* The CPU has changed memory, so whatever it does next is no waiting. */
static void progress(const struct race *r, struct cpu *c)
{
	c->calm = r->nr_events;
	c->wait_pc = c->waited = c->passed = 0;
	c->next_mark = 1;
}

/*
 * A CPU that makes the same shared access over and over, and changes nothing,
 * waits for the other. It stops then. The access that is looked for is taken
 * anew at distances that double, as in Brent's search for cycles.
 */
static void waiting(struct cpu *c, uint64_t offset)
{
	if (c->wait_pc == c->last && c->wait_offset == offset) {
		if (++c->waited == WAITS)
			c->until = c->count;
		return;
	}
	if (++c->passed == c->next_mark) {
		c->wait_pc = c->last;
		c->wait_offset = offset;
		c->waited = c->passed = 0;
		c->next_mark *= 2;
	}
}

void on_memory(void *uc, int type, uint64_t address, int size, int64_t value,
	       void *user)
{
	struct cpu *c = user;
	struct race *r = c->race;
	uint64_t offset = address - r->memory.start, at = c->last - r->text;
	int store = type == UC_MEM_WRITE, shared, changes;

	if (offset + size > r->memory.size || at >= r->text_size)
		return;
	/* A store-exclusive that succeeds shows a read, too. */
	if (!store && (r->kind[at] & KIND) == STORE_EXCLUSIVE)
		return;
	if (!store)
		value = load(r->memory.ram + offset, size);
	changes = store && memcmp(r->memory.ram + offset, &value, size);
	shared = !r->quiet && conflicts(r, c, offset, size, store);
	if (shared) {
		add_event(r, c, offset, size, store);
		if (!store)
			c->read = mix(c->read + value);
	}
	if (changes)
		progress(r, c);
	else if (shared)
		waiting(c, offset);
	if (!r->quiet && c->phase != DRIVER)
		judge_access(r, c, offset, size, store, value);
	if (r->step)
		trace(r, c, offset, size, store, value, shared);
	if (!store)
		return;
	hash_store(r, offset, size, value);
	remember(r, offset, size);
	if (offset - r->memory.leaf < r->leaf_size)
		on_entry(r, c, offset, size, value);
}

/* Run a CPU until it has executed so many instructions in all, or ends. */
static void run(struct race *r, struct cpu *c, uint64_t until)
{
	uint64_t pc = 0;

	if (c->ended)
		return;
	c->until = until;
	c->stopped = c->inside = 0;
	progress(r, c);
	c->fault = r->emu_start(c->uc, c->pc, r->stop_address, 0, 0);
	if (c->fault) {
		c->ended = FAULT;
	} else if (!c->stopped) {
		r->reg_read(c->uc, r->pc_register, &pc);
		if (r->word_bits == 32)
			pc = (uint32_t)pc;
		c->pc = pc;
		c->ended = pc == r->stop_address ? DONE : HALTS;
	}
}

static void take(struct race *r, struct snapshot *s)
{
	int n;

	for (n = 0; n < 2; n++) {
		struct cpu *c = &r->cpu[n];

		r->context_save(c->uc, s->context[n]);
		s->cpu[n] = *c;
		memcpy(s->served[n], c->served, r->leaf_size);
	}
	s->nr_log = r->nr_log;
	s->state = r->state;
	s->result = r->result;
	s->nr_steps = r->nr_steps;
}

static void restore(struct race *r, const struct snapshot *s)
{
	int n;

	undo_to(r, s->nr_log);
	for (n = 0; n < 2; n++) {
		struct cpu *c = &r->cpu[n];
		uint64_t moved = c->count != s->cpu[n].count || c->ended;

		*c = s->cpu[n];
		if (moved)
			r->context_restore(c->uc, s->context[n]);
		if (memcmp(c->served, s->served[n], r->leaf_size)) {
			memcpy(c->served, s->served[n], r->leaf_size);
			r->ctl(c->uc, FLUSH_TLB);
		}
	}
	r->state = s->state;
	r->result = s->result;
	r->nr_steps = s->nr_steps;
}

static struct snapshot *snapshot_at(struct race *r, uint64_t depth)
{
	struct snapshot *s = r->snapshot[depth];
	int n;

	if (s)
		return s;
	s = r->snapshot[depth] = calloc(1, sizeof(*s));
	for (n = 0; n < 2; n++)
		r->context_alloc(r->cpu[n].uc, &s->context[n]);
	return s;
}
