/* registers.S - see registers.h. */

	.macro	save register
	pushq	%\register
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \register, 0
	.endm

	.macro	restore register
	popq	%\register
	.cfi_adjust_cfa_offset -8
	.cfi_restore \register
	.endm

	.text

/* uintptr_t switch_with(in, out, save, to, message, go, control_words)
 *	rdi rsi	in, out
 *	rdx rcx r8	save, to, message: rdi rsi rdx of the callee
 *	r9	go
 *	stack	control_words; 64 above rsp where it is read
 *	rax	what the callee returned */
	.globl	switch_with
	.type	switch_with, @function
	.p2align 4
switch_with:
	.cfi_startproc
#if defined(__CET__) && (__CET__ & 1)
	endbr64
#endif
	save	rbp
	save	rbx
	save	r12
	save	r13
	save	r14
	save	r15
	pushq	%rsi
	.cfi_adjust_cfa_offset 8
	movq	0(%rdi), %rbx
	movq	8(%rdi), %rbp
	movq	16(%rdi), %r12
	movq	24(%rdi), %r13
	movq	32(%rdi), %r14
	movq	40(%rdi), %r15
	movq	%rdx, %rdi
	movq	%rcx, %rsi
	movq	%r8, %rdx
	movq	64(%rsp), %rcx
	call	*%r9
	popq	%rsi
	.cfi_adjust_cfa_offset -8
	movq	%rbx, 0(%rsi)
	movq	%rbp, 8(%rsi)
	movq	%r12, 16(%rsi)
	movq	%r13, 24(%rsi)
	movq	%r14, 32(%rsi)
	movq	%r15, 40(%rsi)
	restore	r15
	restore	r14
	restore	r13
	restore	r12
	restore	rbx
	restore	rbp
	ret
	.cfi_endproc
	.size	switch_with, . - switch_with

	.section .note.GNU-stack, "", @progbits
