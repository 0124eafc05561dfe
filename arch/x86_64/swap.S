/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * void zs_swap(void *a, void *b, unsigned long n)
 *
 * rdi a, rsi b, rdx n (SysV). Exchanges n bytes; the ranges never overlap.
 *
 * There is no string instruction that exchanges, so this is the unrolled form that
 * the kernel's memcpy has for CPUs where string moves are slow (memcpy_orig in
 * arch/x86/lib/memcpy_64.S), with blocks of eight words as in its
 * csum_partial_copy_generic (arch/x86/lib/csum-copy_64.S): 32 moves and 4
 * instructions of loop. Not "xchg reg, mem", which needs one instruction less a pair
 * but is a locked access whether or not it is asked to be.
 *
 * Two words of each side are in flight at a time: enough to hide a load behind
 * another, with caller-saved registers only, so nothing goes to the stack.
 *
 * The tail halves the size at each step, so that every byte is moved once and in the
 * widest access that fits. It looks for a rest of less than 16 bytes first, because
 * lengths that come from size classes have none.
 */
	.macro	swap16 off
	mov	\off(%rdi), %rax
	mov	\off+8(%rdi), %rcx
	mov	\off(%rsi), %r8
	mov	\off+8(%rsi), %r9
	mov	%r8, \off(%rdi)
	mov	%r9, \off+8(%rdi)
	mov	%rax, \off(%rsi)
	mov	%rcx, \off+8(%rsi)
	.endm

	.text
	.globl	zs_swap
	.type	zs_swap, %function
	.p2align 4
zs_swap:
	sub	$64, %rdx
	jb	.Ltail
.Lblock:
	swap16	0
	swap16	16
	swap16	32
	swap16	48
	add	$64, %rdi
	add	$64, %rsi
	sub	$64, %rdx
	jae	.Lblock

	/* rdx is the rest minus 64: its six low bits are those of the rest. */
.Ltail:
	test	$32, %dl
	jz	.Ltail16
	swap16	0
	swap16	16
	add	$32, %rdi
	add	$32, %rsi
.Ltail16:
	test	$16, %dl
	jz	.Ltail15
	swap16	0
	add	$16, %rdi
	add	$16, %rsi
.Ltail15:
	test	$15, %dl
	jz	.Lout
	test	$8, %dl
	jz	.Ltail4
	mov	(%rdi), %rax
	mov	(%rsi), %rcx
	mov	%rcx, (%rdi)
	mov	%rax, (%rsi)
	add	$8, %rdi
	add	$8, %rsi
.Ltail4:
	test	$4, %dl
	jz	.Ltail2
	mov	(%rdi), %eax
	mov	(%rsi), %ecx
	mov	%ecx, (%rdi)
	mov	%eax, (%rsi)
	add	$4, %rdi
	add	$4, %rsi
	/* Zero-extending loads: a load into ax or al would wait for the old eax. */
.Ltail2:
	test	$2, %dl
	jz	.Ltail1
	movzwl	(%rdi), %eax
	movzwl	(%rsi), %ecx
	mov	%cx, (%rdi)
	mov	%ax, (%rsi)
	add	$2, %rdi
	add	$2, %rsi
.Ltail1:
	test	$1, %dl
	jz	.Lout
	movzbl	(%rdi), %eax
	movzbl	(%rsi), %ecx
	mov	%cl, (%rdi)
	mov	%al, (%rsi)
.Lout:
	ret
	.size	zs_swap, . - zs_swap

	.section .note.GNU-stack, "", %progbits
