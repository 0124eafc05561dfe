// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two emulated CPUs and the search of their schedules. These are native code
 * because a Python call for each step would cost more than the emulation.
 * zsemu/race/machine.py compiles this file, fills in struct race and reads it.
 * No header of Unicorn or Python is needed: the callbacks have the prototypes
 * of Unicorn's uc_cb_hookcode_t and uc_cb_hookmem_t.
 */
#include "race.h"

#include "permitted.c"		/* which places an operation accesses */
#include "cpus.c"		/* what a CPU does, and undoes */
#include "search.c"		/* which schedules are run */
#include "schedules.c"		/* one, some at random, and the beginning */
