// SPDX-License-Identifier: GPL-2.0-only
/* Follows which phase of which operation runs, and stops an endless one. */

static uint64_t current_operation(const struct hooks *h)
{
	if (h->image.word_bits == 64)
		return *(const volatile uint64_t *)h->run.current;
	return *(const volatile uint32_t *)h->run.current;
}

static __attribute__((noinline, cold)) void stop(struct hooks *h, void *uc, enum reason reason)
{
	h->run.stopped = reason;
	h->run.stop(uc);
}

static void begin_phase(struct hooks *h, enum phase phase)
{
	struct run *run = &h->run;
	struct rows *rows = &h->rows;

	run->phase = phase;
	h->by_span.judged = 0;
	run->spent = 0;
	run->pc = 0;
	run->depth = 0;
	h->blocks.cell = phase * SCOPES + expected_of(h)->scope;
	/* The two copies of an update are one access. */
	if (phase != ACCESS || rows->accessed != run->operation + 1)
		rows->epoch++;
	rows->accessed = phase == ACCESS ? run->operation + 1 : 0;
	rows->last_pte = ~0ULL;
	if (rows->row) {
		begin_outside(h);
		if (phase == MAP)
			before_map(h);
	}
}

static void end_phase(struct hooks *h, void *uc)
{
	enum phase phase = h->run.phase;

	if (h->rows.row) {
		if (h->translations.strict)
			judge_translations(h, uc);
		/* A map that lasts may be for a user who has yet to store. */
		if (phase == SETTLE || phase == UNMAP ||
		    (phase == MAP && expected_of(h)->reads))
			judge_outside(h);
		if (phase == UNMAP)
			after_unmap(h);
	}
	h->run.phase = DRIVER;
	h->blocks.previous = h->blocks.previous_size = 0;
}

/* Whether the phase goes on in which the last code ran; it is not the driver's. */
static int lasts(const struct hooks *h)
{
	return *h->run.said == h->run.phase + 1 &&
	       current_operation(h) == h->run.operation;
}

/*
 * Return the phase of the code at an address, which runs next. The driver says
 * which phase it begins or has ended. Whatever is called then belongs to it,
 * until the driver's own code runs again.
 */
static enum phase follow(struct hooks *h, void *uc, uint64_t address)
{
	const struct driver *d = &h->driver;
	struct run *run = &h->run;
	int driver = address - d->start < d->end - d->start;
	uint64_t operation;

	if (run->phase != DRIVER) {
		if (!driver && lasts(h))
			return run->phase;
		end_phase(h, uc);
	}
	if (driver)
		return DRIVER;
	operation = current_operation(h);
	/* Then it is no longer the driver who says it. */
	if (operation >= run->operations) {
		if (!run->stopped)
			stop(h, uc, NO_OPERATION);
		return DRIVER;
	}
	run->operation = operation;
	run->said = (const uint32_t *)(run->phases +
				       run->operation * run->phases_stride);
	/* What a strategy may have stored there by mistake is no phase, either. */
	if (*run->said - 1 < PHASES)
		begin_phase(h, *run->said - 1);
	return run->phase;
}

/*
 * Follow calls and returns, by where functions begin and what lies behind the
 * instructions that led there. A tail call counts as one, which ends with the
 * return to an outer caller.
 */
static void follow_calls(struct hooks *h, uint64_t address, uint32_t size)
{
	struct run *run = &h->run;
	uint64_t i, kept = run->depth < CALLS ? run->depth : CALLS;

	if (run->pc && address != run->behind) {
		if (h->image.kind[address - h->image.text] & ENTRY) {
			if (run->depth < CALLS) {
				run->call[run->depth] = run->pc;
				run->back[run->depth] = run->behind;
			}
			run->depth++;
		} else {
			for (i = kept; i-- > 0;)
				if (address == run->back[i]) {
					run->depth = i;
					break;
				}
		}
	}
	run->behind = address + size;
}

static void spend(struct hooks *h, void *uc)
{
	if (++h->run.spent > h->run.budget && !h->run.stopped)
		stop(h, uc, TOO_LONG);
}
