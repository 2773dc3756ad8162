/* waits.h - fibers of a test: starting one, and knowing that it waits. cr_expect only. */
#ifndef TESTS_WAITS_H
#define TESTS_WAITS_H

#include <criterion/criterion.h>
#include <fiber.h>
#include <string.h>

static inline fiber_t spawned(fiber_fn *fn, void *arg)
{
	fiber_t f = { 0 };

	cr_expect(fiber_spawn(&f, NULL, fn, arg) == 0);
	return f;
}

/* Returns when the fiber waits for that (fiber_info_t.waits_for): what comes next ends it. */
static inline void until_it_waits_for(fiber_t f, const char *what)
{
	fiber_info_t info;
	int r;

	do {
		fiber_yield();
		r = fiber_info(f, &info);
	} while (r == 0 && strcmp(info.waits_for, what) != 0);
	cr_expect(r == 0, "it ended before it waited for %s", what);
}

static inline int result_of(fiber_t f)
{
	int result = -1, r = fiber_join(f, &result);

	cr_expect(r == 0);
	return result;
}

#endif
