// SPDX-License-Identifier: GPL-2.0-only
/* The native part of zsemu/caches: native_structures.py has it compiled. */
#include "caches.h"

#include "model.c"		/* two levels of cache */
#include "templates.c"		/* the accesses of a shape, for any operation of it */
