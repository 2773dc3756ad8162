/* registers.S - see registers.h. */

#define LOCALS	(32 + 160 + 8)		/* the home area of the callee, xmm6-xmm15, alignment */
#define PUSHED	72			/* with the return address */
#define HOME	32

	.macro	save register
	pushq	%\register
	.seh_pushreg %\register
	.endm

	.text

/* uintptr_t switch_with(in, out, save, to, message, go, control_words)
 *	rcx rdx	in, out
 *	r8 r9	save, to: rcx rdx of the callee
 *	stack	message, go, control_words; message and control_words: r8 r9 of the callee
 *	rax	what the callee returned */
	.globl	switch_with
	.def	switch_with; .scl 2; .type 32; .endef
	.p2align 4
switch_with:
	.seh_proc switch_with
	save	rbp
	save	rbx
	save	rdi
	save	rsi
	save	r12
	save	r13
	save	r14
	save	r15
	subq	$LOCALS, %rsp
	.seh_stackalloc LOCALS
	.irp	n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movaps	%xmm\n, HOME + (\n - 6) * 16(%rsp)
	.seh_savexmm %xmm\n, HOME + (\n - 6) * 16
	.endr
	.seh_endprologue
	movq	%rdx, LOCALS + PUSHED + 8(%rsp)		/* out: in our own home area */
	movq	LOCALS + PUSHED + HOME + 8(%rsp), %r10	/* go */
	movq	0(%rcx), %rbx
	movq	8(%rcx), %rbp
	movq	16(%rcx), %rdi
	movq	24(%rcx), %rsi
	movq	32(%rcx), %r12
	movq	40(%rcx), %r13
	movq	48(%rcx), %r14
	movq	56(%rcx), %r15
	.irp	n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movups	64 + (\n - 6) * 16(%rcx), %xmm\n
	.endr
	movq	%r8, %rcx
	movq	%r9, %rdx
	movq	LOCALS + PUSHED + HOME + 0(%rsp), %r8
	movq	LOCALS + PUSHED + HOME + 16(%rsp), %r9
	call	*%r10
	movq	LOCALS + PUSHED + 8(%rsp), %rdx
	movq	%rbx, 0(%rdx)
	movq	%rbp, 8(%rdx)
	movq	%rdi, 16(%rdx)
	movq	%rsi, 24(%rdx)
	movq	%r12, 32(%rdx)
	movq	%r13, 40(%rdx)
	movq	%r14, 48(%rdx)
	movq	%r15, 56(%rdx)
	.irp	n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movups	%xmm\n, 64 + (\n - 6) * 16(%rdx)
	movaps	HOME + (\n - 6) * 16(%rsp), %xmm\n
	.endr
	addq	$LOCALS, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rsi
	popq	%rdi
	popq	%rbx
	popq	%rbp
	ret
	.seh_endproc
