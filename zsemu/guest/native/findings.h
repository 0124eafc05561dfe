/* SPDX-License-Identifier: GPL-2.0-only */
/* What native code finds wrong; zsemu/replay/judgement.py tells of it. */
#ifndef ZSEMU_FINDINGS_H
#define ZSEMU_FINDINGS_H

#include <stdint.h>

#define CALLS		4	/* that are remembered of a chain */

enum what {
	STRAY, STRAY_LOAD, MISALIGNED, STALE,
	/* Broken promises, which are looked for only where they were made. */
	RO_CLEAN, NEIGHBOUR_CLEAN, STATELESS, NO_LEAK,
	WHATS,
};

/* Something found wrong; what is one of enum what. */
struct finding {
	uint64_t what, operation, phase, pc, address, size, value;
	uint64_t calls[CALLS];	/* where it was called from, the innermost first */
};

#endif
