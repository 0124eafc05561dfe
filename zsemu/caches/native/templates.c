// SPDX-License-Identifier: GPL-2.0-only
/*
 * Turns the accesses of an operation into those that any operation of the same
 * shape has, and back.
 *
 * In a template, offsets are relative to one of enum base. What loops do is
 * kept as such: a part of a template is a head word, period | rounds << 32,
 * then the steps of the first round, then, if there are more, what each of them
 * grows by from round to round.
 */

#define MAX_PERIOD	64

/* Regions, as zsemu/guest/memory.py numbers them. */
enum region {
	R_POOL, R_BUFFER, R_CALLER, R_PAGETABLE, R_STATE, R_BATCH, R_ZSPAGE = 10,
};

static enum base base_in_descriptor(const struct layout *l, uint64_t inside)
{
	if (inside < l->pfns)
		return ZSPAGE;
	return inside < l->words ? PFN : WORD;
}

static enum base base_of(const struct layout *l, const struct place *p,
			 uint64_t offset)
{
	uint64_t page = offset >> l->page_shift;
	int64_t distance = l->index[page] - p->page;

	switch ((enum region)l->region[page]) {
	case R_POOL:
		if (l->owner[page] == p->zspage && distance >= -1 && distance <= 2)
			return SLOT + distance;
		return ABSOLUTE;
	case R_BUFFER:
		return BUFFER;
	case R_CALLER:
		return CALLER;
	case R_PAGETABLE:
		return ENTRIES;
	case R_STATE:
		return AREA;
	case R_BATCH:
		return RECORD;
	case R_ZSPAGE:
		return base_in_descriptor(l, offset - p->base[ZSPAGE]);
	}
	return ABSOLUTE;
}

static uint64_t relative(const struct layout *l, const struct place *p,
			 uint64_t step)
{
	uint64_t offset = step & OFFSET_MASK;
	uint64_t base = base_of(l, p, offset);

	return (step & ~OFFSET_MASK) | base << STEP_BASE |
	       ((offset - p->base[base]) & OFFSET_MASK);
}

static inline uint64_t absolute(const struct place *p, uint64_t step)
{
	uint64_t offset = step + p->base[bits(step, STEP_BASE, 4)];

	return (step & ~OFFSET_MASK & ((1ULL << STEP_BASE) - 1)) |
	       (offset & OFFSET_MASK);
}

/* How many of n steps are rounds of a loop of this period. */
static uint64_t rounds(const uint64_t *step, uint64_t n, uint64_t period)
{
	uint64_t i = 0;

	while (i + 2 * period < n &&
	       step[i + 2 * period] - step[i + period] ==
	       step[i + period] - step[i])
		i++;
	return (i + 2 * period) / period;
}

/* The period that saves most words, or 0 if none does. */
static uint64_t best_period(const uint64_t *step, uint64_t n, uint64_t *number)
{
	uint64_t period, best = 0;
	int64_t most = 0;

	for (period = 1; period <= MAX_PERIOD && 3 * period <= n; period++) {
		uint64_t k = rounds(step, n, period);
		int64_t saved = (int64_t)((k - 2) * period) - 1;

		if (saved > most) {
			most = saved;
			best = period;
			*number = k;
		}
	}
	return best;
}

/*
 * Write the template of n steps, which become relative; return its words, at
 * most 2 * n.
 */
uint64_t make_template(const struct layout *l, const struct place *p,
		       uint64_t *step, uint64_t n, uint64_t *out)
{
	uint64_t i, j, number, literal = 0, *start = out;

	for (i = 0; i < n; i++)
		step[i] = relative(l, p, step[i]);
	for (i = 0; i < n;) {
		uint64_t period = best_period(step + i, n - i, &number);

		if (!period) {
			if (!literal) {
				*out++ = 1ULL << 32;
				literal = out - start;
			}
			start[literal - 1]++;
			*out++ = step[i++];
			continue;
		}
		literal = 0;
		*out++ = period | number << 32;
		for (j = 0; j < period; j++)
			*out++ = step[i + j];
		for (j = 0; j < period; j++)
			*out++ = step[i + period + j] - step[i + j];
		i += period * number;
	}
	return out - start;
}

static uint64_t *expand(const struct place *p, const uint64_t *word,
			const uint64_t *end, uint64_t *out)
{
	while (word < end) {
		uint64_t period = (uint32_t)*word, number = *word >> 32, i, k;
		const uint64_t *first = ++word, *growth = word + period;

		for (i = 0; i < period; i++)
			*out++ = absolute(p, first[i]);
		for (k = 1; k < number; k++)
			for (i = 0; i < period; i++)
				*out++ = absolute(p, first[i] + k * growth[i]);
		word = growth + (number > 1 ? period : 0);
	}
	return out;
}

/*
 * Write the steps of operations, whose templates are words[first[i]] up to
 * words[last[i]], and after how many steps each ends.
 */
void expand_templates(const struct place *place, const uint64_t *words,
		      const uint64_t *first, const uint64_t *last,
		      uint64_t operations, uint64_t *out, uint64_t *end)
{
	uint64_t i, *at = out;

	for (i = 0; i < operations; i++) {
		at = expand(&place[i], words + first[i], words + last[i], at);
		end[i] = at - out;
	}
}
