/* expect.h - checks for programs without Criterion: they say what did not hold, and the program
 * goes on; its status is expect_status() in the end. From any thread and fiber. */
#ifndef TESTS_EXPECT_H
#define TESTS_EXPECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

static _Atomic unsigned expect_failures;

#define EXPECT(x) expect(x, #x, __FILE__, __LINE__)

static inline void expect(bool held, const char *what, const char *file, int line)
{
	if (held)
		return;
	atomic_fetch_add_explicit(&expect_failures, 1, memory_order_relaxed);
	/* Not stderr: some programs look at what the library says there. */
	printf("%s:%d: does not hold: %s\n", file, line, what);
	fflush(stdout);
}

static inline int expect_status(void)
{
	return atomic_load_explicit(&expect_failures, memory_order_relaxed) ? 1 : 0;
}

#endif
