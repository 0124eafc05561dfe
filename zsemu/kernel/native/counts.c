// SPDX-License-Identifier: GPL-2.0-only
/*
 * What runs inside Unicorn's hooks while a kernel's own zsmalloc does:
 * zsemu/kernel/hooks.py builds it, fills struct counts and reads it.
 *
 *   on_block            hits per translated block, phase and scope, and a
 *                       signature of the path that malloc and free take;
 *   on_code, on_memory  everything about every operation, a row for each phase
 *                       and kind of code;
 *   alternate           runs a batch on two machines over the same memory: one
 *                       with each of these sets, in turn (alternate.h).
 *
 * No header of Unicorn or Python is needed: the prototypes are Unicorn's
 * (uc_cb_hookcode_t, uc_cb_hookmem_t).
 */
#include <stddef.h>
#include <stdint.h>

#include "../../guest/native/alternate.h"
#include "../../guest/native/blocks.h"

enum phase { MALLOC, FREE, MAP, ACCESS, UNMAP, PHASES, DRIVER = PHASES };

/* Whose code: the object's own, a stand-in's, or what copies. */
enum kind { OWN, STAND_IN, COPY, KINDS };

/* Columns of a row, as zsemu/kernel/counts.py has them. */
enum column {
	INSTRUCTIONS,
	STRING_ITERATIONS,
	LOADS,
	STORES,
	BYTES_LOADED,
	BYTES_STORED,
	LINES_TOUCHED,
	LINES_DIRTIED,
	CLASSES,	/* + class of the instruction, as zsemu/image.py has it */
	REGIONS = CLASSES + 5,
};

#define NR_REGIONS	9	/* those of zsemu/counts.py */
#define OTHER_REGION	8
#define COLUMNS		(REGIONS + 4 * NR_REGIONS)
#define SCOPES		8	/* columns of the block histogram, a power of two */
#define ENTRIES		12
#define PROFILE		6	/* columns up to BYTES_STORED */

/* Kinds of instruction, by address, that the host found by disassembling. */
enum instruction { PLAIN, STRING, STORE_EXCLUSIVE, BLOCK_ZERO, TLB };
#define ALIGNED		0x80
#define INSTRUCTION	0x3f

enum reason { TOO_LONG = 1, TOO_MANY_BLOCKS };

#define BLOCK_SIZE	64	/* of a dc zva */
#define LINE_SHIFT	6
#define LINE_BITS	13	/* a phase can touch 4 x 64 KiB, 4096 lines */
#define STORE_TYPE	17	/* UC_MEM_WRITE */

struct line {
	uint64_t line, epoch;
	uint64_t dirty;
};

struct counts {
	/* the image */
	uint64_t text, text_size;
	uint64_t driver, driver_end;
	uint64_t entry[ENTRIES], phase_of[ENTRIES];
	const uint8_t *owner;		/* kind of the code, by offset in the text */
	const uint8_t *kind, *class;	/* of the instruction, the same */
	/* the run */
	uint64_t word_bits;
	const void *current;		/* the guest's own word, in RAM */
	const uint8_t *scope;		/* by operation, ... */
	uint64_t operations;		/* ... of which there are so many */
	uint64_t budget;		/* blocks or instructions a phase may take */
	int (*stop)(void *uc);
	/* what happened last */
	uint64_t phase, spent, exhausted, operation, pc, epoch;

	/* the path of each malloc and free, by operation; by either set */
	uint64_t *signature;

	struct blocks blocks;		/* of on_block */

	/* on_code, on_memory */
	uint32_t *rows;			/* [operation][phase][kind][COLUMNS] */
	uint64_t ram, ram_size, page_shift;
	const uint8_t *region;		/* by page of RAM */
	uint64_t round, zeroing, behind;
	uint8_t *misaligned;		/* by offset in the text: it happened there */
	/* by instruction, if asked for: [phase][offset in the text][PROFILE] */
	uint64_t *profile;
	const uint64_t *weight;		/* by operation: how often it counts */
	struct line lines[1 << LINE_BITS];
};

static uint64_t load(const void *at, uint64_t bits)
{
	return bits == 64 ? *(const volatile uint64_t *)at :
			    *(const volatile uint32_t *)at;
}

/*
 * Follows the phases. What the driver calls decides; whatever that calls in
 * turn belongs to it, until the driver's own code runs again.
 */
static int follow(struct counts *c, uint64_t address)
{
	uint64_t operation;
	int i;

	if (address - c->driver < c->driver_end - c->driver) {
		c->phase = DRIVER;
		c->blocks.previous = c->blocks.previous_size = 0;
		return DRIVER;
	}
	if (c->phase != DRIVER)
		return c->phase;
	for (i = 0; i < ENTRIES; i++) {
		if (address != c->entry[i])
			continue;
		c->phase = c->phase_of[i];
		operation = load(c->current, c->word_bits);
		/* A stray store may have changed it. */
		if (operation < c->operations)
			c->operation = operation;
		c->blocks.cell = c->phase * SCOPES + c->scope[c->operation];
		c->spent = c->pc = c->behind = 0;
		c->epoch++;
		break;
	}
	return c->phase;
}

/*
 * Every jump goes into the signature, by where it ends and what it leads to.
 * Rounds of a string instruction do not: each is a block of its own, but not
 * of the code.
 */
static void jump(struct counts *c, uint64_t source, uint64_t target)
{
	uint64_t *s = &c->signature[c->operation];

	if (c->phase > FREE || !c->signature ||
	    (c->kind[target - c->text] & INSTRUCTION) == STRING)
		return;
	*s = (*s ^ target ^ source << 32) * 0x9e3779b97f4a7c15ULL;
	*s ^= *s >> 32;
}

static void spend(struct counts *c, void *uc)
{
	if (++c->spent > c->budget && !c->exhausted) {
		c->exhausted = TOO_LONG;
		c->stop(uc);
	}
}

void on_block(void *uc, uint64_t address, uint32_t size, void *user)
{
	struct counts *c = user;
	struct blocks *blocks = &c->blocks;
	uint64_t behind;

	if (is_round(blocks, address, size)) {
		spend(c, uc);
		jump(c, address + size, address);
		count_round(blocks);
		return;
	}
	if (address - c->text >= c->text_size || follow(c, address) == DRIVER)
		return;
	spend(c, uc);
	behind = blocks->previous + blocks->previous_size;
	if (address != behind)
		jump(c, behind, address);
	if (!count_block(blocks, address - c->text, address, size,
			 PHASES * SCOPES)) {
		c->exhausted = TOO_MANY_BLOCKS;
		c->stop(uc);
	}
}

static uint32_t *row(struct counts *c)
{
	uint64_t kind = c->owner[c->pc - c->text];

	return c->rows + ((c->operation * PHASES + c->phase) * KINDS + kind) *
				 COLUMNS;
}

/* What the current instruction adds to. */
static uint64_t *profile_row(struct counts *c)
{
	return c->profile +
	       (c->phase * c->text_size + (c->pc - c->text)) * PROFILE;
}

void on_code(void *uc, uint64_t address, uint32_t size, void *user)
{
	struct counts *c = user;
	uint64_t offset = address - c->text;
	uint32_t *r;
	int kind;

	if (offset >= c->text_size || follow(c, address) == DRIVER)
		return;
	spend(c, uc);
	kind = c->kind[offset] & INSTRUCTION;
	c->round = kind == STRING;
	c->zeroing = kind == BLOCK_ZERO;
	/* One instruction, however often it is executed. */
	if (kind == STRING && c->pc == address)
		return;
	if (address != c->behind)
		jump(c, c->behind, address);
	c->behind = address + size;
	c->pc = address;
	r = row(c);
	r[INSTRUCTIONS]++;
	r[CLASSES + c->class[offset]]++;
	if (c->profile)
		profile_row(c)[INSTRUCTIONS] += c->weight[c->operation];
}

static void touch(struct counts *c, uint32_t *r, uint64_t line, int dirty)
{
	uint64_t i = line * 0x9e3779b97f4a7c15ULL >> (64 - LINE_BITS);
	int tries;

	for (tries = 0; tries < 1 << LINE_BITS; tries++) {
		struct line *l = &c->lines[i];

		if (l->epoch != c->epoch) {
			*l = (struct line){ line, c->epoch, dirty };
			r[LINES_TOUCHED]++;
			r[LINES_DIRTIED] += dirty;
			return;
		}
		if (l->line == line) {
			r[LINES_DIRTIED] += dirty && !l->dirty;
			l->dirty |= dirty;
			return;
		}
		i = (i + 1) & ((1 << LINE_BITS) - 1);
	}
}

void on_memory(void *uc, int type, uint64_t address, int size, int64_t value,
	       void *user)
{
	struct counts *c = user;
	uint64_t offset = address - c->ram;
	int stores = type == STORE_TYPE, region = OTHER_REGION;
	uint32_t *r, *by_region;
	uint8_t kind;

	if (c->phase == DRIVER || !c->pc)
		return;
	/* A store-exclusive that succeeds shows a read, too. */
	kind = c->kind[c->pc - c->text];
	if (!stores && (kind & INSTRUCTION) == STORE_EXCLUSIVE)
		return;
	if ((kind & INSTRUCTION) == BLOCK_ZERO) {
		/* Unicorn shows it byte by byte, and two probes. */
		if (!stores || !c->zeroing)
			return;
		c->zeroing = 0;
		size = BLOCK_SIZE;
		offset &= -(uint64_t)BLOCK_SIZE;
	}
	r = row(c);
	r[STRING_ITERATIONS] += c->round;
	if (c->profile) {
		uint64_t *p = profile_row(c), weight = c->weight[c->operation];

		p[STRING_ITERATIONS] += c->round * weight;
		p[LOADS + stores] += weight;
		p[BYTES_LOADED + stores] += size * weight;
	}
	c->round = 0;
	if (kind & ALIGNED && address % size)
		c->misaligned[c->pc - c->text] = 1;
	if (offset < c->ram_size)
		region = c->region[offset >> c->page_shift];
	r[LOADS + stores]++;
	r[BYTES_LOADED + stores] += size;
	by_region = r + REGIONS + 4 * region;
	by_region[stores]++;
	by_region[2 + stores] += size;
	touch(c, r, offset >> LINE_SHIFT, stores);
	if ((offset + size - 1) >> LINE_SHIFT != offset >> LINE_SHIFT)
		touch(c, r, (offset >> LINE_SHIFT) + 1, stores);
}
