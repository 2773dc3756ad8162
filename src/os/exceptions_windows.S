/* exceptions_windows.S - the address of the C++ runtime's function, or 0 in a program without. What
 * compilers make of a weak reference must not stay undefined in this format of objects; what
 * assemblers make of it may. */
	.section .rdata, "dr"
	.globl	exceptions_getter
	.p2align 3
exceptions_getter:
	.quad	__cxa_get_globals
	.weak	__cxa_get_globals
