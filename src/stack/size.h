/* size.h - the sizes that stacks come in.
 *
 * Size 0 is the default. The others are powers of two, from 128 KiB: memory is committed as it
 * is touched, so rounding up costs address space only, and few sizes find each other's stacks
 * again. */
#ifndef FB_STACK_SIZE_H
#define FB_STACK_SIZE_H

#include <errno.h>
#include <stddef.h>

#include "os/os.h"
#include "stack/stack.h"

enum {
	STACK_SIZES = 31,          /* up to 2^46 bytes, half of what x86-64 gives a process */
	STACK_SMALLEST_ODD = 17,   /* log2 of size 1 */
	STACK_HEADER_BYTES = 64,
	STACK_COLOURS = 24,        /* places for the header, a cache line apart */
	STACK_TOP_BYTES = STACK_HEADER_BYTES * STACK_COLOURS,
};
_Static_assert(sizeof(struct stack) <= STACK_HEADER_BYTES, "header and frames share no cache line");

/* The smallest size that holds `bytes`; -ENOMEM: none does. */
static inline int stack_size_of(size_t bytes)
{
	int size = 1;

	if (bytes <= STACK_DEFAULT_BYTES)
		return 0;
	while (size < STACK_SIZES && bytes > (size_t)1 << (STACK_SMALLEST_ODD + size - 1))
		size++;
	return size < STACK_SIZES ? size : -ENOMEM;
}

static inline size_t stack_guard_bytes(void)
{
	size_t page = os_page_bytes();

	return STACK_GUARD_BYTES > page ? STACK_GUARD_BYTES : page;
}

/* From slot to slot; an odd number of pages, so that the tops of neighbours fall into different
 * sets of the TLB. */
static inline size_t stack_size_stride(int size)
{
	size_t usable = size ? (size_t)1 << (STACK_SMALLEST_ODD + size - 1) : STACK_DEFAULT_BYTES;
	size_t page = os_page_bytes();
	size_t pages = (stack_guard_bytes() + usable + STACK_TOP_BYTES + page - 1) / page;

	return (pages | 1) * page;
}

#endif
