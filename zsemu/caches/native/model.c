// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two levels of data cache: least recently used goes first, write-back,
 * write-allocate. What a level holds does not depend on the other: a line that
 * leaves L2 stays in L1.
 */

#define EMPTY	(~1ULL)		/* no line, and not dirty */
#define DIRTY	1ULL

/*
 * Make a line the one used last. Return whether it was there; else what had to
 * go for it is in *victim.
 */
static int use(struct level *level, uint64_t line, uint64_t store,
	       uint64_t *victim)
{
	uint64_t *set = level->line + (line & level->mask) * level->ways;
	uint64_t i, found;

	if (set[0] >> 1 == line) {
		set[0] |= store;
		return 1;
	}
	for (i = 1; i < level->ways && set[i] >> 1 != line; i++)
		;
	found = i < level->ways;
	if (!found)
		i = level->ways - 1;
	*victim = set[i];
	memmove(set + 1, set, i * sizeof(*set));
	set[0] = found ? *victim | store : line << 1 | store;
	return found;
}

/* Take a line from L2, or from memory if L2 does not have it. */
static void fetch(struct model *m, uint64_t line, uint64_t *counts)
{
	uint64_t victim;

	if (use(&m->l2, line, 0, &victim))
		return;
	counts[L2_MISSES]++;
	counts[L2_WRITEBACKS] += victim & DIRTY;
}

/* Put a line of L1 into L2: all of it, so that nothing has to be fetched. */
static void write_back(struct model *m, uint64_t line, uint64_t *counts)
{
	uint64_t victim;

	counts[L1_WRITEBACKS]++;
	if (!use(&m->l2, line, DIRTY, &victim))
		counts[L2_WRITEBACKS] += victim & DIRTY;
}

static inline void access_line(struct model *m, uint64_t line, uint64_t store,
			       uint64_t *counts)
{
	uint64_t victim;

	if (use(&m->l1, line, store, &victim))
		return;
	counts[L1_MISSES]++;
	fetch(m, line, counts);
	if (victim & DIRTY)
		write_back(m, victim >> 1, counts);
}

/*
 * Count what operations cost: end[] is the number of steps up to each one's
 * last, scope[] the scope of each.
 */
void run_model(struct model *m, const uint64_t *step, const uint64_t *end,
	       const uint32_t *scope, uint64_t operations)
{
	uint64_t i, at = 0;

	for (i = 0; i < operations; i++) {
		uint64_t *sums = m->sums + scope[i] * (PHASES * COUNTS);

		for (; at < end[i]; at++) {
			uint64_t offset = step[at] & OFFSET_MASK;
			uint64_t size = bits(step[at], STEP_SIZE, 7);
			uint64_t store = bits(step[at], STEP_STORE, 1);
			uint64_t *counts = sums + bits(step[at], STEP_PHASE, 2) * COUNTS;
			uint64_t line = offset >> m->line_shift;
			uint64_t last = (offset + size - 1) >> m->line_shift;

			for (; line <= last; line++)
				access_line(m, line, store, counts);
		}
	}
}
