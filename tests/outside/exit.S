/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What follows the driver in a user process: write the LENGTH bytes at START, the callers'
 * buffers, to the standard output, then exit. Linux system calls, by target.
 */
	.text
#if defined(__x86_64__)
	mov	$1, %eax		/* write */
	mov	$1, %edi
	movabs	$START, %rsi
	mov	$LENGTH, %edx
	syscall
	mov	$231, %eax		/* exit_group */
	xor	%edi, %edi
	syscall
#elif defined(__i386__)
	mov	$4, %eax
	mov	$1, %ebx
	mov	$START, %ecx
	mov	$LENGTH, %edx
	int	$0x80
	mov	$252, %eax
	xor	%ebx, %ebx
	int	$0x80
#elif defined(__aarch64__)
	mov	x8, #64
	mov	x0, #1
	ldr	x1, =START
	ldr	x2, =LENGTH
	svc	#0
	mov	x8, #94
	mov	x0, #0
	svc	#0
	.ltorg
#elif defined(__arm__)
	.arm
	mov	r7, #4
	mov	r0, #1
	ldr	r1, =START
	ldr	r2, =LENGTH
	svc	#0
	mov	r7, #248
	mov	r0, #0
	svc	#0
	.ltorg
#elif defined(__riscv)
	li	a7, 64
	li	a0, 1
	li	a1, START
	li	a2, LENGTH
	ecall
	li	a7, 94
	li	a0, 0
	ecall
#endif

	.section .note.GNU-stack, "", %progbits
