// SPDX-License-Identifier: GPL-2.0-only
/*
 * A user's access to a payload: all of it, once. Both guest programs, that of
 * the strategies and that of a kernel's object, have exactly this code, in a
 * section of its own: it is the access phase.
 */
#include "user.h"

#define __driver	__attribute__((section(".text.driver"), noinline))
#define __access	__attribute__((section(".access"), noinline))

/* Nothing is left to do where the caller's own buffer was handed out. */
__access void zs_access_out(const struct zs_span *span, u32 spans, char *caller)
{
	u32 i;

	for (i = 0; i < spans; i++) {
		if (span[i].addr != caller)
			zs_access_copy(caller, span[i].addr, span[i].length);
		caller += span[i].length;
	}
}

__access void zs_access_in(const struct zs_span *span, u32 spans, char *caller)
{
	u32 i;

	for (i = 0; i < spans; i++) {
		if (span[i].addr != caller)
			zs_access_copy(span[i].addr, caller, span[i].length);
		caller += span[i].length;
	}
}

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
