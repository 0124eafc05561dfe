/* SPDX-License-Identifier: GPL-2.0-only */
#define REG_L		lw
#define SZREG		4
#define SATP_MODE	(1 << 31)	/* Sv32 */

#include "../riscv/entry-common.h"
