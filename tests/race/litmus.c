// SPDX-License-Identifier: GPL-2.0-only
/* A program for two CPUs: tests/race/litmus.py puts in what they do. */
#include "zs.h"

#define LOAD(v)		__atomic_load_n(&(v), __ATOMIC_SEQ_CST)
#define STORE(v, n)	__atomic_store_n(&(v), n, __ATOMIC_SEQ_CST)

unsigned long x, y, flag[2], turn, result[2][2];

void zs_settle(struct zs_area *area, const struct zs_location *loc)
{
	unsigned long me = area->cpu, *r = result[me], i;

	/* WHAT EACH CPU DOES */
}

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	return 0;
}

void zs_unmap_object(struct zs_area *area, const struct zs_location *loc,
		     enum zs_mapmode mode, void *caller)
{
}
