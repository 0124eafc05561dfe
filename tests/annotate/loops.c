// SPDX-License-Identifier: GPL-2.0-only
/*
 * copy, and loops of all kinds over its buffer, which is scratch.
 *
 * Promises: neighbour-clean, stateless, no-leak
 */
#define zs_map_object	map_of_copy
#include "strategies/copy.c"
#undef zs_map_object

/* A compiler must neither unroll a loop nor move what is in it. */
#define FUNCTION	static __attribute__((noinline)) void
#define REPEAT(i, n)	_Pragma("clang loop unroll(disable)") for (unsigned long i = 0; i < n; i++)
#define KEEP		asm volatile("" : : : "memory")
#define TIMES(x, n)	do { x *= n; asm volatile("" : "+r" (x)); } while (0)

FUNCTION called(unsigned long *words)
{
	KEEP;
}

FUNCTION plain(unsigned long *words, unsigned long n)
{
	REPEAT(i, n) {
		words[i] = words[i + 16] + n;
		KEEP;
	}
}

FUNCTION slow(unsigned long *words, unsigned long n)
{
	unsigned long sum = n;

	REPEAT(i, n) {
		TIMES(sum, n);
		TIMES(sum, n);
		TIMES(sum, n);
		words[i] = words[i + 16] + sum;
		KEEP;
	}
}

FUNCTION calls(unsigned long *words, unsigned long n)
{
	REPEAT(i, n) {
		words[i] = n;
		called(words);
	}
}

FUNCTION skips(unsigned long *words, unsigned long n)
{
	REPEAT(i, n) {
		if (i & 1)
			words[i + 16] = n;
		KEEP;
		words[i] = n;
		KEEP;
	}
}

FUNCTION nested(unsigned long *words, unsigned long n)
{
	REPEAT(i, n) {
		words[32] = i;
		REPEAT(j, n) {
			words[j] = n;
			KEEP;
		}
		KEEP;
	}
}

FUNCTION fences(unsigned long *words, unsigned long n)
{
	REPEAT(i, n) {
		words[i] = n;
		__sync_synchronize();
	}
}

FUNCTION adds(unsigned long *words, unsigned long n)
{
	__atomic_fetch_add(words, n, __ATOMIC_RELAXED);
}

FUNCTION idle(unsigned long *words, unsigned long n)
{
	REPEAT(i, n)
		asm volatile("" : : "r" (n));
}

u32 zs_map_object(struct zs_area *area, const struct zs_location *loc,
		  enum zs_mapmode mode, void *caller, struct zs_span *span)
{
	unsigned long *words = (void *)area->buffer, n = 16;

	asm volatile("" : "+r" (n));
	plain(words, n);
	slow(words, n);
	calls(words, n);
	skips(words, n);
	nested(words, n);
	fences(words, n);
	adds(words, n);
	idle(words, n);
	return map_of_copy(area, loc, mode, caller, span);
}
