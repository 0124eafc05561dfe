/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * void zs_copy(void *dst, const void *src, unsigned long n)
 *
 * rdi dst, rsi src, rdx n (SysV). The ranges never overlap.
 *
 * String moves, as the kernel's memcpy on a CPU with X86_FEATURE_REP_GOOD
 * (arch/x86/lib/memcpy_64.S, up to v6.3). Not the one "rep movsb" that it has for
 * CPUs with ERMS, and alone with FSRM since (copy-movsb.S), nor the words for all
 * other CPUs (copy-words.S): the bytes moved are the same, but where neither is there,
 * and in an emulator, the former takes eight times the rounds. The tail is not skipped
 * when it is empty, there as here.
 *
 * No alignment is asked for: x86 has no rule to break, and word-aligned pointers,
 * which are all that a strategy has, make every round aligned. The direction flag is
 * clear on entry, by the ABI.
 */
#include "copy-section.h"

	.section ZS_COPY_SECTION, "ax", %progbits
	.globl	zs_copy
	.type	zs_copy, %function
	.p2align 4
zs_copy:
	mov	%rdx, %rcx
	and	$7, %edx
	shr	$3, %rcx
	rep movsq
	mov	%edx, %ecx
	rep movsb
	ret
	.size	zs_copy, . - zs_copy

	.section .note.GNU-stack, "", %progbits
