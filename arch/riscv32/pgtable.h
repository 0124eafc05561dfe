/* SPDX-License-Identifier: GPL-2.0-only */
/* RV32, Sv32. */
#ifndef ZS_PGTABLE_H
#define ZS_PGTABLE_H

typedef unsigned long pte_t;

#define MMU_PAGE_SHIFT		12
#define PGTABLE_LEVELS		2
#define PGTABLE_SHIFTS		{ 22, 12 }
#define PGTABLE_BITS		{ 10, 10 }

#include "../riscv/pgtable-common.h"

#endif
