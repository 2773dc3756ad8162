/* x86_64_sysv.S - the switch for x86-64 under the System V ABI (arch.h, contract 1).
 *
 * What survives: rbx rbp rsp r12-r15, the control bits of mxcsr and the x87 control word
 * (psABI 3.2.1, "Registers and the Stack Frame"). The psABI hands everything else to the caller of
 * a function, and the switch is one. DF is clear and the x87 unit empty at every call (same
 * paragraph), so neither is saved.
 *
 * A suspended context is its stack pointer. There is one frame, the same for the full switch, for
 * the bare one and for a context that never ran, so that each of them can resume each:
 *
 *	 0	mxcsr, 4 bytes; x87 control word, 2 bytes; 2 bytes nobody reads
 *	 8	r15
 *	16	r14
 *	24	r13
 *	32	r12
 *	40	rbx		of a first frame: the function to be called
 *	48	rbp		of a first frame: 0, where walks along frame pointers end
 *	56	return address	of a first frame: .Lfirst
 *
 * Entered by call and left by ret. `pop; jmp *` is faster between two call sites and slower in
 * every other shape, because each ret of the callers is then mispredicted as well.
 *
 * Because both sides of the exchange have the same frame, the unwind rules "CFA = rsp + 64, the
 * registers below it" hold before and after it with no directive in between: one instruction
 * earlier the caller is who leaves, one later who is resumed.
 *
 * IBT: every function begins with endbr64 in builds that ask for it, and the object says so in its
 * note. It does not claim to work with shadow stacks: the switch does not change theirs. <cet.h>
 * would claim both. */

#if defined(__ILP32__)
#error "x32 has other pointers: it needs a file of its own"
#endif

#define CONTROL	0
#define R15	8
#define R14	16
#define R13	24
#define R12	32
#define RBX	40
#define RBP	48
#define RETURN	56
#define FRAME	64

	.macro	function name
	.globl	\name
	.hidden	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
#if defined(__CET__) && (__CET__ & 1)
	endbr64
#endif
	.endm

	.macro	end name
	.cfi_endproc
	.size	\name, . - \name
	.endm

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

	.macro	save_registers
	save	rbp
	save	rbx
	save	r12
	save	r13
	save	r14
	save	r15
	.endm

	.macro	restore_registers
	restore	r15
	restore	r14
	restore	r13
	restore	r12
	restore	rbx
	restore	rbp
	.endm

	/* The exchange has led into a suspended context: from here on the rules are its frame's. */
	.macro	rules_of_frame
	.cfi_def_cfa rsp, FRAME
	.cfi_offset rip, RETURN - FRAME	/* not restore: libgcc takes that for "unsaved" */
	.cfi_offset rbp, RBP - FRAME
	.cfi_offset rbx, RBX - FRAME
	.cfi_offset r12, R12 - FRAME
	.cfi_offset r13, R13 - FRAME
	.cfi_offset r14, R14 - FRAME
	.cfi_offset r15, R15 - FRAME
	.endm

	/* ... onto an empty stack, which nobody called: walks end here. */
	.macro	rules_of_entry
	.cfi_def_cfa rsp, 16
	.cfi_undefined rip
	.cfi_same_value rbp
	.cfi_same_value rbx
	.cfi_same_value r12
	.cfi_same_value r13
	.cfi_same_value r14
	.cfi_same_value r15
	.endm

	.text

/* uintptr_t arch_switch(void **save, void *to, uintptr_t message)
 *	rdi	where the stack pointer of this context goes
 *	rsi	the context to resume
 *	rdx	the word for it
 *	rax	what arch_switch returns over there */
	function arch_switch
	save_registers
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	CONTROL(%rsp)
	fnstcw	CONTROL + 4(%rsp)
	movq	%rdx, %rax
	movq	%rsp, (%rdi)		/* suspended: from here on it may be resumed */
	movq	%rsi, %rsp		/* the exchange */
	ldmxcsr	CONTROL(%rsp)		/* always: comparing first costs more than it saves */
	fldcw	CONTROL + 4(%rsp)
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	restore_registers
	ret
	end	arch_switch

/* uintptr_t arch_switch_bare(void **save, void *to, uintptr_t message, uint64_t control_words)
 *	rdi rsi rdx rax	as above
 *	rcx	the control words of both; stored for a full switch that comes back here */
	function arch_switch_bare
	save_registers
	pushq	%rcx
	.cfi_adjust_cfa_offset 8
	movq	%rdx, %rax
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp		/* the exchange */
	addq	$8, %rsp		/* the words over there are the ones in force */
	.cfi_adjust_cfa_offset -8
	restore_registers
	ret
	end	arch_switch_bare

	/* Left by a jump, so that the other side's call is not matched by this side's return. It
	 * needs no endbr64 at the other end: where jumps are tracked, it is a ret after all. */
	.macro	leave_by_jump
#if defined(__CET__) && (__CET__ & 1)
	ret
#else
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register rip, rcx
	jmpq	*%rcx
#endif
	.endm

/* int arch_hop(void **save, void *to, uintptr_t message, _Atomic uint32_t *word, uint32_t value)
 *	rdi rsi rdx rax	as above
 *	rcx	the word that says whose this context is
 *	r8d	what it says from now on; on this processor every store is a release */
	function arch_hop
	save_registers
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	CONTROL(%rsp)
	fnstcw	CONTROL + 4(%rsp)
	movq	%rdx, %rax
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp		/* the exchange */
	movl	%r8d, (%rcx)
	ldmxcsr	CONTROL(%rsp)
	fldcw	CONTROL + 4(%rsp)
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	restore_registers
	leave_by_jump
	end	arch_hop

/* int arch_hop_bare(void **save, void *to, uintptr_t message, _Atomic uint32_t *word,
 *		     uint32_t value)
 *	as arch_hop; the slot of the control words is nobody's */
	function arch_hop_bare
	save_registers
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	movq	%rdx, %rax
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp		/* the exchange */
	movl	%r8d, (%rcx)
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	restore_registers
	leave_by_jump
	end	arch_hop_bare

/* _Noreturn void arch_leave(void *to, uintptr_t message)
 *	rdi	the context to resume
 *	rsi	the word for it
 *	rax	what arch_switch returns over there
 * It has no frame of its own, so here the unwind rules change with the exchange. */
	function arch_leave
	movq	%rsi, %rax
	movq	%rdi, %rsp		/* the exchange: nothing of this context is kept */
	rules_of_frame
	ldmxcsr	CONTROL(%rsp)
	fldcw	CONTROL + 4(%rsp)
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	restore_registers
	ret
	end	arch_leave

/* uintptr_t arch_start(void **save, void *top, arch_start_fn *entry, uintptr_t message,
 *			uint64_t control_words)
 *	rdi	where the stack pointer of this context goes
 *	rsi	the aligned top of an empty stack
 *	rdx	what runs there; it returns rax = where to go on, rdx = the word for it
 *	rcx	the word that entry gets
 *	r8	the control words it begins with
 *	rax	what arch_start returns when somebody switches back
 * Goes on in arch_entry, where entry's call is matched by its return, as our caller's is by the ret
 * there if that leads back to the context that started it: all of it is predicted. */
	function arch_start
	save_registers
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	CONTROL(%rsp)
	fnstcw	CONTROL + 4(%rsp)
	movq	%rsp, (%rdi)		/* suspended: from here on it may be resumed */
	movq	%rdx, %rbx
	movq	%r8, %r12
	movq	%rcx, %rdi
	xorl	%ebp, %ebp		/* where walks along frame pointers end */
	leaq	-16(%rsi), %rsp		/* the exchange */
	rules_of_entry
	jmp	.Lempty
	end	arch_start

/* Where a context begins. Nothing called this, and "the return address is undefined" says so:
 * walks end here.
 *
 * From a frame, the switch has returned here with rax = message, rbx = entry, and rsp at the
 * aligned top, as the psABI wants it right before a call (3.2.2, "The Stack Frame"). Unwinders look
 * up "return address - 1", so the first resume lands one byte past a nop; without it they would
 * take the rules, and gdb the name, of the function above.
 *
 * From arch_start, rdi = message, rbx = entry, r12 = control words, and rsp 16 below the top. Entry
 * returns rax = where to go on and rdx = the word for it. */
	.type	arch_entry, @function
	.p2align 4
arch_entry:
	.cfi_startproc
	.cfi_undefined rip
	.cfi_def_cfa rsp, 0
	nop
.Lfirst:
	movq	%rax, %rdi
	call	*%rbx
	ud2				/* such an entry must not return */
.Lempty:
	rules_of_entry
	movq	%r12, (%rsp)
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	call	*%rbx
	testb	$1, %al
	jne	.Lanother
	movq	%rax, %rsp		/* the exchange: entry's stack is given up */
	rules_of_frame
	ldmxcsr	CONTROL(%rsp)
	fldcw	CONTROL + 4(%rsp)
	movq	%rdx, %rax
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	restore_registers
	ret
.Lanother:
	rules_of_entry
	movq	%rdx, %rdi
	leaq	-17(%rax), %rsp		/* the exchange: rax was a top with bit 0 set */
	jmp	.Lempty
	end	arch_entry

/* void *arch_frame(void *top, void (*entry)(uintptr_t message), uint64_t control_words)
 *	rdi rsi rdx	the arguments
 *	rax		the context */
	function arch_frame
	andq	$-16, %rdi
	leaq	-FRAME(%rdi), %rax
	leaq	.Lfirst(%rip), %rcx
	movq	%rdx, CONTROL(%rax)
	xorl	%edx, %edx		/* r12-r15: anything would do; so every time the same */
	movq	%rdx, R15(%rax)
	movq	%rdx, R14(%rax)
	movq	%rdx, R13(%rax)
	movq	%rdx, R12(%rax)
	movq	%rsi, RBX(%rax)
	movq	%rdx, RBP(%rax)
	movq	%rcx, RETURN(%rax)
	ret
	end	arch_frame

/* uint64_t arch_control_words(void)
 *	rax	as in the frame; the red zone is ours, this is a leaf (psABI 3.2.2) */
	function arch_control_words
	stmxcsr	-8(%rsp)
	fnstcw	-4(%rsp)
	movw	$0, -2(%rsp)
	movq	-8(%rsp), %rax
	ret
	end	arch_control_words

	.section .note.GNU-stack, "", @progbits

#if defined(__CET__) && (__CET__ & 1)
	.section .note.gnu.property, "a", @note
	.p2align 3
	.long	4			/* bytes of the name */
	.long	16			/* bytes of the description */
	.long	5			/* NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.long	0xc0000002		/* GNU_PROPERTY_X86_FEATURE_1_AND */
	.long	4
	.long	1			/* IBT, and not 2: SHSTK */
	.long	0
#endif
