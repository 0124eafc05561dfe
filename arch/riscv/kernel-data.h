/* SPDX-License-Identifier: GPL-2.0-only */
/* What only RISC-V kernels import. */
	.macro	variable name, bytes
	.balign	8
	.globl	\name
	.size	\name, \bytes
\name:
	.zero	\bytes
	.endm

	.data
	variable kernel_map, 256
	variable vmemmap_start_pfn, 8
	variable riscv_pfn_base, 8
	variable phys_ram_base, 8
	variable pgtable_l4_enabled, 8
	variable pgtable_l5_enabled, 8
	variable mem_map, 8
	variable mem_section, 4096

	.section .note.GNU-stack, "", %progbits
