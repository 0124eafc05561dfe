/* SPDX-License-Identifier: GPL-2.0-only */
/* What only ARMv7 kernels import. */
	.syntax	unified
	.arch	armv7-a
	.arch_extension idiv
	.arm

	.data
	.balign	4
	.globl	mem_map, __pv_phys_pfn_offset, pgprot_kernel
mem_map:
	.long	0
__pv_phys_pfn_offset:
	.long	0
pgprot_kernel:
	.long	0x45f

	.section .text.standin, "ax", %progbits
	.globl	__aeabi_unwind_cpp_pr0
__aeabi_unwind_cpp_pr0:
	bx	lr

	.macro	function name
	.globl	\name
	.type	\name, %function
\name:
	.endm

/*
 * Division: on a CPU that divides the kernel replaces the first instructions of
 * its own functions by these (arch/arm/kernel/setup.c, patch_aeabi_idiv()).
 */
	function __aeabi_uidiv
	udiv	r0, r0, r1
	bx	lr

	function __aeabi_idiv
	sdiv	r0, r0, r1
	bx	lr

	function __aeabi_uidivmod
	udiv	r2, r0, r1
	mls	r1, r2, r1, r0
	mov	r0, r2
	bx	lr

	function __aeabi_idivmod
	sdiv	r2, r0, r1
	mls	r1, r2, r1, r0
	mov	r0, r2
	bx	lr

/* r0 a bit's number, r1 the first word. */
	.macro	bitop name, instruction
	function \name
	and	r3, r0, #31
	mov	r2, #1
	lsl	r3, r2, r3
	lsr	r0, r0, #5
	add	r1, r1, r0, lsl #2
1:	ldrex	r2, [r1]
	\instruction r2, r2, r3
	strex	r0, r2, [r1]
	cmp	r0, #0
	bne	1b
	bx	lr
	.endm

	bitop	_set_bit, orr
	bitop	_clear_bit, bic
	bitop	_change_bit, eor

/* The same, and what the bit was: arch/arm/lib/bitops.h, with its barriers. */
	.macro	testop name, instruction
	function \name
	and	r3, r0, #31
	mov	r2, #1
	lsl	r3, r2, r3
	lsr	r0, r0, #5
	add	r1, r1, r0, lsl #2
	dmb	ish
1:	ldrex	r2, [r1]
	and	r0, r2, r3
	\instruction r2, r2, r3
	strex	ip, r2, [r1]
	cmp	ip, #0
	bne	1b
	dmb	ish
	cmp	r0, #0
	movne	r0, #1
	bx	lr
	.endm

	testop	_test_and_set_bit, orr
	testop	_test_and_clear_bit, bic

	.section .note.GNU-stack, "", %progbits
