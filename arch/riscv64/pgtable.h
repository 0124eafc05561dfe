/* SPDX-License-Identifier: GPL-2.0-only */
/* RV64, Sv39. */
#ifndef ZS_PGTABLE_H
#define ZS_PGTABLE_H

typedef unsigned long pte_t;

#define MMU_PAGE_SHIFT		12
#define PGTABLE_LEVELS		3
#define PGTABLE_SHIFTS		{ 30, 21, 12 }
#define PGTABLE_BITS		{ 9, 9, 9 }

#include "../riscv/pgtable-common.h"

#endif
