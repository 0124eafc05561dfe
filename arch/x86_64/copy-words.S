/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * void zs_copy(void *dst, const void *src, unsigned long n)
 *
 * rdi dst, rsi src, rdx n (SysV). The ranges never overlap.
 *
 * Four words a round, as memcpy_orig in arch/x86/lib/memcpy_64.S, which since v6.4 is
 * the kernel's memcpy on every CPU without X86_FEATURE_FSRM, and up to v6.3 on those
 * without X86_FEATURE_REP_GOOD. As there, four instructions of a round move nothing.
 *
 * The tail is by halves, as in swap.S. That of memcpy_orig moves the ends of the rest
 * in accesses that overlap, so some bytes would be moved twice: with a rest of 16
 * bytes, which most size classes leave, all 16. Left out is its choice of a backward
 * copy, by the low bytes of the two addresses: two instructions a call.
 */
#include "copy-section.h"

	.section ZS_COPY_SECTION, "ax", %progbits
	.globl	zs_copy
	.type	zs_copy, %function
	.p2align 4
zs_copy:
	sub	$32, %rdx
	jb	.Ltail
.Lblock:
	mov	(%rsi), %rax
	mov	8(%rsi), %rcx
	mov	16(%rsi), %r8
	mov	24(%rsi), %r9
	add	$32, %rsi
	mov	%rax, (%rdi)
	mov	%rcx, 8(%rdi)
	mov	%r8, 16(%rdi)
	mov	%r9, 24(%rdi)
	add	$32, %rdi
	sub	$32, %rdx
	jae	.Lblock

	/* rdx is the rest minus 32: its five low bits are those of the rest. */
.Ltail:
	test	$16, %dl
	jz	.Ltail15
	mov	(%rsi), %rax
	mov	8(%rsi), %rcx
	mov	%rax, (%rdi)
	mov	%rcx, 8(%rdi)
	add	$16, %rsi
	add	$16, %rdi
.Ltail15:
	test	$15, %dl
	jz	.Lout
	test	$8, %dl
	jz	.Ltail4
	mov	(%rsi), %rax
	mov	%rax, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
.Ltail4:
	test	$4, %dl
	jz	.Ltail2
	mov	(%rsi), %eax
	mov	%eax, (%rdi)
	add	$4, %rsi
	add	$4, %rdi
	/* Zero-extending loads: a load into ax or al would wait for the old eax. */
.Ltail2:
	test	$2, %dl
	jz	.Ltail1
	movzwl	(%rsi), %eax
	mov	%ax, (%rdi)
	add	$2, %rsi
	add	$2, %rdi
.Ltail1:
	test	$1, %dl
	jz	.Lout
	movzbl	(%rsi), %eax
	mov	%al, (%rdi)
.Lout:
	ret
	.size	zs_copy, . - zs_copy

	.section .note.GNU-stack, "", %progbits
