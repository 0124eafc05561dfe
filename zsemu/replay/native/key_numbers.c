// SPDX-License-Identifier: GPL-2.0-only
/* The hash table of zsemu/replay/key_numbers.py. */
#include <stdint.h>

struct table {
	uint64_t *key;		/* by number */
	uint64_t keys;		/* that there are */
	uint32_t *slot;		/* number + 1, or 0: open addressing */
	uint64_t mask;		/* slots, a power of two, less one */
};

/* Where a key is, or where it would be. */
static uint32_t *find(const struct table *t, uint64_t key)
{
	/* Keys may differ in their upper halves alone, or in their lower ones. */
	uint64_t i = (key ^ key >> 32) * 0x9e3779b97f4a7c15ULL >> 32;

	for (;; i++) {
		uint32_t *slot = &t->slot[i & t->mask];

		if (!*slot || t->key[*slot - 1] == key)
			return slot;
	}
}

/* Give numbers to keys; there is room for all of them, were they all new. */
void number_keys(struct table *t, const uint64_t *key, uint64_t n, int64_t *number)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		uint32_t *slot = find(t, key[i]);

		if (!*slot) {
			t->key[t->keys] = key[i];
			*slot = ++t->keys;
		}
		number[i] = *slot - 1;
	}
}

/* Find places for all keys among other slots, which are empty. */
void place_keys(struct table *t)
{
	uint64_t i;

	for (i = 0; i < t->keys; i++)
		*find(t, t->key[i]) = i + 1;
}
