/* SPDX-License-Identifier: GPL-2.0-only */
/* A step of a sequence of accesses: one word, and where in it what lies. */
#ifndef ZSEMU_STEP_H
#define ZSEMU_STEP_H

enum step_bit {
	STEP_OFFSET = 0,		/* in RAM, 40 bits */
	STEP_SIZE = 40,			/* bytes, 7 bits */
	STEP_STORE = 47,
	STEP_PHASE = 48,		/* 2 bits */
	STEP_BASE = 50,			/* 4 bits, which the hooks leave 0 */
};

#endif
