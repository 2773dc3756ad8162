/* emulated.h - for programs that run here by grace of qemu-user, which translates system calls, or
 * of qemu-system, beneath a kernel of their own. The same program runs under both. */
#ifndef TESTS_EMULATED_H
#define TESTS_EMULATED_H

#include <stdbool.h>
#include <sys/mman.h>

/* Is qemu-user the kernel? It says yes to advice that does not exist. */
static inline bool emulated_kernel(void)
{
	enum { NO_SUCH_ADVICE = 9999 };

	return madvise((void *)0, 0, NO_SUCH_ADVICE) == 0;
}

#endif
