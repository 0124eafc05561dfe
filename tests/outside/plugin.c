// SPDX-License-Identifier: GPL-2.0-only
/*
 * A TCG plugin for QEMU's user mode that counts by operation and phase.
 *
 * With the argument "level=instructions" or "level=regions" it counts what a
 * tool that is to be fast would: the sums over all operations, in the first
 * row, of instructions, a call a block, and if wanted of what they load and
 * store in which region.
 *
 * Written from the definitions of the counts in README.md, not from
 * zsemu/guest/native/, which it is there to check. Debian 12 ships no header
 * for plugins: the declarations are those of QEMU's documentation ("QEMU TCG
 * Plugins", version 1 of the API; the same functions are in version 2).
 *
 * Where QEMU's idea of an access differs from ours:
 *   - a rep-prefixed instruction is executed once a round, and once more if
 *     it did not end early: those that access memory are rounds;
 *   - a store-exclusive reads, too, as it is a compare-and-exchange to QEMU;
 *   - two registers of 8 bytes are one access of 16 from QEMU 8.1 on.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
enum { QEMU_PLUGIN_CB_NO_REGS };
/* 7.2 mistakes a callback for stores alone for one for loads, too. */
enum { QEMU_PLUGIN_MEM_RW = 3 };

void qemu_plugin_register_vcpu_tb_trans_cb(
	qemu_plugin_id_t id,
	void (*cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_insn_exec_cb(
	struct qemu_plugin_insn *insn, void (*cb)(unsigned int vcpu, void *user),
	int flags, void *user);
void qemu_plugin_register_vcpu_tb_exec_cb(
	struct qemu_plugin_tb *tb, void (*cb)(unsigned int vcpu, void *user),
	int flags, void *user);
void qemu_plugin_register_vcpu_mem_cb(
	struct qemu_plugin_insn *insn,
	void (*cb)(unsigned int vcpu, qemu_plugin_meminfo_t info,
		   uint64_t address, void *user),
	int flags, int rw, void *user);
void qemu_plugin_register_atexit_cb(
	qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t id, void *user),
	void *user);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb,
						 size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
unsigned int qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);

#define EXPORT	__attribute__((visibility("default")))

EXPORT int qemu_plugin_version = API_VERSION;	/* of the compiler's command line */

/* Columns of a row; tests/outside/counting.py has the same. */
enum { INSTRUCTIONS, STRING_ITERATIONS, REPLACED, LINES_TOUCHED, LINES_DIRTIED,
       REGIONS };
enum { LOADS, STORES, BYTES_LOADED, BYTES_STORED, TRAFFIC };

#define NR_REGIONS	9
#define STATE		4
#define BATCH		5
#define OTHER		8
#define DESCRIPTORS	10	/* of zspages: page words are state, the rest is batch */
#define COLUMNS		(REGIONS + TRAFFIC * NR_REGIONS)
#define PHASES		4
#define ACCESS		2
#define NOBODY		PHASES

enum kind { STRING = 1, STORE_EXCLUSIVE, REPLACEMENT };

static enum level {
	SUM_OF_INSTRUCTIONS,
	SUM_BY_REGION,
	BY_OPERATION,
} level = BY_OPERATION;

struct range {
	uint64_t start, end, what;
};

/* The file that the argument "plan" names: the head, then ranges, then kinds. */
static struct plan {
	uint64_t driver, driver_end;
	uint64_t entry[5];	/* settle, map, access out, access in, unmap */
	uint64_t current;	/* the driver stores here once before each operation */
	uint64_t operations;
	uint64_t descriptor_size, words;
	uint64_t nr_ranges, nr_kinds;
} plan;

static struct range *ranges;	/* of memory: what is a region */
static struct range *kinds;	/* of instructions that are special: what is a kind */
static const char *rows_path;
static uint64_t *rows;
static int64_t operation = -1;
static int phase = NOBODY;
static uint64_t previous;
static bool round_begins;
static uint64_t everything;	/* instructions of all the process */

/* Cache lines of this phase: the newest entry of a chain is the one in use. */
#define LINES	4096
static struct {
	uint64_t line, epoch;
	bool dirty;
} lines[LINES];
static uint64_t epoch, accessed;

struct insn {
	uint64_t address;
	int kind;
};

struct block {
	uint64_t first, last;	/* addresses of its instructions */
	uint64_t number;
	bool string;		/* it begins with such an instruction */
};

static uint64_t *row(void)
{
	return rows + (operation * PHASES + phase) * COLUMNS;
}

static void follow(uint64_t address)
{
	static const int phase_of[] = { 0, 1, 2, 2, 3 };

	if (address >= plan.driver && address < plan.driver_end) {
		phase = NOBODY;
		return;
	}
	for (int i = 0; phase == NOBODY && i < 5; i++) {
		if (address == plan.entry[i]) {
			phase = phase_of[i];
			/* The two copies of an update are one access. */
			if (phase != ACCESS || accessed != operation + 1)
				epoch++;
			accessed = phase == ACCESS ? operation + 1 : 0;
		}
	}
}

static void on_instruction(unsigned int vcpu, void *user)
{
	const struct insn *insn = user;
	bool again = insn->kind == STRING && previous == insn->address;

	previous = insn->address;
	round_begins = insn->kind == STRING;
	everything += !again;
	follow(insn->address);
	if (phase == NOBODY)
		return;
	row()[INSTRUCTIONS] += !again;
	row()[REPLACED] += insn->kind == REPLACEMENT;
}

static void on_block(unsigned int vcpu, void *user)
{
	const struct block *block = user;
	/* Every round of a string instruction begins a block. */
	bool again = block->string && previous == block->first;

	previous = block->last;
	everything += block->number - again;
	follow(block->first);
	if (phase != NOBODY)
		row()[INSTRUCTIONS] += block->number - again;
}

static void touch(uint64_t line, bool store)
{
	uint64_t i = line * 0x9e3779b97f4a7c15ULL >> 52;

	while (lines[i].epoch == epoch && lines[i].line != line)
		i = (i + 1) % LINES;
	if (lines[i].epoch != epoch) {
		lines[i].epoch = epoch;
		lines[i].line = line;
		lines[i].dirty = false;
		row()[LINES_TOUCHED]++;
	}
	if (store && !lines[i].dirty) {
		lines[i].dirty = true;
		row()[LINES_DIRTIED]++;
	}
}

/* What lies there; mostly where the last load or store went, too. */
static uint64_t region_of(uint64_t address, bool store)
{
	static const struct range *last[2];
	const struct range *r = last[store];

	if (!r || address < r->start || address >= r->end) {
		for (r = ranges; r < ranges + plan.nr_ranges; r++)
			if (address >= r->start && address < r->end)
				break;
		if (r == ranges + plan.nr_ranges)
			return OTHER;
		last[store] = r;
	}
	if (r->what != DESCRIPTORS)
		return r->what;
	return (address - r->start) % plan.descriptor_size < plan.words ? BATCH :
									   STATE;
}

static void access(uint64_t address, uint64_t size, bool store)
{
	uint64_t *c;

	if (phase == NOBODY)
		return;
	row()[STRING_ITERATIONS] += round_begins;
	round_begins = false;
	c = row() + REGIONS + region_of(address, store) * TRAFFIC;
	c[store ? STORES : LOADS]++;
	c[store ? BYTES_STORED : BYTES_LOADED] += size;
	if (level != BY_OPERATION)
		return;
	touch(address / 64, store);
	if ((address + size - 1) / 64 != address / 64)
		touch((address + size - 1) / 64, store);
}

static void on_access(unsigned int vcpu, qemu_plugin_meminfo_t info,
		      uint64_t address, void *user)
{
	unsigned int size = 1U << qemu_plugin_mem_size_shift(info);
	bool store = qemu_plugin_mem_is_store(info);
	const struct insn *insn = user;

	if (store && address == plan.current && level == BY_OPERATION)
		operation++;
	if (insn->kind == STORE_EXCLUSIVE && !store)
		return;
	if (size == 16) {
		access(address, 8, store);
		address += 8;
		size = 8;
	}
	access(address, size, store);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb);
	struct block *block = calloc(1, sizeof(*block));

	block->number = n;
	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *handle = qemu_plugin_tb_get_insn(tb, i);
		struct insn *insn = calloc(1, sizeof(*insn));

		insn->address = qemu_plugin_insn_vaddr(handle);
		for (uint64_t k = 0; k < plan.nr_kinds; k++)
			if (kinds[k].start == insn->address)
				insn->kind = kinds[k].what;
		if (!i) {
			block->first = insn->address;
			block->string = insn->kind == STRING;
		}
		block->last = insn->address;
		if (level == BY_OPERATION)
			qemu_plugin_register_vcpu_insn_exec_cb(
				handle, on_instruction, QEMU_PLUGIN_CB_NO_REGS,
				insn);
		if (level != SUM_OF_INSTRUCTIONS)
			qemu_plugin_register_vcpu_mem_cb(
				handle, on_access, QEMU_PLUGIN_CB_NO_REGS,
				QEMU_PLUGIN_MEM_RW, insn);
	}
	if (level != BY_OPERATION)
		qemu_plugin_register_vcpu_tb_exec_cb(
			tb, on_block, QEMU_PLUGIN_CB_NO_REGS, block);
}

static void at_exit(qemu_plugin_id_t id, void *user)
{
	FILE *file = fopen(rows_path, "wb");

	if (!file)
		abort();
	fwrite(&everything, sizeof(everything), 1, file);
	fwrite(rows, sizeof(*rows) * COLUMNS * PHASES, plan.operations, file);
	fclose(file);
}

static bool read_plan(const char *path)
{
	FILE *file = fopen(path, "rb");
	bool good;

	if (!file || fread(&plan, sizeof(plan), 1, file) != 1)
		return false;
	ranges = calloc(plan.nr_ranges + 1, sizeof(*ranges));
	kinds = calloc(plan.nr_kinds + 1, sizeof(*kinds));
	/* One more: the driver's last store says that it is done. */
	rows = calloc(plan.operations + 1, sizeof(*rows) * COLUMNS * PHASES);
	good = fread(ranges, sizeof(*ranges), plan.nr_ranges, file) == plan.nr_ranges &&
	       fread(kinds, sizeof(*kinds), plan.nr_kinds, file) == plan.nr_kinds;
	fclose(file);
	return good;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info,
			       int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "plan=", 5) && !read_plan(argv[i] + 5))
			return 1;
		if (!strncmp(argv[i], "rows=", 5))
			rows_path = strdup(argv[i] + 5);
		if (!strcmp(argv[i], "level=instructions"))
			level = SUM_OF_INSTRUCTIONS;
		if (!strcmp(argv[i], "level=regions"))
			level = SUM_BY_REGION;
	}
	if (!rows || !rows_path)
		return 1;
	if (level != BY_OPERATION) {
		operation = 0;
		plan.operations = 1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	qemu_plugin_register_atexit_cb(id, at_exit, NULL);
	return 0;
}
