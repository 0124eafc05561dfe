/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * void zs_copy(void *dst, const void *src, unsigned long n)
 *
 * eax dst, edx src, ecx n: the guest is built with -mregparm=3, as the 32-bit kernel
 * is (arch/x86/Makefile). The ranges never overlap.
 *
 * String moves and a tail skipped when it is empty, as __memcpy does in
 * arch/x86/include/asm/string_32.h. That one is inlined; called, it has to keep esi
 * and edi, which string moves cannot do without: two pushes and two pops.
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
	push	%esi
	push	%edi
	mov	%eax, %edi
	mov	%edx, %esi
	mov	%ecx, %edx
	shr	$2, %ecx
	rep movsl
	and	$3, %edx
	jz	.Lout
	mov	%edx, %ecx
	rep movsb
.Lout:
	pop	%edi
	pop	%esi
	ret
	.size	zs_copy, . - zs_copy

	.section .note.GNU-stack, "", %progbits
