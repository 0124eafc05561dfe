/* SPDX-License-Identifier: GPL-2.0-only */
/* Unicorn starts in EL1 with the MMU off; the host has set SCR_EL3 and HCR_EL2. */

/*
 * Addresses of 39 bits through TTBR0 alone. A kernel's own object is built with
 * VA_BITS, 48, and has its upper addresses through TTBR1, from the same tables.
 */
#ifdef VA_BITS
#define TCR_EPD1	0
#else
#define VA_BITS		39
#define TCR_EPD1	(1 << 23)
#endif
/* Write-back, inner shareable, 40-bit output. */
#define TCR_COMMON	((64 - VA_BITS) | 1 << 8 | 1 << 10 | 3 << 12 | \
			 (64 - VA_BITS) << 16 | TCR_EPD1 | 1 << 24 | 1 << 26 | \
			 3 << 28 | 2 << 32)
#if PAGE_SHIFT == 12
#define TCR_GRANULE	(0 << 14 | 2 << 30)
#elif PAGE_SHIFT == 14
#define TCR_GRANULE	(2 << 14 | 1 << 30)
#else
#define TCR_GRANULE	(1 << 14 | 3 << 30)
#endif
#define SCTLR_M		1

	.section .text.entry, "ax"
	.globl	zs_start_boot
zs_start_boot:
	adrp	x9, zs_boot_info
	add	x9, x9, :lo12:zs_boot_info
	ldr	x10, [x9]
	mov	sp, x10
	bl	zs_boot
	mov	x9, #0xff		/* MAIR: normal memory, write-back */
	msr	mair_el1, x9
	ldr	x9, =(TCR_COMMON | TCR_GRANULE)
	msr	tcr_el1, x9
	msr	ttbr0_el1, x0
	msr	ttbr1_el1, x0
	dsb	ish
	isb
	mrs	x9, sctlr_el1
	orr	x9, x9, #SCTLR_M
	msr	sctlr_el1, x9
	isb
	b	zs_stop

	.globl	zs_start_driver
zs_start_driver:
	adrp	x9, zs_boot_info
	add	x9, x9, :lo12:zs_boot_info
	ldr	x10, [x9, #8]
	mov	sp, x10
	bl	zs_driver
	b	zs_stop

	.ltorg

	.section .stop, "ax"
	.globl	zs_stop
zs_stop:
	b	zs_stop

	.section .note.GNU-stack, "", %progbits
