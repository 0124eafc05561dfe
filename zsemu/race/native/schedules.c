// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs schedules that are given or drawn at random, and brings both CPUs to
 * where schedules begin.
 */

/* Run one schedule, and have the host judge its end. Returns its verdict. */
uint64_t race_replay(struct race *r, const struct block *schedule,
		     uint64_t length)
{
	struct snapshot *root = snapshot_at(r, MAX_BLOCKS - 1);
	struct outcome *o;
	uint64_t i;

	take(r, root);
	r->nr_events = 0;
	for (i = 0; i < length; i++) {
		struct cpu *c = &r->cpu[schedule[i].cpu];

		r->schedule[i] = schedule[i];
		run(r, c, c->count + (schedule[i].instructions == TO_END ?
				      r->budget : schedule[i].instructions));
		if (!c->ended && schedule[i].instructions == TO_END)
			c->ended = ENDLESS;
	}
	for (i = 0; i < 2; i++)
		if (!r->cpu[i].ended)
			r->cpu[i].ended = ENDLESS;
	o = leaf(r, length);
	restore(r, root);
	return o ? o->verdict : 0;
}

static uint64_t random_below(struct race *r, uint64_t bound)
{
	r->random += 0x9e3779b97f4a7c15ULL;
	return mix(r->random) % bound;
}

/*
 * One schedule with a switch before each of some shared accesses, counted from
 * the beginning over both CPUs, in ascending order.
 */
static void sample(struct race *r, uint64_t who, const uint64_t *at,
		   uint64_t switches)
{
	uint64_t passed = 0, length = 0, next = 0;
	struct snapshot *s = snapshot_at(r, 0);

	while (length + 3 < MAX_BLOCKS) {
		struct cpu *me = &r->cpu[who], *other = &r->cpu[who ^ 1];
		uint64_t start = me->count, i;

		take(r, s);
		r->nr_events = 0;
		run(r, me, start + r->budget);
		i = me->ended ? r->nr_events : circle(r, me, 0, r->nr_events);
		if (next < switches && at[next] < passed + i && !other->ended &&
		    !(r->nested && who == 1))
			i = at[next++] - passed;
		else if (me->ended || i == r->nr_events)
			break;
		if (other->ended)
			break;
		passed += i;
		restore(r, s);
		run(r, me, r->event[i].before);
		put(r, length++, who, me->count - start);
		who ^= 1;
	}
	if (!r->cpu[who].ended)
		r->cpu[who].ended = ENDLESS;
	put(r, length, who, TO_END);
	finish(r, length + 1, &r->cpu[who ^ 1]);
}

/*
 * Probabilistic concurrency testing (Burckhardt and others, ASPLOS 2010): with
 * two CPUs, k accesses and d - 1 switches, a bug of depth d is found by each
 * schedule with a probability of at least 1 / (2 k^(d - 1)).
 */
void race_sample(struct race *r, uint64_t number, uint64_t switches,
		 uint64_t accesses)
{
	struct snapshot *root = snapshot_at(r, MAX_BLOCKS - 1);
	uint64_t at[MAX_BLOCKS], i, k, n;

	take(r, root);
	for (n = 0; n < number && !r->gave_up; n++) {
		for (i = 0; i < switches; i++) {
			uint64_t one = random_below(r, accesses);

			for (k = i; k && at[k - 1] > one; k--)
				at[k] = at[k - 1];
			at[k] = one;
		}
		sample(r, r->after ? 0 : random_below(r, 2), at, switches);
		restore(r, root);
	}
}

/* Let a CPU of the host's choice run to its end, in a judge() only. */
void race_run(struct race *r, uint64_t who, uint64_t pc)
{
	struct cpu *c = &r->cpu[who];

	c->pc = pc;
	c->ended = 0;
	run(r, c, c->count + r->budget);
	if (!c->ended)
		c->ended = ENDLESS;
}

/*
 * How many instructions a CPU executes before the one that first accesses the
 * byte at an offset, or TO_END if it does not. It stays where it is.
 */
uint64_t race_count_before(struct race *r, uint64_t who, uint64_t offset)
{
	struct cpu *c = &r->cpu[who];
	struct snapshot *s = snapshot_at(r, 0);
	uint64_t before = TO_END, i;

	take(r, s);
	r->nr_events = 0;
	/* Whatever accesses it conflicts. */
	r->accessed[offset] = 0xff;
	run(r, c, c->count + r->budget);
	for (i = 0; i < r->nr_events && before == TO_END; i++)
		if (r->event[i].offset == offset)
			before = r->event[i].before;
	c->ended = DONE;	/* or restore() might not see that it moved */
	restore(r, s);
	return before;
}

/*
 * Start a CPU, and stop it where it loads the byte at an offset: from there on
 * it has everything that is its own. Returns whether it did. It may be within
 * code that is not divided otherwise.
 */
int race_begin(struct race *r, uint64_t who, uint64_t pc, uint64_t offset)
{
	struct cpu *c = &r->cpu[who];
	uint64_t before, size = r->step_size;

	c->pc = pc;
	c->count = c->ended = c->read = c->first = 0;
	c->phase = DRIVER;
	c->nr_outside = c->outside_first = c->outside_of = 0;
	c->stray = (struct finding){ 0 };
	r->step_size = 0;
	before = race_count_before(r, who, offset);
	if (before != TO_END)
		run(r, c, before);
	r->step_size = size;
	if (before == TO_END)
		return 0;
	c->count = c->read = c->first = 0;
	return c->stopped;
}

void race_free(struct race *r)
{
	uint64_t i, n;

	for (i = 0; i < MAX_BLOCKS; i++)
		for (n = 0; r->snapshot[i] && n < 2; n++)
			r->context_free(r->snapshot[i]->context[n]);
	for (i = 0; i < MAX_BLOCKS; i++)
		free(r->snapshot[i]);
	free(r->log);
	free(r->event);
	for (n = 0; n < 2; n++)
		free(r->outside[n]);
}
