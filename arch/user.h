/* SPDX-License-Identifier: GPL-2.0-only */
/* What the user of an object does with it while it is mapped: arch/user.c. */
#ifndef ZS_USER_H
#define ZS_USER_H

#include "zs.h"

/* zs_copy(), for the access alone: arch/access.S */
void zs_access_copy(void *dst, const void *src, unsigned long n);

void zs_access_out(const struct zs_span *span, u32 spans, char *caller);
void zs_access_in(const struct zs_span *span, u32 spans, char *caller);

/* The same, where each of its accesses need not be looked at: arch/driver.c */
void zs_copy_by_span(void *dst, const void *src, unsigned long n);
void zs_access_out_by_span(const struct zs_span *span, u32 spans, char *caller);
void zs_access_in_by_span(const struct zs_span *span, u32 spans, char *caller);

void zs_exchange(char *a, char *b, u32 length);

#endif /* ZS_USER_H */
