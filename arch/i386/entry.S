/* SPDX-License-Identifier: GPL-2.0-only */
/* Unicorn starts in flat protected mode at CPL 0, with paging off. */
#define MSR_EFER	0xc0000080
#define EFER_NXE	(1 << 11)
#define CR0_PE_WP_PG	0x80010001
#define CR4_PAE		(1 << 5)

	.section .text.entry, "ax"
	.globl	zs_start_boot
zs_start_boot:
	movl	zs_boot_info, %esp
	call	zs_boot
	movl	%eax, %esi
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_NXE, %eax
	wrmsr
	movl	%cr4, %eax
	orl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	%esi, %cr3
	movl	%cr0, %eax
	orl	$CR0_PE_WP_PG, %eax
	movl	%eax, %cr0
	jmp	zs_stop

	.globl	zs_start_driver
zs_start_driver:
	movl	zs_boot_info+4, %esp
	call	zs_driver
	jmp	zs_stop

	.section .stop, "ax"
	.globl	zs_stop
zs_stop:
	jmp	zs_stop

	.section .note.GNU-stack, "", %progbits
