/* SPDX-License-Identifier: GPL-2.0-only */
/* Knows which phase of an operation it is when code at an address runs. */
#ifndef ZSEMU_PHASES_H
#define ZSEMU_PHASES_H

#include <stdint.h>

#define ENTRIES		5	/* settle, map, access_out, access_in, unmap */

/* As zsemu/counts.py has them. DRIVER: no phase, the driver itself runs. */
enum phase { SETTLE, MAP, ACCESS, UNMAP, PHASES, DRIVER = PHASES };

/* Where the driver's own code lies, and what it calls. */
struct entries {
	uint64_t driver, driver_end;
	uint64_t entry[ENTRIES];	/* or 0 */
};

/*
 * The phase that code at an address belongs to when it runs next. The function
 * that the driver calls decides; whatever that calls in turn belongs to the
 * same phase, until the driver's own code runs again.
 */
static enum phase phase_of(const struct entries *e, enum phase phase,
			   uint64_t address)
{
	static const enum phase phases[ENTRIES] = {
		SETTLE, MAP, ACCESS, ACCESS, UNMAP,
	};
	int i;

	if (address - e->driver < e->driver_end - e->driver)
		return DRIVER;
	if (phase != DRIVER)
		return phase;
	for (i = 0; i < ENTRIES; i++)
		if (address == e->entry[i])
			return phases[i];
	return DRIVER;
}

#endif
