// SPDX-License-Identifier: GPL-2.0-only
/* Notes what is found wrong, and knows which promises were made. */

/* The calls that led to the current instruction, the innermost first. */
static void calls_to_here(const struct hooks *h, uint64_t *calls)
{
	uint64_t i, kept = h->run.depth < CALLS ? h->run.depth : CALLS;

	for (i = 0; i < CALLS; i++)
		calls[i] = i < kept ? h->run.call[kept - 1 - i] : 0;
}

/* Note what went wrong in a phase, once for each kind and operation. */
static void report_in(struct hooks *h, enum phase phase, enum what what,
		      uint64_t pc, uint64_t address, uint64_t size,
		      uint64_t value)
{
	struct judgement *j = &h->judgement;

	if (j->last_found[what] == h->run.operation + 1)
		return;
	j->last_found[what] = h->run.operation + 1;
	if (j->nr_findings < FINDINGS)
		j->findings[j->nr_findings] = (struct finding){
			what, h->run.operation, phase,
			pc, address, size, value, { 0 },
		};
	if (j->nr_findings < FINDINGS && pc == h->run.pc)
		calls_to_here(h, j->findings[j->nr_findings].calls);
	j->nr_findings++;
}

static void report(struct hooks *h, enum what what, uint64_t pc,
		   uint64_t address, uint64_t size, uint64_t value)
{
	report_in(h, h->run.phase, what, pc, address, size, value);
}

static int promised(const struct hooks *h, enum what what)
{
	return h->judgement.promises >> what & 1;
}
