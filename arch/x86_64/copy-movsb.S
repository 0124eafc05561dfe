/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * void zs_copy(void *dst, const void *src, unsigned long n)
 *
 * rdi dst, rsi src, rdx n (SysV). The ranges never overlap.
 *
 * One string move of bytes, as the kernel's memcpy on a CPU with X86_FEATURE_FSRM
 * since v6.4, and up to v6.3 with X86_FEATURE_ERMS (arch/x86/lib/memcpy_64.S). Such a
 * CPU moves many bytes in a round; by the architecture, and in an emulator, a round
 * moves one. So its loads and stores are eight times those of copy.S, of as many bytes.
 */
#include "copy-section.h"

	.section ZS_COPY_SECTION, "ax", %progbits
	.globl	zs_copy
	.type	zs_copy, %function
	.p2align 4
zs_copy:
	mov	%rdx, %rcx
	rep movsb
	ret
	.size	zs_copy, . - zs_copy

	.section .note.GNU-stack, "", %progbits
