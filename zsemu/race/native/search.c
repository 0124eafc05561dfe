// SPDX-License-Identifier: GPL-2.0-only
/*
 * Searches schedules. A CPU is preempted only before an instruction with an
 * access that conflicts with one of the other CPU's, in any schedule run so
 * far: elsewhere, what the other does next could as well be done later. Which
 * accesses conflict is learnt, so the host repeats a search until none is new.
 *
 * Of schedules that differ in the order of independent accesses, a bounded
 * search runs those in normal form: an instruction with which a CPU resumes
 * conflicts with what the other has done just before. If it did not, it could
 * be the last of the CPU's block before that, with no more preemptions. Each
 * such step moves accesses to earlier blocks, so it ends, at a schedule that
 * is in normal form.
 */

/* Events with numbers from first up to end. */
struct range {
	uint64_t first, end;
};

static uint64_t state_key(const struct race *r, uint64_t who)
{
	uint64_t key = r->state + who, n;

	for (n = 0; n < 2; n++) {
		const struct cpu *c = &r->cpu[n];
		uint64_t at;

		key = mix(key + c->count);
		key = mix(key + c->read);
		for (at = 0; at < r->leaf_size; at += r->pte_size)
			key = mix(key + load(c->served + at, r->pte_size));
	}
	return key | 1;
}

/* Whether a state was seen before; it is from now on. */
static int seen(struct race *r, uint64_t who)
{
	uint64_t key = state_key(r, who), i;

	for (i = key >> 8;; i++) {
		uint64_t *at = &r->seen[i & r->seen_mask];

		if (*at == key)
			return 1;
		if (*at)
			continue;
		if (2 * r->nr_seen > r->seen_mask) {
			r->gave_up = 1;
			return 1;
		}
		*at = key;
		r->nr_seen++;
		return 0;
	}
}

/* Instructions of a schedule before its last switch. */
static uint64_t steps(const struct race *r, uint64_t length)
{
	uint64_t sum = 0, i;

	for (i = 0; i < length; i++)
		if (r->schedule[i].instructions != TO_END)
			sum += r->schedule[i].instructions;
	return sum;
}

/* Count the final state that was reached, and have the host judge a new one. */
static struct outcome *leaf(struct race *r, uint64_t length)
{
	uint64_t key = r->result, n, at, i;
	struct outcome *o;

	r->schedules++;
	for (n = 0; n < 2; n++) {
		key = mix(key + r->cpu[n].ended);
		key = mix(key + stray_key(&r->cpu[n]));
		for (at = 0; at < r->leaf_size; at += r->pte_size)
			key = mix(key + load(r->cpu[n].served + at,
					     r->pte_size));
	}
	key |= 1;
	for (i = key >> 8;; i++) {
		o = &r->outcome[i % OUTCOMES];
		if (o->key == key || !o->key)
			break;
	}
	if (o->key && (length > o->length ||
		       (length == o->length && steps(r, length) >= o->steps))) {
		o->number++;
		return o;
	}
	if (!o->key && r->nr_outcomes == OUTCOMES / 2) {
		r->gave_up = 1;
		return NULL;
	}
	o->length = length;
	o->steps = steps(r, length);
	memcpy(r->simplest + i % OUTCOMES * MAX_BLOCKS, r->schedule,
	       length * sizeof(*r->schedule));
	o->number++;
	if (o->key)
		return o;
	o->key = key;
	r->nr_outcomes++;
	r->quiet = 1;
	o->verdict = r->judge();
	r->quiet = 0;
	if (o->verdict & FAILS && steps(r, length) < r->best)
		r->best = steps(r, length);
	return o;
}

static int overlap(const struct event *a, const struct event *b)
{
	return (a->store || b->store) && a->offset < b->offset + b->size &&
	       b->offset < a->offset + a->size;
}

static int conflict_with(const struct race *r, const struct event *e,
			 struct range pending)
{
	uint64_t i;

	if (r->entries_shared)
		return 1;
	for (i = pending.first; i < pending.end; i++)
		if (overlap(e, &r->event[i]))
			return 1;
	return 0;
}

/* The events of the instruction that event i belongs to. */
static struct range instruction_of(const struct race *r, uint64_t i,
				   uint64_t end)
{
	struct range found = { i, i };

	while (found.end < end &&
	       r->event[found.end].before == r->event[i].before)
		found.end++;
	return found;
}

/*
 * Where a CPU that does not end by itself begins to wait: at the first access
 * that it has made before, since it last changed memory. Returns the number of
 * the event, or end if there is none.
 */
static uint64_t circle(const struct race *r, const struct cpu *c,
		       uint64_t first, uint64_t end)
{
	uint64_t begin = c->calm > first ? c->calm : first, i, k;

	for (i = begin; i < end; i++) {
		const struct event *e = &r->event[i];

		for (k = begin; k < i; k++)
			if (r->event[k].pc == e->pc &&
			    r->event[k].offset == e->offset &&
			    r->event[k].before != e->before)
				return i;
	}
	return end;
}

static void put(struct race *r, uint64_t depth, uint64_t who,
		uint64_t instructions)
{
	r->schedule[depth] = (struct block){ who, instructions };
}

/* Run the other CPU to its end, too, if it has not ended. */
static struct outcome *finish(struct race *r, uint64_t length,
			      struct cpu *other)
{
	if (!other->ended) {
		put(r, length++, other->number, TO_END);
		run(r, other, other->count + r->budget);
		if (!other->ended)
			other->ended = ENDLESS;
	}
	return leaf(r, length);
}

/* A node of the search: which CPU runs, and what is known of the other. */
struct node {
	uint64_t depth;
	uint64_t who;
	uint64_t left;		/* preemptions that may still happen */
	struct range pending;	/* events with which the other resumes */
	int free;		/* the other has not begun, or waits */
	uint64_t waits;		/* state in which the other waits, or 0 */
};

static void explore(struct race *r, struct node node);

static int may_switch(struct race *r, const struct node *n, uint64_t start,
		      uint64_t before)
{
	const struct cpu *other = &r->cpu[n->who ^ 1];

	if (other->ended || (r->nested && n->who == 1))
		return 0;
	if (n->depth + 3 > MAX_BLOCKS) {
		r->gave_up = 1;
		return 0;
	}
	if (n->who == 0 && other->count == other->first && before < r->after)
		return 0;
	/* Of failures, only one that needs fewer steps is of interest. */
	return before > start && steps(r, n->depth) + before - start < r->best;
}

/* Go on up to an instruction, and explore what the other CPU can do there. */
static void switch_at(struct race *r, const struct node *n, uint64_t start,
		      uint64_t before, struct node next)
{
	struct snapshot *s = snapshot_at(r, n->depth);
	uint64_t mark = r->nr_events;

	run(r, &r->cpu[n->who], before);
	r->nr_events = mark;
	take(r, s);
	next.depth = n->depth + 1;
	next.who = n->who ^ 1;
	put(r, n->depth, n->who, before - start);
	explore(r, next);
	r->nr_events = mark;
	restore(r, s);
	if (r->mode == EXHAUSTIVE)
		seen(r, n->who);
}

/* Preempt the running CPU before each of some events, one after the other. */
static void preempt(struct race *r, const struct node *n, uint64_t start,
		    struct range events)
{
	int hit = n->free || r->mode == EXHAUSTIVE;
	uint64_t i = events.first;

	while (n->left && i < events.end && !r->gave_up) {
		struct range at = instruction_of(r, i, events.end);
		uint64_t before = r->event[i].before;

		if (hit && may_switch(r, n, start, before))
			switch_at(r, n, start, before, (struct node){
				.left = n->left - 1, .pending = at });
		for (; i < at.end; i++)
			hit |= conflict_with(r, &r->event[i], n->pending);
	}
}

/*
 * The running CPU goes round in a circle, from the first instruction of some
 * events on: the other has to run, and that is no preemption.
 */
static void yield(struct race *r, const struct node *n, uint64_t start,
		  uint64_t before)
{
	struct cpu *me = &r->cpu[n->who], *other = &r->cpu[n->who ^ 1];
	struct node next = { .left = n->left, .free = 1 };

	run(r, me, before);
	next.waits = r->state | 1;
	if (other->ended || next.waits == n->waits ||
	    n->depth + 3 > MAX_BLOCKS || (r->nested && n->who == 1)) {
		me->ended = ENDLESS;
		if (!other->ended)
			other->ended = ENDLESS;
		put(r, n->depth, n->who, before - start);
		leaf(r, n->depth + 1);
		return;
	}
	if (before == start)
		return;
	switch_at(r, n, start, before, next);
}

static void explore(struct race *r, struct node n)
{
	struct cpu *me = &r->cpu[n.who], *other = &r->cpu[n.who ^ 1];
	struct snapshot *s = snapshot_at(r, n.depth);
	uint64_t start = me->count, i;
	struct range events = { r->nr_events };
	int hit = n.free || r->mode == EXHAUSTIVE, circles;

	if (r->gave_up || (r->gave_up = r->schedules >= r->limit))
		return;
	if (r->mode == EXHAUSTIVE && seen(r, n.who)) {
		r->pruned++;
		return;
	}
	take(r, s);
	run(r, me, start + r->budget);
	events.end = r->nr_events;
	circles = !me->ended;
	if (circles)
		events.end = circle(r, me, events.first, events.end);
	for (i = events.first; !hit && i < events.end; i++)
		hit |= conflict_with(r, &r->event[i], n.pending);
	if (!hit) {
		r->pruned++;
	} else if (me->ended) {
		put(r, n.depth, n.who, TO_END);
		finish(r, n.depth + 1, other);
	}
	restore(r, s);
	if (circles && events.end == r->nr_events) {
		me->ended = ENDLESS;
		put(r, n.depth, n.who, TO_END);
		finish(r, n.depth + 1, other);
		restore(r, s);
		return;
	}
	if (events.end - events.first > r->points[n.who])
		r->points[n.who] = events.end - events.first;
	preempt(r, &n, start, events);
	if (circles && hit && !r->gave_up)
		yield(r, &n, start, r->event[events.end].before);
}

/*
 * Search from where both CPUs stand. Returns whether an access conflicted
 * that was not known to: then what was found is not all.
 */
int race_search(struct race *r, uint64_t preemptions)
{
	struct snapshot *root = snapshot_at(r, MAX_BLOCKS - 1);
	uint64_t who;

	r->grown = r->gave_up = r->schedules = r->pruned = 0;
	r->best = TO_END;
	r->nr_events = 0;
	r->nr_seen = 0;
	if (r->seen)
		memset(r->seen, 0, (r->seen_mask + 1) * sizeof(*r->seen));
	take(r, root);
	for (who = 0; who < 2; who++) {
		if (who == 1 && r->after)
			break;
		explore(r, (struct node){
			.who = who, .left = preemptions, .free = 1 });
		r->nr_events = 0;
		restore(r, root);
	}
	return r->grown;
}
