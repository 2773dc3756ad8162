/* until.h - waiting for something that other fibers or threads bring about, and that has no call to
 * wait for. Polite: on a machine with few processors a fiber that only yields would keep its thread
 * running, and the thread that is waited for off the processor. */
#ifndef TESTS_UNTIL_H
#define TESTS_UNTIL_H

#include <fiber.h>
#include <string.h>

/* The nth look was in vain. Works in cancelled fibers and under deadlines that have passed. */
static inline void until_pause(unsigned n)
{
	fiber_scope_t shield;

	if (n < 30) {
		fiber_yield();
		return;
	}
	fiber_shield(&shield, FIBER_NEVER);
	fiber_sleep((n < 100 ? 20 : 500) * FIBER_MICROSECOND);
	fiber_scope_end(&shield, 0);
}

#define UNTIL(condition)                                                                           \
	for (unsigned until_looks = 0; !(condition); until_looks++)                                \
	until_pause(until_looks)

static inline bool until_waits_for(fiber_t f, const char *what)
{
	fiber_info_t info;

	return fiber_info(f, &info) != 0 || strcmp(info.waits_for, what) == 0;
}

/* Until the fiber waits for "park", "join", ..., or is gone. */
static inline void until_it_waits_for(fiber_t f, const char *what)
{
	UNTIL(until_waits_for(f, what));
}

static inline void until_gone(fiber_t f)
{
	fiber_info_t info;

	UNTIL(fiber_info(f, &info) != 0);
}

#endif
