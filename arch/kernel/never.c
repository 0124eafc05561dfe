// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions that zsmalloc calls only where something else has gone wrong, or
 * must wait, and so never here. Each is named: a function that is not, zsemu
 * does not link, since nobody has thought about it.
 */
#include "kernel.h"

#define ZK_NEVER_ENTERED(name)						\
	__standin void name(void)					\
	{								\
		zk_report(ZK_NEVER, name);				\
		__builtin_trap();					\
	}

ZK_NEVER_ENTERED(__stack_chk_fail)
ZK_NEVER_ENTERED(dump_page)
/* another CPU has locked the page */
ZK_NEVER_ENTERED(folio_wait_bit)
ZK_NEVER_ENTERED(wait_on_page_bit)
/* the preemption count has reached zero, with something to do */
ZK_NEVER_ENTERED(preempt_schedule)
ZK_NEVER_ENTERED(preempt_schedule_notrace)
/* memory of devices */
ZK_NEVER_ENTERED(__put_devmap_managed_page_refs)
ZK_NEVER_ENTERED(__put_devmap_managed_folio_refs)
ZK_NEVER_ENTERED(__put_devmap_managed_page)
/* an array index out of bounds, found by the compiler's checks */
ZK_NEVER_ENTERED(__fortify_panic)
ZK_NEVER_ENTERED(fortify_panic)
ZK_NEVER_ENTERED(__ubsan_handle_out_of_bounds)
