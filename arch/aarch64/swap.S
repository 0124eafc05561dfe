/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * void zs_swap(void *a, void *b, unsigned long n)
 *
 * x0 a, x1 b, x2 n. Exchanges n bytes; the ranges never overlap.
 *
 * zs_copy with both sides loaded before either is stored: the same blocks of 64 bytes
 * and the same tail, in the shape of arch/arm64/lib/copy_template.S. A block is done
 * in two halves, because eight registers for each side would leave none of the
 * caller-saved ones for the pointers.
 */
	.macro	swap32
	ldp	x3, x4, [x0]
	ldp	x5, x6, [x0, #16]
	ldp	x7, x8, [x1]
	ldp	x9, x10, [x1, #16]
	stp	x7, x8, [x0], #16
	stp	x9, x10, [x0], #16
	stp	x3, x4, [x1], #16
	stp	x5, x6, [x1], #16
	.endm

	.text
	.globl	zs_swap
	.type	zs_swap, %function
	.p2align 4
zs_swap:
	subs	x2, x2, #64
	b.lo	.Ltail
.Lblock:
	swap32
	subs	x2, x2, #64
	swap32
	b.hs	.Lblock

	/* x2 is the rest minus 64: its six low bits are those of the rest. */
.Ltail:
	tbz	x2, #5, .Ltail16
	swap32
.Ltail16:
	tbz	x2, #4, .Ltail8
	ldp	x3, x4, [x0]
	ldp	x5, x6, [x1]
	stp	x5, x6, [x0], #16
	stp	x3, x4, [x1], #16
.Ltail8:
	tbz	x2, #3, .Ltail4
	ldr	x3, [x0]
	ldr	x4, [x1]
	str	x4, [x0], #8
	str	x3, [x1], #8
.Ltail4:
	tbz	x2, #2, .Ltail2
	ldr	w3, [x0]
	ldr	w4, [x1]
	str	w4, [x0], #4
	str	w3, [x1], #4
.Ltail2:
	tbz	x2, #1, .Ltail1
	ldrh	w3, [x0]
	ldrh	w4, [x1]
	strh	w4, [x0], #2
	strh	w3, [x1], #2
.Ltail1:
	tbz	x2, #0, .Lout
	ldrb	w3, [x0]
	ldrb	w4, [x1]
	strb	w4, [x0]
	strb	w3, [x1]
.Lout:
	ret
	.size	zs_swap, . - zs_swap

	.section .note.GNU-stack, "", %progbits
