/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * void zs_copy(void *dst, const void *src, unsigned long n)
 *
 * r0 dst, r1 src, r2 n. The ranges never overlap.
 *
 * ldm/stm of eight registers, as in arch/arm/lib/copy_template.S, and the rest by
 * halves: the template gets there by a computed jump into a row of ldr and str, which
 * costs as many instructions for four words and more for fewer. Registers are saved
 * only if there is a block to move.
 *
 * Loads and stores are never predicated (the template's byte tail is): memory accesses
 * are counted as the accesses of an instruction times its executions, which holds only
 * if it makes them every time. So every choice is a branch.
 *
 * ldm and stm fault on an address that is not a multiple of four, whatever SCTLR.A
 * says. Both pointers are word-aligned in all that a strategy has to copy: class
 * sizes are multiples of 16, and the header is a word. Anything else goes by bytes;
 * the template's shifting of words between unequal alignments would be code that no
 * strategy reaches.
 */
	.syntax	unified
	.arch	armv7-a
	.arm

#include "copy-section.h"

	.section ZS_COPY_SECTION, "ax", %progbits
	.globl	zs_copy
	.type	zs_copy, %function
	.p2align 4
zs_copy:
	orr	r3, r0, r1
	tst	r3, #3
	bne	.Lbytes
	subs	r2, r2, #32
	blo	.Ltail
	push	{r4-r8, lr}
.Lblock:
	ldm	r1!, {r3-r8, ip, lr}
	subs	r2, r2, #32
	stm	r0!, {r3-r8, ip, lr}
	bhs	.Lblock
	pop	{r4-r8, lr}

	/* r2 is the rest minus 32: its five low bits are those of the rest. */
.Ltail:
	tst	r2, #16
	beq	.Ltail8
	ldm	r1!, {r3, ip}
	stm	r0!, {r3, ip}
	ldm	r1!, {r3, ip}
	stm	r0!, {r3, ip}
.Ltail8:
	tst	r2, #8
	beq	.Ltail4
	ldm	r1!, {r3, ip}
	stm	r0!, {r3, ip}
.Ltail4:
	tst	r2, #4
	beq	.Ltail3
	ldr	r3, [r1], #4
	str	r3, [r0], #4
.Ltail3:
	and	r2, r2, #3
.Lbytes:
	subs	r2, r2, #1
	blo	.Lout
.Lbyte:
	ldrb	r3, [r1], #1
	subs	r2, r2, #1
	strb	r3, [r0], #1
	bhs	.Lbyte
.Lout:
	bx	lr
	.size	zs_copy, . - zs_copy

	.section .note.GNU-stack, "", %progbits
