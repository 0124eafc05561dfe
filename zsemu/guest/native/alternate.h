/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs a batch on two CPUs over the same memory, in turns: the counting one up
 * to an operation whose shape is new, the observing one up to an operation
 * whose shape is not, and so on. zsemu/guest/alternation.py has the same
 * structures.
 */
#ifndef ZSEMU_ALTERNATE_H
#define ZSEMU_ALTERNATE_H

#include <stdint.h>
#include <string.h>

#define HALTED		(-1)	/* the driver did not return, and nothing stopped it */
#define UC_FLUSH_TLB	(11U | 1U << 30)	/* of uc_ctl() */

/* One of the CPUs. */
struct turn {
	void *uc;
	const uint64_t *stopped;	/* whether its hooks have stopped it */
	uint8_t *entries;		/* the windows' page table, as it saw it last */
};

struct alternation {
	struct turn turn[2];		/* the counting CPU, and the observing one */
	/* words in RAM: what the driver is told, and what it tells */
	void *first, *last, *current, *stop_at;
	void *by_span;			/* or NULL: whether that is wanted, in the observing turn */
	uint64_t word_bits;
	const uint8_t *table;		/* the windows' page table, and its size, or 0 */
	uint64_t table_size;
	/* Unicorn's functions, and its number of the program counter */
	int (*start)(void *uc, uint64_t begin, uint64_t until,
		     uint64_t timeout, size_t count);
	int (*read)(void *uc, int reg, void *value);
	int (*control)(void *uc, unsigned int what, ...);
	uint64_t pc;
	uint64_t begin, until;		/* addresses of the guest's entry, and of its end */
	uint8_t *observed;		/* by operation: whether the observing CPU ran it */
	uint64_t which;			/* whose turn was the last one */
};

static uint64_t word(const struct alternation *a, const void *at)
{
	return a->word_bits == 64 ? *(const volatile uint64_t *)at :
				    *(const volatile uint32_t *)at;
}

static void tell(const struct alternation *a, void *at, uint64_t value)
{
	if (a->word_bits == 64)
		*(volatile uint64_t *)at = value;
	else
		*(volatile uint32_t *)at = value;
}

/*
 * Return Unicorn's error or HALTED, or else 0. Then the operation in current is
 * the one that was not run: the last one's successor, if nothing is wrong.
 */
int alternate(struct alternation *a)
{
	uint64_t at = word(a, a->first), last = word(a, a->last), from, pc;
	int error = 0;

	for (a->which = 0; at < last; a->which = !a->which) {
		struct turn *turn = &a->turn[a->which];

		from = at;
		tell(a, a->first, at);
		tell(a, a->stop_at, a->which);
		if (a->by_span)
			tell(a, a->by_span, a->which);
		/* What another CPU has changed, this one's TLB does not know. */
		if (memcmp(turn->entries, a->table, a->table_size))
			a->control(turn->uc, UC_FLUSH_TLB);
		error = a->start(turn->uc, a->begin, a->until, 0, 0);
		memcpy(turn->entries, a->table, a->table_size);
		at = word(a, a->current);
		if (error || *turn->stopped)
			break;
		pc = 0;
		a->read(turn->uc, a->pc, &pc);
		if (pc != a->until) {
			error = HALTED;
			break;
		}
		if (!a->which)
			continue;
		/* It runs one at least, unless something is wrong with it. */
		if (at <= from || at > last)
			break;
		memset(a->observed + from, 1, at - from);
	}
	return error;
}

#endif
