/* registers.h - a call with chosen values in the registers that a function must preserve.
 * processor.h says which they are. */
#ifndef TESTS_REGISTERS_H
#define TESTS_REGISTERS_H

#include <stdint.h>

#include "law.h"
#include "processor.h"

/* Loads `in` into the registers, calls `go`, which is arch_switch or arch_switch_bare (the first
 * does not look at control_words), and stores what they hold afterwards into `out`. */
uintptr_t switch_with(const uint64_t in[REGISTERS], uint64_t out[REGISTERS], void **save, void *to,
		      uintptr_t message, const void *go, uint64_t control_words);

/* Values that would show a register lost, swapped, truncated or sign-extended. */
static inline void adversarial(uint64_t registers[REGISTERS], uint64_t *random)
{
	static const uint64_t edges[] = {
		0, UINT64_MAX, 0x8000000000000000, 0x7fffffffffffffff, 0xffffffff, 0x100000000,
		0xffff800000000000, 0x0000800000000000, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa,
	};

	for (int i = 0; i < REGISTERS; i++) {
		uint64_t r = law_random(random);

		registers[i] = r & 1 ? edges[(r >> 1) % (sizeof edges / sizeof *edges)]
				     : law_random(random);
	}
}

#endif
