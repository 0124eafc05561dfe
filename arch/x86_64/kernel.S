/* SPDX-License-Identifier: GPL-2.0-only */
/* What only x86-64 kernels import. */

	.section .data..percpu, "aw", %progbits
	.balign	64
	.globl	this_cpu_off, pcpu_hot, const_pcpu_hot, __preempt_count, current_task
/* struct pcpu_hot, 6.2 to 6.14: the task, then the preemption count. */
pcpu_hot:
const_pcpu_hot:
	.quad	0
	.long	0x80000000	/* PREEMPT_NEED_RESCHED is inverted */
	.zero	52
this_cpu_off:
	.quad	0
current_task:
	.quad	0
__preempt_count:
	.long	0x80000000

	.data
	.balign	8
	.globl	vmemmap_base, page_offset_base
vmemmap_base:
	.quad	0
page_offset_base:
	.quad	0

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
