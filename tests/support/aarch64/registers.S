/* registers.S - see registers.h. */

	.macro	save first, second, at
	stp	\first, \second, [sp, #\at]
	.cfi_offset \first, \at - 176
	.cfi_offset \second, \at + 8 - 176
	.endm

	.macro	restore first, second, at
	ldp	\first, \second, [sp, #\at]
	.cfi_restore \first
	.cfi_restore \second
	.endm

	.text

/* uintptr_t switch_with(in, out, save, to, message, go, control_words)
 *	x0 x1	in, out
 *	x2 x3 x4	save, to, message: x0 x1 x2 of the callee
 *	x5	go
 *	x6	control_words: x3 of the callee
 *	x0	what the callee returned
 * It signs no return address, in no build: nothing says that it must. */
	.globl	switch_with
	.type	switch_with, %function
	.p2align 4
switch_with:
	.cfi_startproc
	hint	#34			/* bti c */
	stp	x29, x30, [sp, #-176]!
	.cfi_def_cfa_offset 176
	.cfi_offset x29, -176
	.cfi_offset x30, -168
	save	x19, x20, 16
	save	x21, x22, 32
	save	x23, x24, 48
	save	x25, x26, 64
	save	x27, x28, 80
	save	d8, d9, 96
	save	d10, d11, 112
	save	d12, d13, 128
	save	d14, d15, 144
	str	x1, [sp, #160]
	ldp	x19, x20, [x0]
	ldp	x21, x22, [x0, #16]
	ldp	x23, x24, [x0, #32]
	ldp	x25, x26, [x0, #48]
	ldp	x27, x28, [x0, #64]
	ldp	x29, x9, [x0, #80]
	fmov	d8, x9
	ldp	d9, d10, [x0, #96]
	ldp	d11, d12, [x0, #112]
	ldp	d13, d14, [x0, #128]
	ldr	d15, [x0, #144]
	mov	x9, x5
	mov	x0, x2
	mov	x1, x3
	mov	x2, x4
	mov	x3, x6
	blr	x9
	ldr	x9, [sp, #160]
	stp	x19, x20, [x9]
	stp	x21, x22, [x9, #16]
	stp	x23, x24, [x9, #32]
	stp	x25, x26, [x9, #48]
	stp	x27, x28, [x9, #64]
	str	x29, [x9, #80]
	stp	d8, d9, [x9, #88]
	stp	d10, d11, [x9, #104]
	stp	d12, d13, [x9, #120]
	stp	d14, d15, [x9, #136]
	restore	x19, x20, 16
	restore	x21, x22, 32
	restore	x23, x24, 48
	restore	x25, x26, 64
	restore	x27, x28, 80
	restore	d8, d9, 96
	restore	d10, d11, 112
	restore	d12, d13, 128
	restore	d14, d15, 144
	ldp	x29, x30, [sp], #176
	.cfi_def_cfa_offset 0
	.cfi_restore x29
	.cfi_restore x30
	ret
	.cfi_endproc
	.size	switch_with, . - switch_with

	.section .note.GNU-stack, "", %progbits
