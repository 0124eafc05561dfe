/* SPDX-License-Identifier: GPL-2.0-only */
#define REG_L	ld
#define REG_S	sd
#define SZREG	8

#include "../riscv/swap-common.h"
