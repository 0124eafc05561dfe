/* SPDX-License-Identifier: GPL-2.0-only */
#define REG_L	lw
#define REG_S	sw
#define SZREG	4

#include "../riscv/swap-common.h"
