/* processor.h - what tests must know of x86-64 under Microsoft's ABI. */
#ifndef TESTS_PROCESSOR_H
#define TESTS_PROCESSOR_H

#include <stdint.h>

/* What a function must preserve, besides the stack pointer. xmm6-xmm15 are two words each. */
enum { RBX, RBP, RDI, RSI, R12, R13, R14, R15, XMM6, REGISTERS = XMM6 + 20 };

/* The seat, the frame of the entry, that of the switch. */
enum { FIRST_FRAME_BYTES = 16 + 64 + 272 };

/* Where a context that never ran begins. */
static inline uintptr_t first_instruction(void *context)
{
	return ((uintptr_t *)context)[33];
}

/* ---- control words: mxcsr, and from bit 32 on that of the x87 ---------------------------------*/
static inline void set_words(uint64_t w)
{
	uint32_t mxcsr = (uint32_t)w;
	uint16_t x87 = (uint16_t)(w >> 32);

	__asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(x87));
}

/* Every rounding mode, flush and denormal bit of mxcsr, and rounding and precision of the x87, all
 * with the exceptions masked; n counts through them. */
static inline uint64_t nth_words(unsigned n)
{
	static const unsigned precisions[] = { 0x000, 0x200, 0x300 };
	unsigned mxcsr = 0x1f80 | (n & 3) << 13 | (n >> 2 & 1) << 15 | (n >> 3 & 1) << 6;
	unsigned x87 = 0x7f | precisions[n % 3] | (n >> 4 & 3) << 10;

	return mxcsr | (uint64_t)x87 << 32;
}

static inline uint64_t rounding_up(uint64_t words)
{
	return (words & ~UINT64_C(0x6000)) | 0x4000;
}

static inline uint64_t rounding_down(uint64_t words)
{
	return (words & ~UINT64_C(0x6000)) | 0x2000;
}

#endif
