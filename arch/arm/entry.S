/* SPDX-License-Identifier: GPL-2.0-only */
/* Unicorn starts in supervisor mode, ARM state, with the MMU off. */
#define SCTLR_M		1

	.syntax unified
	.arm
	.section .text.entry, "ax"
	.globl	zs_start_boot
zs_start_boot:
	ldr	r4, =zs_boot_info
	ldr	sp, [r4]
	bl	zs_boot
	mov	r4, #0
	mcr	p15, 0, r4, c2, c0, 2	@ TTBCR: short descriptors, TTBR0 only
	mcr	p15, 0, r0, c2, c0, 0	@ TTBR0
	mov	r4, #1
	mcr	p15, 0, r4, c3, c0, 0	@ DACR: domain 0 checks permissions
	dsb
	isb
	mrc	p15, 0, r4, c1, c0, 0
	orr	r4, r4, #SCTLR_M
	mcr	p15, 0, r4, c1, c0, 0
	isb
	b	zs_stop

	.globl	zs_start_driver
zs_start_driver:
	ldr	r4, =zs_boot_info
	ldr	sp, [r4, #4]
	bl	zs_driver
	b	zs_stop

	.ltorg

	.section .stop, "ax"
	.globl	zs_stop
zs_stop:
	b	zs_stop

	.section .note.GNU-stack, "", %progbits
