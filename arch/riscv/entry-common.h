/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Unicorn starts in machine mode. The including file says how to load a word
 * (REG_L), its size (SZREG) and the mode bits of satp (SATP_MODE).
 */
#define MSTATUS_MPP	(3 << 11)
#define MSTATUS_MPP_S	(1 << 11)

	.section .text.entry, "ax"
	.globl	zs_start_boot
zs_start_boot:
	la	t0, zs_boot_info
	REG_L	sp, 0(t0)
	call	zs_boot
	li	t0, MSTATUS_MPP
	csrc	mstatus, t0
	li	t0, MSTATUS_MPP_S
	csrs	mstatus, t0
	la	t0, 1f
	csrw	mepc, t0
	mret
1:	srli	a0, a0, 12
	li	t0, SATP_MODE
	or	a0, a0, t0
	csrw	satp, a0
	sfence.vma
	j	zs_stop

	.globl	zs_start_driver
zs_start_driver:
	la	t0, zs_boot_info
	REG_L	sp, SZREG(t0)
	call	zs_driver
	j	zs_stop

	.section .stop, "ax"
	.globl	zs_stop
zs_stop:
	j	zs_stop

	.section .note.GNU-stack, "", %progbits
