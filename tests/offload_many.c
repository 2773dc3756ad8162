/* Ten thousand calls at once, of every kind, cancelled at random: each is made once or not at all,
 * its caller knows which, and what was given up was given up once. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <fiber/io.h>

#include "law.h"
#include "worlds.h"

enum { MANY = 10000 };

/* Static: calls that are left behind may be made after the crowd is gone. */
static struct call {
	_Atomic int called, released;
	int kind, result;
	fiber_t fiber;
} calls[MANY];

static int calls_it(void *arg)
{
	struct call *c = arg;
	volatile int work = 0;

	for (int i = 0; i < 1000; i++)
		work += i;
	return atomic_fetch_add(&c->called, 1) + 1;
}

static void releases_it(void *arg)
{
	struct call *c = arg;

	atomic_fetch_add(&c->released, 1);
}

static int blocks_itself(struct call *c)
{
	int r = fiber_blocking_begin();

	if (r < 0)
		return r;
	r = calls_it(c);
	fiber_blocking_end();
	return r;
}

static int one_of_many(void *arg)
{
	struct call *c = arg;
	int error;

	switch (c->kind) {
	case 0:
		return c->result = fiber_offload(calls_it, c);
	case 1:
		return c->result = fiber_offload_errno(calls_it, c, &error);
	case 2:
		return c->result = blocks_itself(c);
	default:
		return c->result = fiber_offload_leave(calls_it, c, releases_it);
	}
}

static void expect_exact(unsigned i)
{
	struct call *c = &calls[i];
	int called = atomic_load(&c->called);

	cr_expect(called <= 1);
	cr_expect(c->result == 1 || c->result == -ECANCELED, "%u: %d", i, c->result);
	if (c->kind < 3)
		cr_expect((c->result == 1) == (called == 1), "%u: kind %d", i, c->kind);
	else
		cr_expect(c->result != 1 || called == 1);
}

static int crowd(void *arg)
{
	unsigned cancelled = 0;
	uint64_t state = *(uint64_t *)arg;
	fiber_stats_t stats;

	for (unsigned i = 0; i < MANY; i++) {
		calls[i] = (struct call){ .kind = (int)(law_random(&state) % 4) };
		cr_expect(fiber_spawn(&calls[i].fiber, NULL, one_of_many, &calls[i]) == 0);
		if (law_random(&state) % 4 == 0)
			fiber_cancel(calls[law_random(&state) % (i + 1)].fiber);
		if (law_random(&state) % 64 == 0)
			fiber_yield();
	}
	for (unsigned i = 0; i < MANY; i++) {
		if (law_random(&state) % 3 == 0)
			fiber_cancel(calls[i].fiber);
		cr_expect(fiber_join(calls[i].fiber, NULL) == 0);
		cancelled += calls[i].result == -ECANCELED;
		expect_exact(i);
	}
	cr_expect(cancelled > 0);
	for (unsigned i = 0; i < MANY; i++)
		UNTIL(calls[i].kind < 3 || atomic_load(&calls[i].released) == 1);
	cr_expect(fiber_stats(NULL, &stats) == 0);
	cr_expect(stats.offload_queued == 0);
	return 0;
}

Test(offload_many, each_is_made_once_or_not_at_all, .timeout = 240)
{
	uint64_t seed = law_seed();

	law_holds(crowd, &seed);
	law_holds_with(&(fiber_options_t){ .helpers_max = 4 }, crowd, &seed);
}
