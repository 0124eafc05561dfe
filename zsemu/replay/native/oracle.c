// SPDX-License-Identifier: GPL-2.0-only
/*
 * What objects hold, operation by operation, and what callers' buffers hold,
 * byte by byte. zsemu/replay/oracle.py says what a content is, and calls this.
 * tests/replay/test_oracle.py compares it with models.
 *
 * As everywhere on this side, words of memory are read as the host has them:
 * the byte at the lowest address is the lowest.
 */
#include <stdint.h>

#define STEP	0x9e3779b97f4a7c15ULL	/* from word to word of a content */
#define POISON	0xa5a5a5a5a5a5a5a5ULL

/* As zsemu.traces.operation.Operation. */
enum operation { ALLOCATE, FREE, READ, WRITE, UPDATE };

/* Of every object; or of the object of every operation, before it. */
struct versions {
	int64_t *version;
	int64_t *newest;	/* bytes of that version, at its start */
	int64_t *defined;	/* bytes that are defined */
};

/* What a caller's buffer holds. Bytes behind the length are poison. */
struct content {
	uint64_t start, words;		/* of the buffer, in the arena */
	uint64_t length, known;		/* bytes; how many of them matter */
	uint64_t newest;		/* bytes of the newest version */
	uint64_t first, older;		/* its first word, and an older one */
};

/* Follow operations, and say how each finds its object. */
void advance(const struct versions *objects, const struct versions *before,
	     int64_t *after, const uint8_t *operation, const uint32_t *object,
	     const int64_t *length, uint64_t operations)
{
	uint64_t i;

	for (i = 0; i < operations; i++) {
		int64_t *version = &objects->version[object[i]];
		int64_t *newest = &objects->newest[object[i]];
		int64_t *defined = &objects->defined[object[i]];

		/* It begins a history, also where a handle is used again. */
		if (operation[i] == ALLOCATE)
			*version = *newest = *defined = 0;
		before->version[i] = *version;
		before->newest[i] = *newest;
		before->defined[i] = *defined;
		if (operation[i] == WRITE || operation[i] == UPDATE) {
			/*
			 * An update leaves what it does not reach; of that only
			 * the newest version is followed.
			 */
			*defined = length[i];
			if (operation[i] == UPDATE && *newest > length[i])
				*defined = *newest;
			*newest = length[i];
			++*version;
		}
		after[i] = *version;
	}
}

/* The first word of a version of an object: a finaliser as in splitmix64. */
static uint64_t base(uint32_t object, int64_t version)
{
	uint64_t word = (uint64_t)object << 32 | (uint64_t)version;

	word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9ULL;
	word = (word ^ word >> 27) * 0x94d049bb133111ebULL;
	return word ^ word >> 31;
}

/* A version of an object, of which `newest` bytes are its own. */
static struct content content(uint64_t start, uint64_t words, uint64_t length,
			      uint32_t object, int64_t version, uint64_t newest)
{
	return (struct content){ start, words, length, length, newest,
				 base(object, version),
				 base(object, version - 1) };
}

/*
 * Lay out the buffers of operations, a read's or a write's, and two of an
 * update: the second holds the new content, and afterwards what was seen of
 * the old. Say whose each is, what it is given, and what it must hold at last.
 */
void lay_out(const uint8_t *operation, const uint32_t *object,
	     const int64_t *length, const int64_t *words,
	     const struct versions *before, const int64_t *after,
	     uint64_t operations, int64_t *owner, struct content *given,
	     struct content *wanted)
{
	uint64_t i, start = 0;

	for (i = 0; i < operations; i++) {
		uint64_t size = length[i], known = before->defined[i];
		uint64_t newest = before->newest[i];
		struct content nothing, old, new;

		if (operation[i] < READ)
			continue;
		if (known > size)
			known = size;
		/* What the last update did not reach is of an older version. */
		if (newest >= known)
			newest = size;
		old = content(start, words[i], size, object[i],
			      before->version[i], newest);
		old.known = known;
		new = content(start, words[i], size, object[i], after[i], size);
		nothing = content(start, words[i], 0, object[i], 0, 0);
		*owner++ = i;
		*given++ = operation[i] == WRITE ? new : nothing;
		*wanted++ = operation[i] == READ ? old : new;
		start += words[i];
		if (operation[i] != UPDATE)
			continue;
		old.start = new.start = start;
		*owner++ = i;
		*given++ = new;
		*wanted++ = old;
		start += words[i];
	}
}

/* The bits of word i whose bytes lie before the byte `end` of a buffer. */
static uint64_t bits_before(uint64_t end, uint64_t i)
{
	if (end >= i * 8 + 8)
		return ~0ULL;
	return end <= i * 8 ? 0 : (1ULL << (end - i * 8) * 8) - 1;
}

static uint64_t mix(uint64_t one, uint64_t other, uint64_t bits)
{
	return (one & bits) | (other & ~bits);
}

static uint64_t word_of(const struct content *c, uint64_t i)
{
	uint64_t first = c->first + i * STEP, older = c->older + i * STEP;

	return mix(first, mix(older, POISON, bits_before(c->length, i)),
		   bits_before(c->newest, i));
}

/* Write buffers into an arena. */
void fill(const struct content *content, uint64_t buffers, uint64_t *arena)
{
	const struct content *c;
	uint64_t i;

	for (c = content; c < content + buffers; c++) {
		uint64_t *words = arena + c->start;

		for (i = 0; i < c->newest / 8; i++)
			words[i] = c->first + i * STEP;
		for (; i * 8 < c->length; i++)
			words[i] = word_of(c, i);
		for (; i < c->words; i++)
			words[i] = POISON;
	}
}

/* Whether any byte of an arena is wrong that matters. */
int differs(const struct content *content, uint64_t buffers,
	    const uint64_t *arena)
{
	const struct content *c;
	uint64_t i, wrong = 0;

	for (c = content; c < content + buffers; c++) {
		const uint64_t *words = arena + c->start;
		uint64_t whole = (c->newest < c->known ? c->newest :
							 c->known) / 8;

		for (i = 0; i < whole; i++)
			wrong |= words[i] ^ (c->first + i * STEP);
		for (; i * 8 < c->length; i++)
			wrong |= (words[i] ^ word_of(c, i)) &
				 (bits_before(c->known, i) |
				  ~bits_before(c->length, i));
		for (; i < c->words; i++)
			wrong |= words[i] ^ POISON;
	}
	return wrong != 0;
}
