/* processor.h - what tests must know of AArch64 under AAPCS64. */
#ifndef TESTS_PROCESSOR_H
#define TESTS_PROCESSOR_H

#include <stdint.h>

/* What a function must preserve, besides the stack pointer: x19 to x29, d8 to d15. */
enum { X19, X29 = 10, D8, D15 = 18, REGISTERS };
/* Their numbers in unwind tables (DWARF for the Arm 64-bit Architecture, 4.1). */
#define REGISTERS_DWARF                                                                            \
	{ 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 72, 73, 74, 75, 76, 77, 78, 79 }

enum { FIRST_FRAME_BYTES = 176 };

/* Where a context that never ran begins; without the signature that a build may give it. */
static inline uintptr_t first_instruction(void *context)
{
	register uintptr_t address __asm__("x30") = ((uintptr_t *)context)[1];

	__asm__("hint #7 /* xpaclri */" : "+r"(address));
	return address;
}

/* ---- control words: FPCR ----------------------------------------------------------------------*/
static inline void set_words(uint64_t w)
{
	__asm__ volatile("msr fpcr, %0" : : "r"(w));
}

/* Every rounding mode, flush to zero, default NaN and alternative half precision; n counts through
 * them. */
static inline uint64_t nth_words(unsigned n)
{
	return (uint64_t)(n & 31) << 22;
}

static inline uint64_t rounding_up(uint64_t words)
{
	return (words & ~UINT64_C(0xc00000)) | 0x400000;
}

static inline uint64_t rounding_down(uint64_t words)
{
	return (words & ~UINT64_C(0xc00000)) | 0x800000;
}

#endif
