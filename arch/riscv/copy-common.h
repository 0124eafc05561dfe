/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * void zs_copy(void *dst, const void *src, unsigned long n)
 *
 * a0 dst, a1 src, a2 n. The ranges never overlap.
 *
 * The including file says how to load and store a word (REG_L, REG_S) and its size
 * (SZREG).
 *
 * Eight words a round, as the user copies of arch/riscv/lib/uaccess.S, then words,
 * then bytes. (arch/riscv/lib/memcpy.S takes sixteen a round; what decides here is
 * that zs_swap, with as many registers, makes as many accesses a round.)
 *
 * No access may be misaligned: it may trap to firmware, which then makes the access
 * byte by byte. Both pointers are word-aligned in all that a strategy has to copy:
 * class sizes are multiples of 16, and the header is a word. Anything else goes by
 * bytes; the shifting of words that uaccess.S does for unequal alignments would be
 * code that no strategy reaches.
 */
#include "copy-section.h"

	.section ZS_COPY_SECTION, "ax", %progbits
	.globl	zs_copy
	.type	zs_copy, %function
	.p2align 4
zs_copy:
	or	t0, a0, a1
	andi	t0, t0, SZREG - 1
	bnez	t0, .Lbytes

	/* Up to t0, the end of the last whole block of the source. */
	andi	t0, a2, -8 * SZREG
	beqz	t0, .Lwords
	add	t0, a1, t0
.Lblock:
	REG_L	a3, 0 * SZREG(a1)
	REG_L	a4, 1 * SZREG(a1)
	REG_L	a5, 2 * SZREG(a1)
	REG_L	a6, 3 * SZREG(a1)
	REG_L	a7, 4 * SZREG(a1)
	REG_L	t1, 5 * SZREG(a1)
	REG_L	t2, 6 * SZREG(a1)
	REG_L	t3, 7 * SZREG(a1)
	addi	a1, a1, 8 * SZREG
	REG_S	a3, 0 * SZREG(a0)
	REG_S	a4, 1 * SZREG(a0)
	REG_S	a5, 2 * SZREG(a0)
	REG_S	a6, 3 * SZREG(a0)
	REG_S	a7, 4 * SZREG(a0)
	REG_S	t1, 5 * SZREG(a0)
	REG_S	t2, 6 * SZREG(a0)
	REG_S	t3, 7 * SZREG(a0)
	addi	a0, a0, 8 * SZREG
	bne	a1, t0, .Lblock

.Lwords:
	andi	t0, a2, 7 * SZREG
	beqz	t0, .Ltail
	add	t0, a1, t0
.Lword:
	REG_L	a3, (a1)
	addi	a1, a1, SZREG
	REG_S	a3, (a0)
	addi	a0, a0, SZREG
	bne	a1, t0, .Lword

.Ltail:
	andi	a2, a2, SZREG - 1
.Lbytes:
	beqz	a2, .Lout
	add	t0, a1, a2
.Lbyte:
	lbu	a3, (a1)
	addi	a1, a1, 1
	sb	a3, (a0)
	addi	a0, a0, 1
	bne	a1, t0, .Lbyte
.Lout:
	ret
	.size	zs_copy, . - zs_copy

	.section .note.GNU-stack, "", %progbits
