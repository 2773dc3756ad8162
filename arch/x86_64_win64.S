/* x86_64_win64.S - the switch for x86-64 under Microsoft's ABI (arch.h, contract 1).
 *
 * What survives: rbx rbp rsp rdi rsi r12-r15, xmm6-xmm15, the control bits of mxcsr and the x87
 * control word ("x64 calling convention", caller/callee saved registers; "FpCsr", "MxCsr"). And
 * four fields of the thread information block at gs:0, which say what stack the thread runs on: the
 * kernel grows a stack, and dispatches exceptions, by them.
 *
 *	gs:0x08		stack base: the end of the stack
 *	gs:0x10		stack limit: the lowest address that has memory; the kernel lowers it
 *	gs:0x20		fiber data: what GetFiberData and FlsGetValue go by
 *	gs:0x1478	deallocation stack: the lowest address that may ever have memory
 *
 * A suspended context is its stack pointer. There is one frame, the same for the full switch, for
 * the bare one and for a context that never ran:
 *
 *	  0	xmm6 ... xmm15
 *	160	mxcsr, 4 bytes; x87 control word, 2 bytes; 2 bytes nobody reads
 *	168	stack base, stack limit, fiber data, deallocation stack
 *	200	r15 r14 r13 r12 rsi rdi
 *	248	rbx		of a first frame: the function to be called
 *	256	rbp
 *	264	return address	of a first frame: .Lfirst
 *
 * The bounds of an empty stack are found by its seat, the 16 bytes below its aligned
 * top: the address of { bottom, limit }, and the complement of it, by which a seat is told from
 * whatever else may be there. Without a seat both bounds are 0: exceptions are dispatched, and the
 * stack does not grow. When a context ends, the limit that it reached is noted where the seat says.
 *
 * Unwind codes hold for a whole function, so where the exchange of stacks changes the rules,
 * another function begins: it is entered by falling into it, and its codes describe what is there
 * already (a prologue of no bytes). Walks end at arch_entry, above which the return address is 0.
 */

#define CONTROL	160
#define BASE	168
#define LIMIT	176
#define FIBER	184
#define LOWEST	192
#define R15	200
#define R14	208
#define R13	216
#define R12	224
#define RSI	232
#define RDI	240
#define RBX	248
#define RBP	256
#define RETURN	264
#define FRAME	272

#define SAVED	R15		/* bytes of the frame that are not pushed */

/* Below a seat: 8 bytes of zero, the return address of arch_entry; then its frame: what it calls
 * may use the lowest 32 bytes (its home area) and leaves its result, two words, above them. */
#define SEAT	16
#define ENTRY	56
#define NEXT	32
#define BELOW	(8 + ENTRY)

	.macro	function name
	.globl	\name
	.def	\name; .scl 2; .type 32; .endef
	.p2align 4
\name:
	.seh_proc \name
	.endm

	.macro	inner name			/* of this file */
	.def	\name; .scl 3; .type 32; .endef
\name:
	.seh_proc \name
	.endm

	.macro	save register
	pushq	%\register
	.seh_pushreg %\register
	.endm

	.macro	save_xmm
	.irp	n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movaps	%xmm\n, (\n - 6) * 16(%rsp)
	.seh_savexmm %xmm\n, (\n - 6) * 16
	.endr
	.endm

	/* The prologue of whoever suspends itself. */
	.macro	save_frame
	save	rbp
	save	rbx
	save	rdi
	save	rsi
	save	r12
	save	r13
	save	r14
	save	r15
	subq	$SAVED, %rsp
	.seh_stackalloc SAVED
	save_xmm
	.seh_endprologue
	.endm

	/* The same codes for a function that finds the frame already made. */
	.macro	frame_is_there
	.irp	register, rbp, rbx, rdi, rsi, r12, r13, r14, r15
	.seh_pushreg %\register
	.endr
	.seh_stackalloc SAVED
	.irp	n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.seh_savexmm %xmm\n, (\n - 6) * 16
	.endr
	.seh_endprologue
	.endm

	.macro	save_bounds
	movq	%gs:0x08, %r10
	movq	%gs:0x10, %r11
	movq	%r10, BASE(%rsp)
	movq	%r11, LIMIT(%rsp)
	movq	%gs:0x20, %r10
	movq	%gs:0x1478, %r11
	movq	%r10, FIBER(%rsp)
	movq	%r11, LOWEST(%rsp)
	.endm

	.macro	restore_bounds
	movq	BASE(%rsp), %r10
	movq	LIMIT(%rsp), %r11
	movq	%r10, %gs:0x08
	movq	%r11, %gs:0x10
	movq	FIBER(%rsp), %r10
	movq	LOWEST(%rsp), %r11
	movq	%r10, %gs:0x20
	movq	%r11, %gs:0x1478
	.endm

	.macro	save_control
	stmxcsr	CONTROL(%rsp)
	fnstcw	CONTROL + 4(%rsp)
	.endm

	.macro	restore_control
	ldmxcsr	CONTROL(%rsp)
	fldcw	CONTROL + 4(%rsp)
	.endm

	/* And return. The last part has the only form in which an unwinder knows an epilogue. */
	.macro	restore_frame
	restore_bounds
	.irp	n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movaps	(\n - 6) * 16(%rsp), %xmm\n
	.endr
	addq	$SAVED, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rsi
	popq	%rdi
	popq	%rbx
	popq	%rbp
	ret
	.endm

	/* r10 = limit, r11 = bottom of the stack with the seat at \seat; 0 if there is none. */
	.macro	find_bounds seat
	movq	(\seat), %r10
	movq	8(\seat), %r11
	notq	%r11
	cmpq	%r10, %r11
	movl	$0, %r11d		/* moves leave the flags alone */
	jne	1f
	movq	(%r10), %r11
	movq	8(%r10), %r10
	jmp	2f
1:	xorl	%r10d, %r10d
2:
	.endm

	/* The running context ends: how far its stack has grown is noted. */
	.macro	note_limit
	movq	%gs:0x08, %r10
	movq	8(%r10), %r11
	movq	(%r10), %r10
	notq	%r11
	cmpq	%r10, %r11
	jne	1f
	movq	%gs:0x10, %r11
	movq	%r11, 8(%r10)
1:
	.endm

	.text

/* uintptr_t arch_switch(void **save, void *to, uintptr_t message)
 *	rcx	where the stack pointer of this context goes
 *	rdx	the context to resume
 *	r8	the word for it
 *	rax	what arch_switch returns over there */
	function arch_switch
	save_frame
	save_control
	save_bounds
	movq	%r8, %rax
	movq	%rsp, (%rcx)		/* suspended: from here on it may be resumed */
	movq	%rdx, %rsp		/* the exchange */
	restore_control
	restore_frame
	.seh_endproc

/* uintptr_t arch_switch_bare(void **save, void *to, uintptr_t message, uint64_t control_words)
 *	rcx rdx r8 rax	as above
 *	r9	the control words of both; stored for a full switch that comes back here */
	function arch_switch_bare
	save_frame
	movq	%r9, CONTROL(%rsp)
	save_bounds
	movq	%r8, %rax
	movq	%rsp, (%rcx)
	movq	%rdx, %rsp		/* the exchange */
	restore_frame
	.seh_endproc

/* _Noreturn void arch_leave(void *to, uintptr_t message)
 *	rcx	the context to resume
 *	rdx	the word for it
 *	rax	what arch_switch returns over there
 * It has no frame of its own. */
	function arch_leave
	.seh_endprologue
	note_limit
	movq	%rdx, %rax
	movq	%rcx, %rsp		/* the exchange: nothing of this context is kept */
	.seh_endproc
	inner	arch_left
	frame_is_there
	restore_control
	restore_frame
	.seh_endproc

/* uintptr_t arch_start(void **save, void *top, arch_start_fn *entry, uintptr_t message,
 *			uint64_t control_words)
 *	rcx	where the stack pointer of this context goes
 *	rdx	the aligned top of an empty stack
 *	r8	what runs there
 *	r9	the word that entry gets
 *	stack	the control words it begins with; FRAME + 32 above rsp where they are read
 *	rax	what arch_start returns when somebody switches back
 * Goes on in arch_entry, where entry's call is matched by its return, as our caller's is by the ret
 * there if that leads back to the context that started it: all of it is predicted. */
	function arch_start
	save_frame
	save_control
	save_bounds
	movq	%rsp, (%rcx)		/* suspended: from here on it may be resumed */
	movq	%r8, %rbx
	movq	%r9, %rsi
	movq	FRAME + 32(%rsp), %r12
	xorl	%ebp, %ebp
	leaq	-SEAT(%rdx), %rdi
	movq	$0, -8(%rdi)
	jmp	.Lempty			/* where the exchange is: it has its rules from its first */
	.seh_endproc			/* instruction on, and the step before is a jump */

/* The exchange onto an empty stack, rdi = its seat. Until it is done the frame is arch_start's, or
 * arch_entry's own. */
	inner	arch_begin
	frame_is_there
.Lempty:
	leaq	-BELOW(%rdi), %rsp	/* the exchange */
	.seh_endproc

/* Where a context begins. Nothing called this, and the return address says so: walks end here.
 *
 * From a frame, the switch has returned to .Lfirst with rax = message, rbx = entry. Some unwinders
 * look up "return address - 1", so the first resume lands one byte past a nop.
 *
 * From arch_start, rsi = message, rbx = entry, r12 = control words, rdi = the seat. Entry leaves
 * where to go on, and the word for it, where rcx said. */
	inner	arch_entry
	.seh_stackalloc ENTRY
	.seh_endprologue
.Lagain:
	find_bounds %rdi
	movq	%rdi, %gs:0x08
	movq	%r10, %gs:0x10
	movq	%r11, %gs:0x1478
	movq	%r12, (%rsp)
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	leaq	NEXT(%rsp), %rcx
	movq	%rsi, %rdx
	call	*%rbx
	note_limit
	movq	NEXT(%rsp), %rcx
	movq	NEXT + 8(%rsp), %rax
	testb	$1, %cl
	jne	.Lanother
	jmp	.Lback
	nop
.Lfirst:
	movq	%rax, %rcx
	call	*%rbx
	ud2				/* such an entry must not return */
.Lanother:
	movq	%rax, %rsi
	leaq	-SEAT - 1(%rcx), %rdi	/* it was a top with bit 0 set */
	movq	$0, -8(%rdi)
	leaq	-BELOW(%rdi), %rsp	/* the exchange: the rules stay the same */
	jmp	.Lagain
.Lback:
	movq	%rcx, %rsp		/* the exchange: entry's stack is given up */
	.seh_endproc
	inner	arch_back
	frame_is_there
	restore_control
	restore_frame
	.seh_endproc

/* void *arch_frame(void *top, void (*entry)(uintptr_t message), uint64_t control_words)
 *	rcx rdx r8	the arguments
 *	rax		the context */
	function arch_frame
	.seh_endprologue
	andq	$-16, %rcx
	subq	$SEAT, %rcx
	leaq	-BELOW - FRAME(%rcx), %rax
	find_bounds %rcx
	movq	%rcx, BASE(%rax)
	movq	%r10, LIMIT(%rax)
	movq	%r11, LOWEST(%rax)
	movq	%gs:0x20, %r10
	movq	%r10, FIBER(%rax)
	movq	%r8, CONTROL(%rax)
	xorps	%xmm0, %xmm0		/* anything would do; so every time the same */
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
	movaps	%xmm0, \n * 16(%rax)
	.endr
	xorl	%r10d, %r10d
	.irp	register, R15, R14, R13, R12, RSI, RDI, RBP
	movq	%r10, \register(%rax)
	.endr
	movq	%rdx, RBX(%rax)
	leaq	.Lfirst(%rip), %r11
	movq	%r11, RETURN(%rax)
	movq	%r10, -8(%rcx)
	ret
	.seh_endproc

/* uint64_t arch_control_words(void)
 *	rax	as in the frame; the caller's home area for our arguments is ours to use */
	function arch_control_words
	.seh_endprologue
	stmxcsr	8(%rsp)
	fnstcw	12(%rsp)
	movw	$0, 14(%rsp)
	movq	8(%rsp), %rax
	ret
	.seh_endproc
