/* aarch64_aapcs.S - the switch for AArch64 under AAPCS64, for ELF and Mach-O (arch.h, contract 1).
 *
 * What survives: x19-x30, sp, d8-d15 and FPCR (AAPCS64 6.1.1, "General-purpose Registers", and
 * 6.1.2, "SIMD and Floating-Point Registers": of v8-v15 only the lower half is the callee's to
 * keep). FPSR holds what operations have left, and is nobody's. x18 is the platform's, so it is not
 * touched. Streaming mode and ZA are off where functions like these are called.
 *
 * A suspended context is its stack pointer. There is one frame, the same for the full switch, for
 * the bare one and for a context that never ran, so that each of them can resume each:
 *
 *	  0	x29		of a first frame: 0, where walks along frame records end
 *	  8	return address	of a first frame: Lfirst; signed where the build signs them
 *	 16	x19		of a first frame: the function to be called
 *	 24	x20 ... x28
 *	 96	d8 ... d15
 *	160	FPCR
 *	168	8 bytes nobody reads; sp stays a multiple of 16
 *
 * Entered by bl and left by ret, as x86_64_sysv.S is and for the same reason.
 *
 * FPCR is written only where it changes: writing it stalls many processors, and nearly all contexts
 * run with the same. Reading it is cheap.
 *
 * Because both sides of the exchange have the same frame, the unwind rules "CFA = sp + 176, the
 * registers below it" hold before and after it with no directive in between: one instruction
 * earlier the caller is who leaves, one later who is resumed. That goes for the signature of the
 * return address too: its modifier is the CFA, where sp stood at the entry and stands at the ret.
 *
 * BTI and pointer authentication, in builds that ask for them: functions begin with bti or with the
 * signing, which is a landing pad as well, and the object's note says so. All are hints: nothing
 * happens on processors without. The note does not claim guarded control stacks: the switch does
 * not change theirs. */

#if defined(__ILP32__)
#error "ILP32 has other pointers: it needs a file of its own"
#endif

#define X29	0
#define RETURN	8
#define X19	16
#define D8	96
#define CONTROL	160
#define FRAME	176

/* ---- how this object format and this build say it ---------------------------------------------*/

#if defined(__APPLE__)
#define SYMBOL(name)	_##name
#define LOCAL(name)	L##name
#else
#define SYMBOL(name)	name
#define LOCAL(name)	.L##name
#endif

#if defined(__ARM_FEATURE_PAC_DEFAULT)
#define SIGNS (__ARM_FEATURE_PAC_DEFAULT & 3)
#else
#define SIGNS 0
#endif
#if defined(__ARM_FEATURE_BTI_DEFAULT)
#define LANDS __ARM_FEATURE_BTI_DEFAULT
#else
#define LANDS 0
#endif

	/* First in any other. */
	.macro	land
#if LANDS
	hint	#34			/* bti c */
#endif
	.endm

	/* First in a function that leaves a frame: x30 with its signature, whose modifier is sp. */
	.macro	sign_return
#if SIGNS & 2
	.cfi_b_key_frame
	hint	#27			/* pacibsp */
	.cfi_negate_ra_state
#elif SIGNS
	hint	#25			/* paciasp */
	.cfi_negate_ra_state
#else
	land
#endif
	.endm

	.macro	check_return
#if SIGNS & 2
	hint	#31			/* autibsp */
	.cfi_negate_ra_state
#elif SIGNS
	hint	#29			/* autiasp */
	.cfi_negate_ra_state
#endif
	.endm

	.macro	begin name
	.p2align 4
#if !defined(__APPLE__)
	.type	\name, %function
#endif
\name:
	.cfi_startproc
	.endm

	.macro	function name
	.globl	\name
#if defined(__APPLE__)
	.private_extern	\name
#else
	.hidden	\name
#endif
	begin	\name
	.endm

	.macro	end name
	.cfi_endproc
#if !defined(__APPLE__)
	.size	\name, . - \name
#endif
	.endm

/* ---- the frame --------------------------------------------------------------------------------*/

	.macro	save first, second, at
	stp	\first, \second, [sp, #\at]
	.cfi_offset \first, \at - FRAME
	.cfi_offset \second, \at + 8 - FRAME
	.endm

	/* All but the control word. The memory below sp is not ours, so sp moves first. */
	.macro	save_registers
	sign_return
	stp	x29, x30, [sp, #-FRAME]!
	.cfi_def_cfa_offset FRAME
	.cfi_offset x29, X29 - FRAME
	.cfi_offset x30, RETURN - FRAME
	save	x19, x20, X19
	save	x21, x22, X19+16
	save	x23, x24, X19+32
	save	x25, x26, X19+48
	save	x27, x28, X19+64
	save	d8, d9, D8
	save	d10, d11, D8+16
	save	d12, d13, D8+32
	save	d14, d15, D8+48
	.endm

	/* The frame is read up to the end, and the rules that look there with it. */
	.macro	restore_registers
	ldp	x19, x20, [sp, #X19]
	ldp	x21, x22, [sp, #X19 + 16]
	ldp	x23, x24, [sp, #X19 + 32]
	ldp	x25, x26, [sp, #X19 + 48]
	ldp	x27, x28, [sp, #X19 + 64]
	ldp	d8, d9, [sp, #D8]
	ldp	d10, d11, [sp, #D8 + 16]
	ldp	d12, d13, [sp, #D8 + 32]
	ldp	d14, d15, [sp, #D8 + 48]
	ldp	x29, x30, [sp], #FRAME
	.cfi_def_cfa_offset 0
	.irp	register, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30
	.cfi_restore \register
	.endr
	.irp	register, d8, d9, d10, d11, d12, d13, d14, d15
	.cfi_restore \register
	.endr
	check_return
	.endm

	/* x9 is what is in force here. Clobbers x10. */
	.macro	load_control
	ldr	x10, [sp, #CONTROL]
	cmp	x9, x10
	b.eq	9f
	msr	fpcr, x10
9:
	.endm

	/* The exchange has led into a suspended context: from here on the rules are its frame's. */
	.macro	rules_of_frame
	.cfi_def_cfa sp, FRAME
	.cfi_offset x29, X29 - FRAME
	.cfi_offset x30, RETURN - FRAME
	.cfi_offset x19, X19 - FRAME
	.cfi_offset x20, X19 + 8 - FRAME
	.cfi_offset x21, X19 + 16 - FRAME
	.cfi_offset x22, X19 + 24 - FRAME
	.cfi_offset x23, X19 + 32 - FRAME
	.cfi_offset x24, X19 + 40 - FRAME
	.cfi_offset x25, X19 + 48 - FRAME
	.cfi_offset x26, X19 + 56 - FRAME
	.cfi_offset x27, X19 + 64 - FRAME
	.cfi_offset x28, X19 + 72 - FRAME
	.cfi_offset d8, D8 - FRAME
	.cfi_offset d9, D8 + 8 - FRAME
	.cfi_offset d10, D8 + 16 - FRAME
	.cfi_offset d11, D8 + 24 - FRAME
	.cfi_offset d12, D8 + 32 - FRAME
	.cfi_offset d13, D8 + 40 - FRAME
	.cfi_offset d14, D8 + 48 - FRAME
	.cfi_offset d15, D8 + 56 - FRAME
#if SIGNS & 2
	.cfi_b_key_frame
#endif
#if SIGNS
	.cfi_negate_ra_state
#endif
	.endm

	/* ... onto an empty stack, which nobody called: walks end here. */
	.macro	rules_of_entry
	.cfi_def_cfa sp, 0
	.cfi_undefined x30
	.irp	register, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29
	.cfi_same_value \register
	.endr
	.irp	register, d8, d9, d10, d11, d12, d13, d14, d15
	.cfi_same_value \register
	.endr
	.endm

/* ---- switching --------------------------------------------------------------------------------*/

	.text

/* uintptr_t arch_switch(void **save, void *to, uintptr_t message)
 *	x0	where the stack pointer of this context goes
 *	x1	the context to resume
 *	x2	the word for it
 *	x0	what arch_switch returns over there */
	function SYMBOL(arch_switch)
	save_registers
	mrs	x9, fpcr
	str	x9, [sp, #CONTROL]
	mov	x10, sp
	str	x10, [x0]		/* suspended: from here on it may be resumed */
	mov	sp, x1			/* the exchange */
	load_control
	mov	x0, x2
	restore_registers
	ret
	end	SYMBOL(arch_switch)

/* uintptr_t arch_switch_bare(void **save, void *to, uintptr_t message, uint64_t control_words)
 *	x0 x1 x2	as above
 *	x3	the control word of both; stored for a full switch that comes back here */
	function SYMBOL(arch_switch_bare)
	save_registers
	str	x3, [sp, #CONTROL]
	mov	x10, sp
	str	x10, [x0]
	mov	sp, x1			/* the exchange; the word over there is the one in force */
	mov	x0, x2
	restore_registers
	ret
	end	SYMBOL(arch_switch_bare)

/* _Noreturn void arch_leave(void *to, uintptr_t message)
 *	x0	the context to resume
 *	x1	the word for it
 *	x0	what arch_switch returns over there
 * It has no frame of its own, so here the unwind rules change with the exchange. */
	function SYMBOL(arch_leave)
	land
	mrs	x9, fpcr
	mov	sp, x0			/* the exchange: nothing of this context is kept */
	rules_of_frame
	load_control
	mov	x0, x1
	restore_registers
	ret
	end	SYMBOL(arch_leave)

/* uintptr_t arch_start(void **save, void *top, arch_start_fn *entry, uintptr_t message,
 *			uint64_t control_words)
 *	x0	where the stack pointer of this context goes
 *	x1	the aligned top of an empty stack
 *	x2	what runs there; it returns x0 = where to go on, x1 = the word for it
 *	x3	the word that entry gets
 *	x4	the control word it begins with
 *	x0	what arch_start returns when somebody switches back
 * Goes on in arch_entry, where entry's call is matched by its return, as our caller's is by the ret
 * there if that leads back to the context that started it: all of it is predicted. */
	function SYMBOL(arch_start)
	save_registers
	mrs	x9, fpcr
	str	x9, [sp, #CONTROL]
	mov	x10, sp
	str	x10, [x0]		/* suspended: from here on it may be resumed */
	mov	x19, x2
	mov	x20, x4
	mov	x0, x3
	mov	x29, xzr		/* where walks along frame records end */
	mov	sp, x1			/* the exchange */
	rules_of_entry
	b	LOCAL(empty)
	end	SYMBOL(arch_start)

/* Where a context begins. Nothing called this, and "the return address is undefined" says so:
 * walks end here.
 *
 * From a frame, the switch has returned here with x0 = message, x19 = entry, and sp at the aligned
 * top. Unwinders look up "return address - 1", so the first resume lands one instruction past a
 * nop; without it they would take the rules, and gdb the name, of the function above. A ret needs
 * no landing pad.
 *
 * From arch_start, x0 = message, x19 = entry, x20 = control word. Entry returns x0 = where to go on
 * and x1 = the word for it. */
	begin	SYMBOL(arch_entry)
	.cfi_undefined x30
	nop
LOCAL(first):
	blr	x19
	brk	#1			/* such an entry must not return */
LOCAL(empty):
	rules_of_entry
	mrs	x9, fpcr
	cmp	x9, x20
	b.eq	LOCAL(call)
	msr	fpcr, x20
LOCAL(call):
	blr	x19
	tbnz	x0, #0, LOCAL(another)
	mrs	x9, fpcr
	mov	sp, x0			/* the exchange: entry's stack is given up */
	rules_of_frame
	load_control
	mov	x0, x1
	restore_registers
	ret
LOCAL(another):
	rules_of_entry
	sub	sp, x0, #1		/* the exchange: x0 was a top with bit 0 set */
	mov	x0, x1
	b	LOCAL(empty)
	end	SYMBOL(arch_entry)

/* ---- contexts that never ran ------------------------------------------------------------------*/

/* void *arch_frame(void *top, void (*entry)(uintptr_t message), uint64_t control_words)
 *	x0 x1 x2	the arguments
 *	x0		the context */
	function SYMBOL(arch_frame)
	land
	and	x16, x0, #-16		/* sp at the ret: part of the signature */
	sub	x0, x16, #FRAME
#if defined(__APPLE__)
	adrp	x17, LOCAL(first)@PAGE
	add	x17, x17, LOCAL(first)@PAGEOFF
#else
	adrp	x17, LOCAL(first)
	add	x17, x17, :lo12:LOCAL(first)
#endif
#if SIGNS & 2
	hint	#10			/* pacib1716 */
#elif SIGNS
	hint	#8			/* pacia1716 */
#endif
	stp	xzr, x17, [x0, #X29]
	stp	x1, xzr, [x0, #X19]	/* the others: any value would do; so always the same */
	.irp	at, 32, 48, 64, 80, 96, 112, 128, 144
	stp	xzr, xzr, [x0, #\at]
	.endr
	str	x2, [x0, #CONTROL]
	ret
	end	SYMBOL(arch_frame)

/* uint64_t arch_control_words(void)
 *	x0	as in the frame */
	function SYMBOL(arch_control_words)
	land
	mrs	x0, fpcr
	ret
	end	SYMBOL(arch_control_words)

/* ---- what the object says of itself -----------------------------------------------------------*/

#if defined(__ELF__)
	.section .note.GNU-stack, "", %progbits

#if LANDS || SIGNS
	.section .note.gnu.property, "a", %note
	.p2align 3
	.word	4			/* bytes of the name */
	.word	16			/* bytes of the description */
	.word	5			/* NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.word	0xc0000000		/* GNU_PROPERTY_AARCH64_FEATURE_1_AND */
	.word	4
#if LANDS && SIGNS
	.word	3
#elif LANDS
	.word	1			/* BTI */
#else
	.word	2			/* PAC; and never 4: GCS */
#endif
	.word	0
#endif
#endif
