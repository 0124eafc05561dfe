/* SPDX-License-Identifier: GPL-2.0-only */
#define REG_L		ld
#define SZREG		8
#define SATP_MODE	(8 << 60)	/* Sv39 */

#include "../riscv/entry-common.h"
