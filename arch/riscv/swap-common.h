/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * void zs_swap(void *a, void *b, unsigned long n)
 *
 * a0 a, a1 b, a2 n. Exchanges n bytes; the ranges never overlap.
 *
 * The including file says how to load and store a word (REG_L, REG_S) and its size
 * (SZREG).
 *
 * zs_copy with both sides loaded before either is stored: the eight registers of a
 * round are four words of each side, so a round makes as many accesses as one of
 * zs_copy does, and has as many instructions besides.
 *
 * As in zs_copy, no access may be misaligned, and what is not word-aligned goes by
 * bytes, since no strategy has such pointers.
 */
	.text
	.globl	zs_swap
	.type	zs_swap, %function
	.p2align 4
zs_swap:
	or	t0, a0, a1
	andi	t0, t0, SZREG - 1
	bnez	t0, .Lbytes

	/* Up to t0, the end of the last whole block of the first range. */
	andi	t0, a2, -4 * SZREG
	beqz	t0, .Lwords
	add	t0, a0, t0
.Lblock:
	REG_L	a3, 0 * SZREG(a0)
	REG_L	a4, 1 * SZREG(a0)
	REG_L	a5, 2 * SZREG(a0)
	REG_L	a6, 3 * SZREG(a0)
	REG_L	a7, 0 * SZREG(a1)
	REG_L	t1, 1 * SZREG(a1)
	REG_L	t2, 2 * SZREG(a1)
	REG_L	t3, 3 * SZREG(a1)
	REG_S	a7, 0 * SZREG(a0)
	REG_S	t1, 1 * SZREG(a0)
	REG_S	t2, 2 * SZREG(a0)
	REG_S	t3, 3 * SZREG(a0)
	addi	a0, a0, 4 * SZREG
	REG_S	a3, 0 * SZREG(a1)
	REG_S	a4, 1 * SZREG(a1)
	REG_S	a5, 2 * SZREG(a1)
	REG_S	a6, 3 * SZREG(a1)
	addi	a1, a1, 4 * SZREG
	bne	a0, t0, .Lblock

.Lwords:
	andi	t0, a2, 3 * SZREG
	beqz	t0, .Ltail
	add	t0, a0, t0
.Lword:
	REG_L	a3, (a0)
	REG_L	a4, (a1)
	REG_S	a4, (a0)
	addi	a0, a0, SZREG
	REG_S	a3, (a1)
	addi	a1, a1, SZREG
	bne	a0, t0, .Lword

.Ltail:
	andi	a2, a2, SZREG - 1
.Lbytes:
	beqz	a2, .Lout
	add	t0, a0, a2
.Lbyte:
	lbu	a3, (a0)
	lbu	a4, (a1)
	sb	a4, (a0)
	addi	a0, a0, 1
	sb	a3, (a1)
	addi	a1, a1, 1
	bne	a0, t0, .Lbyte
.Lout:
	ret
	.size	zs_swap, . - zs_swap

	.section .note.GNU-stack, "", %progbits
