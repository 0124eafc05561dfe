/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * void zs_swap(void *a, void *b, unsigned long n)
 *
 * r0 a, r1 b, r2 n. Exchanges n bytes; the ranges never overlap.
 *
 * zs_copy with both sides loaded before either is stored, so the eight registers of
 * arch/arm/lib/copy_template.S are four for each side, and a block of 32 bytes takes
 * two turns. The registers are saved from 16 bytes on, half a block: with the two that
 * a function may use freely, that half would take ten instructions more.
 *
 * As in zs_copy, loads and stores are never predicated, since that would defeat the
 * counting, and what is not word-aligned goes by bytes: ldm and stm would fault on
 * it, and no strategy has such pointers.
 */
	.syntax	unified
	.arch	armv7-a
	.arm

	.macro	swap16
	ldm	r0, {r3-r6}
	ldm	r1, {r7, r8, ip, lr}
	stm	r0!, {r7, r8, ip, lr}
	stm	r1!, {r3-r6}
	.endm

	.macro	swap4
	ldr	r3, [r0]
	ldr	ip, [r1]
	str	ip, [r0], #4
	str	r3, [r1], #4
	.endm

	.text
	.globl	zs_swap
	.type	zs_swap, %function
	.p2align 4
zs_swap:
	orr	r3, r0, r1
	tst	r3, #3
	bne	.Lbytes
	cmp	r2, #16
	blo	.Ltail15
	push	{r4-r8, lr}
	subs	r2, r2, #32
	blo	.Ltail16
.Lblock:
	swap16
	subs	r2, r2, #32
	swap16
	bhs	.Lblock

	/* r2 is the rest minus 32: its five low bits are those of the rest. */
.Ltail16:
	tst	r2, #16
	beq	.Lrestore
	swap16
.Lrestore:
	pop	{r4-r8, lr}
.Ltail15:
	tst	r2, #8
	beq	.Ltail4
	swap4
	swap4
.Ltail4:
	tst	r2, #4
	beq	.Ltail3
	swap4
.Ltail3:
	and	r2, r2, #3
.Lbytes:
	subs	r2, r2, #1
	blo	.Lout
.Lbyte:
	ldrb	r3, [r0]
	ldrb	ip, [r1]
	subs	r2, r2, #1
	strb	ip, [r0], #1
	strb	r3, [r1], #1
	bhs	.Lbyte
.Lout:
	bx	lr
	.size	zs_swap, . - zs_swap

	.section .note.GNU-stack, "", %progbits
