// SPDX-License-Identifier: GPL-2.0-only
/*
 * A user's access to a payload: all of it, once. Both guest programs, that of
 * the strategies and that of a kernel's object, have exactly this code, in a
 * section of its own: it is the access phase.
 */
#include "user.h"

#define __driver	__attribute__((section(".text.driver"), noinline))

/*
 * What the user of an update does with its buffer between the two: replace
 * the old content by the new, and keep the old for the host to look at.
 * Nobody's cost.
 */
__driver void zs_exchange(char *a, char *b, u32 length)
{
	unsigned long *wa = (unsigned long *)a, *wb = (unsigned long *)b;
	u32 i, words = length / sizeof(*wa);

	for (i = 0; i < words; i++) {
		unsigned long w = wa[i];

		wa[i] = wb[i];
		wb[i] = w;
	}
	for (i = words * sizeof(*wa); i < length; i++) {
		char c = a[i];

		a[i] = b[i];
		b[i] = c;
	}
}

/* Behind a function of this file: binutils takes the first for the file itself. */
#define ZS_OUT		zs_access_out
#define ZS_IN		zs_access_in
#define ZS_USER_COPY	zs_access_copy
#define ZS_USER_SECTION	".access"
#include "access.h"
