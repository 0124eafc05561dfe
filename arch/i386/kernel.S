/* SPDX-License-Identifier: GPL-2.0-only */
/* What only i386 kernels import. */

	.section .data..percpu, "aw", %progbits
	.balign	64
	.globl	this_cpu_off, pcpu_hot, const_pcpu_hot, __preempt_count, current_task
	.globl	__stack_chk_guard, __ref_stack_chk_guard
/* struct pcpu_hot, 6.2 to 6.14: the task, then the preemption count. */
pcpu_hot:
const_pcpu_hot:
	.long	0
	.long	0x80000000	/* PREEMPT_NEED_RESCHED is inverted */
	.zero	56
this_cpu_off:
	.long	0
current_task:
	.long	0
__preempt_count:
	.long	0x80000000
__stack_chk_guard:
__ref_stack_chk_guard:
	.long	0x5ac5e7

	.data
	.balign	8
	.globl	mem_map, __default_kernel_pte_mask
mem_map:
	.long	0
__default_kernel_pte_mask:
	.quad	-1

	.section .text.standin, "ax", %progbits
	.globl	__SCT__preempt_schedule, __SCT__cond_resched, __SCT__might_resched
/* Trampolines of static calls, which return where nothing is to be done. */
__SCT__preempt_schedule:
	ret
__SCT__cond_resched:
__SCT__might_resched:
	xor	%eax, %eax
	ret

	.section .note.GNU-stack, "", %progbits
