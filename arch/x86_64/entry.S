/* SPDX-License-Identifier: GPL-2.0-only */
/* Unicorn starts in long mode's code segment at CPL 0, with paging off. */
#define MSR_EFER	0xc0000080
#define EFER_NXE	(1 << 11)
#define CR0_PE_WP_PG	0x80010001
#define CR4_PAE		(1 << 5)

	.section .text.entry, "ax"
	.globl	zs_start_boot
zs_start_boot:
	movq	zs_boot_info(%rip), %rsp
	call	zs_boot
	movq	%rax, %rsi
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_NXE, %eax
	wrmsr
	movq	%cr4, %rax
	orq	$CR4_PAE, %rax
	movq	%rax, %cr4
	movq	%rsi, %cr3
	movq	%cr0, %rax
	movl	$CR0_PE_WP_PG, %ecx
	orq	%rcx, %rax
	movq	%rax, %cr0
	jmp	zs_stop

	.globl	zs_start_driver
zs_start_driver:
	movq	zs_boot_info+8(%rip), %rsp
	call	zs_driver
	jmp	zs_stop

	.section .stop, "ax"
	.globl	zs_stop
zs_stop:
	jmp	zs_stop

	.section .note.GNU-stack, "", %progbits
