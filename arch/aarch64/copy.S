/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * void zs_copy(void *dst, const void *src, unsigned long n)
 *
 * x0 dst, x1 src, x2 n. The ranges never overlap.
 *
 * Blocks of 64 bytes in ldp/stp with post-index, then half the size at each step: the
 * shape of arch/arm64/lib/copy_template.S, which copy_from_user() and copy_to_user()
 * use. Not that of memcpy() (arch/arm64/lib/memcpy.S, since v5.14): it moves the ends
 * of a range in accesses that overlap, so some bytes would be moved twice.
 *
 * The template's alignment of the source is left out, and so is the loading of the
 * next block before this one is stored: normal memory takes any alignment, pointers
 * are word-aligned where it matters, and neither changes what is moved.
 */
#include "copy-section.h"

	.section ZS_COPY_SECTION, "ax", %progbits
	.globl	zs_copy
	.type	zs_copy, %function
	.p2align 4
zs_copy:
	subs	x2, x2, #64
	b.lo	.Ltail
.Lblock:
	ldp	x3, x4, [x1], #16
	ldp	x5, x6, [x1], #16
	ldp	x7, x8, [x1], #16
	ldp	x9, x10, [x1], #16
	subs	x2, x2, #64
	stp	x3, x4, [x0], #16
	stp	x5, x6, [x0], #16
	stp	x7, x8, [x0], #16
	stp	x9, x10, [x0], #16
	b.hs	.Lblock

	/* x2 is the rest minus 64: its six low bits are those of the rest. */
.Ltail:
	tbz	x2, #5, .Ltail16
	ldp	x3, x4, [x1], #16
	ldp	x5, x6, [x1], #16
	stp	x3, x4, [x0], #16
	stp	x5, x6, [x0], #16
.Ltail16:
	tbz	x2, #4, .Ltail8
	ldp	x3, x4, [x1], #16
	stp	x3, x4, [x0], #16
.Ltail8:
	tbz	x2, #3, .Ltail4
	ldr	x3, [x1], #8
	str	x3, [x0], #8
.Ltail4:
	tbz	x2, #2, .Ltail2
	ldr	w3, [x1], #4
	str	w3, [x0], #4
.Ltail2:
	tbz	x2, #1, .Ltail1
	ldrh	w3, [x1], #2
	strh	w3, [x0], #2
.Ltail1:
	tbz	x2, #0, .Lout
	ldrb	w3, [x1]
	strb	w3, [x0]
.Lout:
	ret
	.size	zs_copy, . - zs_copy

	.section .note.GNU-stack, "", %progbits
