// SPDX-License-Identifier: GPL-2.0-only
/*
 * What runs inside Unicorn's hooks: native code, so that counting costs what
 * counting costs. zsemu/hooks.py builds it, fills struct hooks and reads it.
 *
 * Two sets, for two machines over the same memory:
 *   on_block            hits per translated block, phase and scope;
 *   on_code, on_memory  everything about every operation, a row each, if
 *                       wanted about every instruction, too, and every store
 *                       judged;
 *   leaf_read           the windows' page table as a device: an entry that was
 *                       valid is served as it was until its invalidate.
 *
 * No header of Unicorn or Python is needed: the callbacks' prototypes are
 * Unicorn's (uc_cb_hookcode_t, uc_cb_hookmem_t).
 */
#include <stdint.h>
#include <string.h>

enum phase { SETTLE, MAP, ACCESS, UNMAP, PHASES, DRIVER = PHASES };

/* Columns of a row, as zsemu/counts.py has them. */
enum column {
	INSTRUCTIONS,
	STRING_ITERATIONS,
	LOADS,
	STORES,
	BYTES_LOADED,
	BYTES_STORED,
	PTE_STORES,
	TLB_PAGE_LOCAL,
	TLB_PAGE_BROADCAST,
	TLB_ALL_LOCAL,
	TLB_ALL_BROADCAST,
	LINES_TOUCHED,
	LINES_DIRTIED,
	CLASS_LOAD,	/* + class of the instruction, as zsemu/image.py has it */
	CLASS_STORE,
	CLASS_ALU,
	CLASS_BRANCH,
	CLASS_SYSTEM,
	REGIONS,
};

enum region {
	POOL, BUFFER, CALLER, PAGETABLE, STATE, BATCH, STACK, CODE, OTHER,
	NR_REGIONS,
	ZSPAGE,		/* descriptors: batch, but state from ZSPAGE_WORDS on */
};

/* Behind the counts: what an operation did that a promise may exclude. */
enum {
	STORES_READING = REGIONS + 4 * NR_REGIONS,	/* pool, read-only map */
	STORES_OUTSIDE,	/* pool, not its own slot */
	LEFT,		/* page words and window entries in use after unmap */
	LEAKED,		/* bytes of its slot that differ after unmap, unwritten */
	UNALIGNED,	/* accesses of the strategy, whatever the target's rule */
	COLUMNS,
};
#define SCOPES		8	/* columns of the block histogram, a power of two */
#define PROFILE		(BYTES_STORED + 1)	/* the first columns of a row */
#define ENTRIES		5	/* settle, map, access_out, access_in, unmap */

#define ZSPAGE_SIZE	512
#define ZSPAGE_WORDS	256

/* Kinds of instruction, by address, that the host found by disassembling. */
enum kind { PLAIN, STRING, STORE_EXCLUSIVE, BLOCK_ZERO, TLB /* + which of four */ };
#define ALIGNED		0x80	/* must not access memory unaligned */
#define KIND		0x7f

/* Why a run was stopped: hooks.exhausted. */
enum reason { TOO_LONG = 1, TOO_MANY_BLOCKS, TOO_MUCH_MEMORY };

/* What is found here rather than by the host. */
enum what {
	STRAY, MISALIGNED, STALE,
	/* broken promises, looked for only where promised */
	RO_CLEAN, NEIGHBOUR_CLEAN, STATELESS, NO_LEAK,
	WHATS,
};

#define BLOCK_SIZE	64	/* of a dc zva, on every CPU model of Unicorn's */
#define LINE_SHIFT	6
#define LINE_BITS	13	/* > lines that any phase can touch: 4 x 64 KiB are 4096 */
#define LINES_MAX	((1 << LINE_BITS) - 512)
#define FINDINGS	20
#define SCRATCH		0x5a	/* what a CPU's buffer holds before a map */
#define SLOT_MAX	65536	/* the largest page, and so the largest slot */
#define LEAF_MAX	65536
#define FLUSH_TLB	(11U | 1U << 30)	/* of uc_ctl() */

/* What the host knows of an operation, for the judgement of its stores. */
struct expected {
	uint32_t scope;
	uint32_t cpu;
	int64_t zspage;		/* index of its descriptor */
	uint64_t low, high;	/* bytes of the zspage that it may store into */
	uint64_t caller;	/* caller's buffer: offset in RAM ... */
	uint64_t length;	/* ... and length */
	uint64_t reads;		/* mapped read-only */
	uint64_t part[2];	/* its slot: offsets in RAM of its one or two parts ... */
	uint64_t bytes[2];	/* ... and their sizes */
};

struct finding {
	uint64_t what, operation, phase, pc, address, size, value;
};

struct block {
	uint64_t address;
	uint32_t size;
	uint32_t next;		/* another block of the same address, + 1 */
};

struct line {
	uint64_t line;
	uint64_t epoch;
	uint32_t dirty, unused;
};

struct hooks {
	/* the image */
	uint64_t text, text_size;
	uint64_t driver, driver_end;
	uint64_t entry[ENTRIES];
	/* the run */
	uint64_t word_bits;
	const void *current;		/* the guest's own word, in RAM */
	const struct expected *expected;
	uint64_t budget;		/* blocks or instructions a phase may take */
	int (*stop)(void *uc);
	/* what happened last */
	uint64_t phase, spent, exhausted, operation, pc;

	/* on_block */
	uint32_t *block_at;		/* by offset in the text: index + 1 */
	struct block *blocks;
	uint64_t *hits, *repeats;	/* [block][phase * SCOPES + scope] */
	uint64_t nr_blocks, max_blocks;
	uint64_t cell;			/* of the phase and scope */
	/* the last block of this phase: address (0: none), size, cell */
	uint64_t previous, previous_size, previous_cell;

	/* on_code, on_memory */
	const uint8_t *kind;		/* by offset in the text */
	const uint8_t *class;		/* the same */
	uint32_t *rows;			/* [operation][phase][COLUMNS] */
	uint64_t ram, ram_size, page_shift;
	const uint8_t *region;		/* by page of RAM */
	const int32_t *owner;		/* by page: CPU, or zspage of a pool page */
	const int32_t *index;		/* by page: which page of its zspage */
	uint64_t window_leaf, pte_size, window_ptes;	/* entries a CPU owns */
	uint64_t zspages;		/* descriptors: offset in RAM */
	uint64_t buffers, stride;	/* CPU 0's buffer, and bytes to the next */
	uint64_t last_pte, pte_halves;
	uint64_t round;			/* the next access is a round of a rep */
	uint64_t zeroing;		/* the next store is a whole block's */
	uint64_t epoch, accessed;
	struct line lines[1 << LINE_BITS];
	uint64_t promises;		/* mask of 1 << RO_CLEAN and so on */
	uint64_t nr_findings, last_found[WHATS];
	struct finding findings[FINDINGS];
	uint8_t *memory;		/* the RAM itself */
	uint64_t mapped;		/* maps that have not ended */
	uint64_t buffer_used;		/* bytes of a buffer, up to the last stored */
	/* the last store that changed a byte which turned out wrong */
	uint64_t watch, watched_pc;
	uint8_t slot[SLOT_MAX];		/* as it was before the map */
	/* the windows' page table, if it is a device */
	uint64_t strict, pte_present;	/* mask: present if any of its bits is set */
	uint64_t window, mmu_shift;
	uint64_t pte_pc;		/* the last store into it */
	int (*read_register)(void *uc, int which, void *value);
	int (*control)(void *uc, unsigned int what, ...);
	const uint16_t *operand;	/* by offset in the text: its register ... */
	const int64_t *displacement;	/* ... and what is added */
	uint64_t operand_shift;		/* of the address in that register */
	uint8_t served[LEAF_MAX], stored[LEAF_MAX];
	/* what each instruction did, if somebody wants to know */
	uint64_t *profile;		/* [phase][offset in the text][PROFILE] */
	const uint64_t *weight;		/* how often each operation counts in it */
};

static uint64_t current(const struct hooks *h)
{
	if (h->word_bits == 64)
		return *(const volatile uint64_t *)h->current;
	return *(const volatile uint32_t *)h->current;
}

static void find(struct hooks *h, enum what what, uint64_t pc, uint64_t address,
		 uint64_t size, uint64_t value)
{
	/* Once an operation. */
	if (h->last_found[what] == h->operation + 1)
		return;
	h->last_found[what] = h->operation + 1;
	if (h->nr_findings < FINDINGS)
		h->findings[h->nr_findings] = (struct finding){
			what, h->operation, h->phase, pc, address, size, value,
		};
	h->nr_findings++;
}

static uint32_t *row(struct hooks *h)
{
	return h->rows + (h->operation * PHASES + h->phase) * COLUMNS;
}

/* The same as in the row, for the instruction at hand. */
static void attribute(struct hooks *h, enum column column, uint64_t amount)
{
	uint64_t at = h->phase * h->text_size + h->pc - h->text;

	if (h->profile)
		h->profile[at * PROFILE + column] +=
			amount * h->weight[h->operation];
}

static uint64_t load(const uint8_t *at, uint64_t size)
{
	return size == 8 ? *(const uint64_t *)at : *(const uint32_t *)at;
}

static void before_map(struct hooks *h)
{
	const struct expected *e = &h->expected[h->operation];

	/* Nothing survives there from one mapping to the next. */
	if (!h->mapped++)
		memset(h->memory + h->buffers + e->cpu * h->stride, SCRATCH,
		       1ULL << h->page_shift);
	memcpy(h->slot, h->memory + e->part[0], e->bytes[0]);
	memcpy(h->slot + e->bytes[0], h->memory + e->part[1], e->bytes[1]);
}

static void after_unmap(struct hooks *h)
{
	const struct expected *e = &h->expected[h->operation];
	uint64_t word = h->word_bits / 8, i, written, changed = 0;
	const uint8_t *words = h->memory + h->zspages +
			       e->zspage * ZSPAGE_SIZE + ZSPAGE_WORDS;
	const uint8_t *table = h->strict ? h->stored : h->memory + h->window_leaf;
	uint32_t *r = row(h);

	h->mapped--;
	for (i = 0; i < e->bytes[0]; i++)
		changed += h->slot[i] != h->memory[e->part[0] + i];
	for (i = 0; i < e->bytes[1]; i++)
		changed += h->slot[e->bytes[0] + i] != h->memory[e->part[1] + i];
	/* What the operation wrote may differ, and nothing else. */
	written = e->reads ? 0 : e->length;
	if (changed > written) {
		r[LEAKED] = changed - written;
		if (h->promises & 1 << NO_LEAK)
			find(h, NO_LEAK, h->pc, h->ram + e->part[0],
			     changed - written, 0);
	}
	for (i = 0; i < ZSPAGE_SIZE - ZSPAGE_WORDS; i += word)
		r[LEFT] += load(words + i, word) != 0;
	for (i = 0; i < h->window_ptes; i++)
		r[LEFT] += (load(table + (e->cpu * h->window_ptes + i) *
						 h->pte_size,
				 h->pte_size) &
			    h->pte_present) != 0;
	if (r[LEFT] && h->promises & 1 << STATELESS)
		find(h, STATELESS, h->pc, h->ram + h->zspages, r[LEFT], 0);
}

/* No entry that was valid may have changed without its invalidate. */
static void judge_translations(struct hooks *h, void *uc)
{
	const struct expected *e = &h->expected[h->operation];
	uint64_t i, at;

	for (i = 0; i < h->window_ptes; i++) {
		at = (e->cpu * h->window_ptes + i) * h->pte_size;
		if (load(h->served + at, h->pte_size) !=
		    load(h->stored + at, h->pte_size)) {
			find(h, STALE, h->pte_pc,
			     h->window + (at / h->pte_size << h->mmu_shift),
			     h->pte_size, load(h->stored + at, h->pte_size));
			/*
			 * Once is enough. What Unicorn still holds, and for how
			 * long, must not decide what is found from here on.
			 */
			memcpy(h->served + at, h->stored + at, h->pte_size);
			h->control(uc, FLUSH_TLB);
		}
	}
}

static void invalidate(struct hooks *h, uint64_t page)
{
	uint64_t at = page * h->pte_size;

	if (at < LEAF_MAX)
		memcpy(h->served + at, h->stored + at, h->pte_size);
}

static void on_tlb(struct hooks *h, void *uc, uint64_t offset, int which)
{
	uint64_t address = 0;

	if (which >= 2) {	/* all */
		memcpy(h->served, h->stored, LEAF_MAX);
		return;
	}
	h->read_register(uc, h->operand[offset], &address);
	if (h->word_bits == 32)
		address = (uint32_t)address;
	address = (address << h->operand_shift) + h->displacement[offset];
	invalidate(h, (address - h->window) >> h->mmu_shift);
}

uint64_t leaf_read(void *uc, uint64_t offset, unsigned int size, void *user)
{
	struct hooks *h = user;

	return offset + size > LEAF_MAX ? 0 : load(h->served + offset, size);
}

/* Unicorn may hand over an 8-byte store in halves: on_memory() has it whole. */
void leaf_write(void *uc, uint64_t offset, unsigned int size, uint64_t value,
		void *user)
{
}

static void store_entry(struct hooks *h, uint64_t offset, uint64_t size,
			uint64_t value)
{
	uint64_t at = offset / h->pte_size * h->pte_size;

	if (offset + size > LEAF_MAX)
		return;
	memcpy(h->stored + offset, &value, size);
	/* What is not present is not cached: the new entry is seen at once. */
	if (!(load(h->served + at, h->pte_size) & h->pte_present))
		memcpy(h->served + at, h->stored + at, h->pte_size);
}

/*
 * Follows the phases. What the driver calls decides; whatever that calls in
 * turn belongs to it, until the driver's own code runs again.
 */
static int follow(struct hooks *h, void *uc, uint64_t address)
{
	static const enum phase phases[ENTRIES] = {
		SETTLE, MAP, ACCESS, ACCESS, UNMAP,
	};
	int i;

	if (address - h->driver < h->driver_end - h->driver) {
		if (h->rows && h->phase != DRIVER) {
			if (h->strict)
				judge_translations(h, uc);
			if (h->phase == UNMAP)
				after_unmap(h);
		}
		h->phase = DRIVER;
		h->previous = h->previous_size = 0;
		return DRIVER;
	}
	if (h->phase != DRIVER)
		return h->phase;
	for (i = 0; i < ENTRIES; i++) {
		if (address == h->entry[i]) {
			h->phase = phases[i];
			h->operation = current(h);
			h->cell = h->phase * SCOPES +
				  h->expected[h->operation].scope;
			h->spent = 0;
			/* The two copies of an update are one access. */
			if (h->phase != ACCESS || h->accessed != h->operation + 1)
				h->epoch++;
			h->accessed = h->phase == ACCESS ? h->operation + 1 : 0;
			h->last_pte = ~0ULL;
			h->pc = 0;
			if (h->rows && h->phase == MAP)
				before_map(h);
			break;
		}
	}
	return h->phase;
}

static void spend(struct hooks *h, void *uc)
{
	if (++h->spent > h->budget && !h->exhausted) {
		h->exhausted = TOO_LONG;
		h->stop(uc);
	}
}

static uint32_t block_of(struct hooks *h, uint64_t address, uint32_t size)
{
	uint32_t *link = &h->block_at[address - h->text];

	while (*link) {
		struct block *b = &h->blocks[*link - 1];

		if (b->size == size)
			return *link - 1;
		link = &b->next;
	}
	if (h->nr_blocks == h->max_blocks)
		return ~0U;
	h->blocks[h->nr_blocks] = (struct block){ address, size, 0 };
	*link = ++h->nr_blocks;
	return *link - 1;
}

void on_block(void *uc, uint64_t address, uint32_t size, void *user)
{
	struct hooks *h = user;
	uint64_t cell;
	uint32_t block;

	/* What most blocks are: the next round of a loop. */
	if (address == h->previous && size == h->previous_size) {
		spend(h, uc);
		h->hits[h->previous_cell]++;
		h->repeats[h->previous_cell]++;
		return;
	}
	if (address - h->text >= h->text_size)
		return;
	if (follow(h, uc, address) == DRIVER)
		return;
	spend(h, uc);
	block = block_of(h, address, size);
	if (block == ~0U) {
		h->exhausted = TOO_MANY_BLOCKS;
		h->stop(uc);
		return;
	}
	cell = block * (PHASES * SCOPES) + h->cell;
	h->hits[cell]++;
	/* A rep-prefixed instruction: every round is a block of its own. */
	if (h->previous + h->previous_size == address + size)
		h->repeats[cell]++;
	h->previous = address;
	h->previous_size = size;
	h->previous_cell = cell;
}

void on_code(void *uc, uint64_t address, uint32_t size, void *user)
{
	struct hooks *h = user;
	uint64_t offset = address - h->text;
	uint32_t *r;
	int kind;

	if (offset >= h->text_size)
		return;
	if (follow(h, uc, address) == DRIVER) {
		h->pc = address;
		return;
	}
	spend(h, uc);
	r = row(h);
	kind = h->kind[offset] & KIND;
	h->round = kind == STRING;
	h->zeroing = kind == BLOCK_ZERO;
	/* One instruction, however often it is executed. */
	if (kind == STRING && h->pc == address)
		return;
	h->pc = address;
	r[INSTRUCTIONS]++;
	attribute(h, INSTRUCTIONS, 1);
	r[CLASS_LOAD + h->class[offset]]++;
	if (kind >= TLB) {
		r[TLB_PAGE_LOCAL + kind - TLB]++;
		if (h->strict)
			on_tlb(h, uc, offset, kind - TLB);
	}
}

static void touch(struct hooks *h, void *uc, uint32_t *r, uint64_t line,
		  int store)
{
	uint64_t i = line * 0x9e3779b97f4a7c15ULL >> (64 - LINE_BITS);

	for (;; i = (i + 1) & ((1 << LINE_BITS) - 1)) {
		struct line *l = &h->lines[i];

		if (l->epoch != h->epoch) {
			*l = (struct line){ line, h->epoch, store, 0 };
			r[LINES_TOUCHED]++;
			r[LINES_DIRTIED] += store;
			/* Lest the search for a free place never end. */
			if (r[LINES_TOUCHED] == LINES_MAX && !h->exhausted) {
				h->exhausted = TOO_MUCH_MEMORY;
				h->stop(uc);
			}
			return;
		}
		if (l->line == line) {
			if (store && !l->dirty) {
				l->dirty = 1;
				r[LINES_DIRTIED]++;
			}
			return;
		}
	}
}

/* Where an operation may store. */
static int allowed(const struct hooks *h, const struct expected *e, int region,
		   uint64_t offset, uint64_t size)
{
	uint64_t page = offset >> h->page_shift;
	uint64_t linear, pte;

	switch (region) {
	case POOL:
		linear = ((uint64_t)h->index[page] << h->page_shift) +
			 (offset & ((1ULL << h->page_shift) - 1));
		return h->owner[page] == e->zspage && linear >= e->low &&
		       linear + size <= e->high;
	case BUFFER:
	case STATE:
		return h->owner[page] == e->cpu;
	case ZSPAGE:
		offset -= h->zspages;
		return (int64_t)(offset / ZSPAGE_SIZE) == e->zspage &&
		       offset % ZSPAGE_SIZE >= ZSPAGE_WORDS;
	case PAGETABLE:
		pte = (offset - h->window_leaf) / h->pte_size;
		return offset >= h->window_leaf &&
		       pte / h->window_ptes == e->cpu;
	case CALLER:
		return offset >= e->caller &&
		       offset + size <= e->caller + e->length;
	case STACK:
		return 1;
	}
	return 0;
}

void on_memory(void *uc, int type, uint64_t address, int size, int64_t value,
	       void *user)
{
	struct hooks *h = user;
	uint64_t offset = address - h->ram;
	int store = type == 17;		/* UC_MEM_WRITE; a read is 16 */
	int region = OTHER, counted;
	const struct expected *e;
	uint32_t *r, *c;
	uint8_t kind;

	if (h->phase == DRIVER)
		return;
	/* A store-exclusive that succeeds shows a read, too. */
	kind = h->kind[h->pc - h->text];
	if (!store && (kind & KIND) == STORE_EXCLUSIVE)
		return;
	if ((kind & KIND) == BLOCK_ZERO) {
		/* Unicorn shows it byte by byte, and two probes. */
		if (!store || !h->zeroing)
			return;
		h->zeroing = 0;
		size = BLOCK_SIZE;
		offset &= -(uint64_t)BLOCK_SIZE;
		address &= -(uint64_t)BLOCK_SIZE;
	}
	e = &h->expected[h->operation];
	r = row(h);
	r[STRING_ITERATIONS] += h->round;
	attribute(h, STRING_ITERATIONS, h->round);
	h->round = 0;
	if (kind & ALIGNED && address % size)
		find(h, MISALIGNED, h->pc, address, size, value);
	if (offset < h->ram_size)
		region = h->region[offset >> h->page_shift];
	/* A write is reported before it is done. */
	if (store && offset <= h->watch && h->watch < offset + size &&
	    h->memory[h->watch] != (uint8_t)(value >> (h->watch - offset) * 8))
		h->watched_pc = h->pc;
	if (store && !allowed(h, e, region, offset, size))
		find(h, STRAY, h->pc, address, size, value);
	if (store && region == BUFFER) {
		uint64_t end = (offset - h->buffers) % h->stride + size;

		if (end > h->buffer_used)
			h->buffer_used = end;
	}
	if (store && region == POOL && offset - e->part[0] >= e->bytes[0] &&
	    offset - e->part[1] >= e->bytes[1]) {
		r[STORES_OUTSIDE]++;
		if (h->promises & 1 << NEIGHBOUR_CLEAN)
			find(h, NEIGHBOUR_CLEAN, h->pc, address, size, value);
	}
	if (store && region == POOL && e->reads) {
		r[STORES_READING]++;
		if (h->promises & 1 << RO_CLEAN)
			find(h, RO_CLEAN, h->pc, address, size, value);
	}
	if (address % size && h->phase != ACCESS)
		r[UNALIGNED]++;
	counted = region;
	if (region == ZSPAGE)
		counted = (offset - h->zspages) % ZSPAGE_SIZE >= ZSPAGE_WORDS ?
			  STATE : BATCH;

	c = r + REGIONS + 4 * counted;
	r[LOADS + store]++;
	r[BYTES_LOADED + store] += size;
	attribute(h, LOADS + store, 1);
	attribute(h, BYTES_LOADED + store, size);
	c[store]++;
	c[2 + store] += size;

	/* The two halves of an 8-byte entry are one store. */
	if (store && region == PAGETABLE) {
		h->pte_pc = h->pc;
		if (h->strict)
			store_entry(h, offset - h->window_leaf, size, value);
		uint64_t pte = offset / h->pte_size;
		uint64_t half = 1ULL << offset % h->pte_size;

		if (pte != h->last_pte || h->pte_halves & half) {
			r[PTE_STORES]++;
			h->pte_halves = 0;
		}
		h->last_pte = pte;
		h->pte_halves |= half;
	}

	touch(h, uc, r, offset >> LINE_SHIFT, store);
	if ((offset + size - 1) >> LINE_SHIFT != offset >> LINE_SHIFT)
		touch(h, uc, r, (offset >> LINE_SHIFT) + 1, store);
}
