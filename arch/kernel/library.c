// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stand-ins for everything else that zsmalloc imports: memory copies, lists,
 * registrations, messages, and the data of the kernel that its code looks at.
 */
#include "kernel.h"

struct zk_config zk_config;
struct zk_state zk_state;

__standin void zk_complain(enum zk_cause cause, unsigned long object,
			   unsigned long caller)
{
	struct zk_error *error;

	if (zk_state.nr_errors < ZK_MAX_ERRORS) {
		error = &zk_state.error[zk_state.nr_errors];
		error->cause = cause;
		error->operation = zk_running[zk_me()]->current;
		error->object = object;
		error->caller = caller;
	}
	zk_state.nr_errors++;
}

/*
 * Copies: the bytes are moved by the target's zs_copy(), counted apart. The
 * kernel's own functions take the place of these if they are linked, too.
 */
__weak __standin void *memcpy(void *dst, const void *src, unsigned long n)
{
	zs_copy(dst, src, n);
	return dst;
}

__weak __standin void copy_page(void *dst, const void *src)
{
	zs_copy(dst, src, PAGE_SIZE);
}

__standin void *memset(void *dst, int value, unsigned long n)
{
	volatile char *at = dst;

	while (n--)
		*at++ = value;
	return dst;
}

/*
 * lib/list_debug.c. The functions of 6.1 are called for every change of a list,
 * those of 6.6 on also where only the hardened check failed.
 */
static __standin int add_is_valid(unsigned long *new, unsigned long *before,
				  unsigned long *after)
{
	return after[1] == (unsigned long)before &&
	       before[0] == (unsigned long)after && new != before && new != after;
}

static __standin int del_is_valid(unsigned long *entry)
{
	return *(unsigned long *)entry[1] == (unsigned long)entry &&
	       ((unsigned long *)entry[0])[1] == (unsigned long)entry;
}

__standin u8 __list_add_valid(unsigned long *new, unsigned long *before,
			      unsigned long *after)
{
	if (add_is_valid(new, before, after))
		return 1;
	zk_report(ZK_LIST, new);
	return 0;
}

__standin u8 __list_del_entry_valid(unsigned long *entry)
{
	if (del_is_valid(entry))
		return 1;
	zk_report(ZK_LIST, entry);
	return 0;
}

__standin u8 __list_add_valid_or_report(unsigned long *new,
					unsigned long *before,
					unsigned long *after)
{
	if (add_is_valid(new, before, after))
		return 1;
	zk_report(ZK_LIST, new);
	return 0;
}

__standin u8 __list_del_entry_valid_or_report(unsigned long *entry)
{
	if (del_is_valid(entry))
		return 1;
	zk_report(ZK_LIST, entry);
	return 0;
}

/* CPU hotplug: every CPU is brought up at once, and taken down at the end. */
static int (*tear_down)(u32 cpu);

__standin int __cpuhp_setup_state(u32 state, const char *name, u8 invoke,
				  int (*up)(u32), int (*down)(u32), u8 multi)
{
	u32 cpu;
	int error = 0;

	tear_down = down;
	for (cpu = 0; invoke && up && cpu < zk_config.cpus && !error; cpu++)
		error = up(cpu);
	return error;
}

__standin void __cpuhp_remove_state(u32 state, u8 invoke)
{
	u32 cpu;

	for (cpu = 0; invoke && tear_down && cpu < zk_config.cpus; cpu++)
		tear_down(cpu);
}

/* Shrinkers and zpool: nobody ever calls them back. */
__standin int register_shrinker(void *shrinker, const char *name, ...)
{
	return 0;
}

__standin void unregister_shrinker(void *shrinker)
{
}

__standin void *shrinker_alloc(u32 flags, const char *name, ...)
{
	return zk_allocate(zk_config.shrinker_bytes, 0x100, 0);
}

__standin void shrinker_register(void *shrinker)
{
}

void kfree(unsigned long object);

__standin void shrinker_free(unsigned long shrinker)
{
	kfree(shrinker);
}

__standin void zpool_register_driver(void *driver)
{
}

__standin int zpool_unregister_driver(void *driver)
{
	return 0;
}

/*
 * Work is queued only where a page could not be locked: with one CPU all can.
 * With two it is done when both have ended.
 */
__standin u8 queue_work_on(int cpu, void *queue, void *work)
{
	if (!zk_config.parallel)
		zk_report(ZK_DEFERS, work);
	zk_state.work = (unsigned long)work;
	return 1;
}

__standin u8 flush_work(void *work)
{
	return 0;
}

static __standin char *duplicate(const char *text, u32 gfp)
{
	unsigned long i, n = 0;
	char *copy;

	while (text[n])
		n++;
	copy = zk_allocate(n + 1, gfp, 0);
	for (i = 0; copy && i <= n; i++)
		((volatile char *)copy)[i] = text[i];
	return copy;
}

__standin char *kstrdup(const char *text, u32 gfp)
{
	return duplicate(text, gfp);
}

/* A name that is only shown: the format stands for itself. */
__standin char *kasprintf(u32 gfp, const char *format, ...)
{
	return duplicate(format, gfp);
}

__standin int _printk(const char *format, ...)
{
	zk_report(ZK_PRINTS, format);
	return 0;
}

__standin void warn_slowpath_fmt(const char *file, int line, u32 taint,
				 const char *format, ...)
{
	zk_report(ZK_WARNS, file);
}

__standin void __warn_printk(const char *format, ...)
{
	zk_report(ZK_PRINTS, format);
}

__standin void __might_resched(const char *file, int line, u32 offsets)
{
}

__standin int __cond_resched(void)
{
	return 0;
}

/* The kernel's data. What the code finds in it comes from the host. */
unsigned long __per_cpu_offset[256];
unsigned long kmalloc_caches[1024];
unsigned long node_data[1024];
unsigned long system_wq, system_percpu_wq;
unsigned long hugetlb_optimize_vmemmap_key[4], devmap_managed_key[4];
