/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * void zs_swap(void *a, void *b, unsigned long n)
 *
 * eax a, edx b, ecx n: the guest is built with -mregparm=3, as the 32-bit kernel is
 * (arch/x86/Makefile). Exchanges n bytes; the ranges never overlap.
 *
 * Moves unrolled like those of __copy_user_intel (arch/x86/lib/usercopy_32.c), which
 * the kernel uses where string moves are slow; there is no string instruction that
 * exchanges. A block is eight words, as in x86_64/swap.S: 32 moves and 4 instructions
 * of loop. Not "xchg reg, mem", which needs one instruction less a pair but is a
 * locked access whether or not it is asked to be.
 *
 * One word of each side is in flight at a time: a second pair of registers would put
 * two more of the caller's on the stack, and the CPU renames the ones used here. So
 * the price of the call is that of zs_copy: two pushes and two pops.
 *
 * The tail is that of x86_64/swap.S: half the size at each step, and lengths that are
 * a multiple of 16 leave early.
 */
	.macro	swap4 off
	mov	\off(%eax), %ebx
	mov	\off(%edx), %esi
	mov	%esi, \off(%eax)
	mov	%ebx, \off(%edx)
	.endm

	.macro	swap16 off
	swap4	\off
	swap4	\off+4
	swap4	\off+8
	swap4	\off+12
	.endm

	.text
	.globl	zs_swap
	.type	zs_swap, %function
	.p2align 4
zs_swap:
	push	%ebx
	push	%esi
	sub	$32, %ecx
	jb	.Ltail
.Lblock:
	swap16	0
	swap16	16
	add	$32, %eax
	add	$32, %edx
	sub	$32, %ecx
	jae	.Lblock

	/* ecx is the rest minus 32: its five low bits are those of the rest. */
.Ltail:
	test	$16, %cl
	jz	.Ltail15
	swap16	0
	add	$16, %eax
	add	$16, %edx
.Ltail15:
	test	$15, %cl
	jz	.Lout
	test	$8, %cl
	jz	.Ltail4
	swap4	0
	swap4	4
	add	$8, %eax
	add	$8, %edx
.Ltail4:
	test	$4, %cl
	jz	.Ltail2
	swap4	0
	add	$4, %eax
	add	$4, %edx
	/* Zero-extending loads: a load into bx or bl would wait for the old ebx. */
.Ltail2:
	test	$2, %cl
	jz	.Ltail1
	movzwl	(%eax), %ebx
	movzwl	(%edx), %esi
	mov	%si, (%eax)
	mov	%bx, (%edx)
	add	$2, %eax
	add	$2, %edx
	/* esi has no byte part; the count is not needed any more. */
.Ltail1:
	test	$1, %cl
	jz	.Lout
	movzbl	(%eax), %ebx
	movzbl	(%edx), %ecx
	mov	%cl, (%eax)
	mov	%bl, (%edx)
.Lout:
	pop	%esi
	pop	%ebx
	ret
	.size	zs_swap, . - zs_swap

	.section .note.GNU-stack, "", %progbits
