/* others.h - a fiber that goes on beside what is tested: proof that its worker is not held up. */
#ifndef TESTS_OTHERS_H
#define TESTS_OTHERS_H

#include <fiber.h>
#include <stdatomic.h>

struct other {
	_Atomic bool stop;
	_Atomic unsigned turns;
};

/* For fiber_spawn. */
static inline int other_goes_on(void *arg)
{
	struct other *o = arg;

	while (!atomic_load(&o->stop)) {
		atomic_fetch_add(&o->turns, 1);
		fiber_yield();
	}
	return 0;
}

/* Returns when it had a hundred turns more: with one worker, on this very one. */
static inline void others_go_on(struct other *o)
{
	unsigned before = atomic_load(&o->turns);

	while (atomic_load(&o->turns) < before + 100)
		fiber_yield();
}

#endif
