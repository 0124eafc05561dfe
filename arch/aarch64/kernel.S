/* SPDX-License-Identifier: GPL-2.0-only */
/* What only arm64 kernels import. */
	.data
	.balign	8
	.globl	memstart_addr
memstart_addr:
	.quad	0

	.section .note.GNU-stack, "", %progbits
