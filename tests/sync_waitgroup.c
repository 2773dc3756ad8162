/* Wait groups: nobody goes on before the count is zero, and everybody does then. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/sync.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "on_a_thread.h"
#include "worlds.h"

static int wait_for_all(void *g)
{
	return fiber_waitgroup_wait(g);
}

/* ---- counting ---------------------------------------------------------------------------------*/
struct work {
	fiber_waitgroup_t group;
	atomic_uint finished;
};

static int finish_one(void *arg)
{
	struct work *w = arg;

	fiber_yield();
	atomic_fetch_add_explicit(&w->finished, 1, memory_order_relaxed);
	return fiber_waitgroup_done(&w->group);
}

static int wait_and_look(void *arg)
{
	struct work *w = arg;
	int r = fiber_waitgroup_wait(&w->group);

	return r != 0 ? r : w->finished == 20 ? 0 : -1;
}

static int waits_for_all(void *world)
{
	struct actor workers[20], waiters[3];
	struct work w = { .finished = 0 };

	cr_expect(fiber_waitgroup_wait(&w.group) == 0, "nothing to wait for");
	cr_expect(fiber_waitgroup_add(&w.group, 20) == 0);
	for (unsigned i = 0; i < 3; i++)
		actor_start(&waiters[i], (enum world)(intptr_t)world, i, wait_and_look, &w);
	until_waiting(&w.group, 3);
	cr_expect(fiber_waitgroup_destroy(&w.group) == -EBUSY);
	for (unsigned i = 0; i < 20; i++)
		actor_start(&workers[i], (enum world)(intptr_t)world, i, finish_one, &w);
	cr_expect(actors_end(waiters, 3) == 0, "before all were done");
	cr_expect(actors_end(workers, 20) == 0);
	cr_expect(fiber_waitgroup_destroy(&w.group) == 0);
	return 0;
}

Test(waitgroup, all_wait_until_the_count_is_zero, .timeout = 60)
{
	law_holds_in_all_worlds(waits_for_all);
}

static int below_and_above(void *arg)
{
	fiber_waitgroup_t g = FIBER_WAITGROUP_INIT;

	(void)arg;
	cr_expect(fiber_waitgroup_done(&g) == -EINVAL, "below zero");
	cr_expect(fiber_waitgroup_add(&g, 3) == 0);
	cr_expect(fiber_waitgroup_add(&g, -4) == -EINVAL);
	cr_expect(fiber_waitgroup_add(&g, INT_MIN) == -EINVAL);
	cr_expect(fiber_waitgroup_add(&g, 0) == 0);
	cr_expect(fiber_waitgroup_add(&g, INT_MAX) == -EOVERFLOW);
	cr_expect(fiber_waitgroup_add(&g, INT_MAX - 3) == 0);
	cr_expect(fiber_waitgroup_add(&g, 1) == -EOVERFLOW);
	cr_expect(fiber_waitgroup_wait_until(&g, 0) == -ETIMEDOUT);
	cr_expect(fiber_waitgroup_add(&g, -INT_MAX) == 0, "what failed has changed nothing");
	cr_expect(fiber_waitgroup_wait_until(&g, 0) == 0);
	return 0;
}

Test(waitgroup, the_count_goes_neither_below_zero_nor_above_its_end, .timeout = 20)
{
	on_a_thread(below_and_above, NULL);
	law_holds(below_and_above, NULL);
}

/*	worker 1, 2            waiter
 *	                       count 2
 *	done
 *	                       wait
 *	done                   goes on; the group is gone    <- perhaps before done has returned */
static int done_with_it(void *g)
{
	return fiber_waitgroup_done(g);
}

static int on_the_heap(void *world)
{
	for (unsigned i = law_rounds(500); i > 0; i--) {
		fiber_waitgroup_t *g = calloc(1, sizeof *g);
		struct actor workers[2];

		fiber_waitgroup_add(g, 2);
		for (unsigned k = 0; k < 2; k++)
			actor_start(&workers[k], (enum world)(intptr_t)world, k, done_with_it, g);
		cr_expect(fiber_waitgroup_wait(g) == 0);
		memset(g, 0xa5, sizeof *g);
		free(g);
		cr_expect(actors_end(workers, 2) == 0);
	}
	return 0;
}

Test(waitgroup, its_memory_may_go_after_the_wait, .timeout = 60)
{
	law_holds_in_all_worlds(on_the_heap);
}

/* ---- interruption and misuse ------------------------------------------------------------------*/
static int wait_a_little(void *g)
{
	return fiber_waitgroup_wait_until(g, fiber_after(FIBER_MILLISECOND));
}

static int wait_under_a_deadline(void *g)
{
	return (int)FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_waitgroup_wait(g));
}

static int wait_though_canceled(void *g)
{
	fiber_cancel(fiber_self());
	return fiber_waitgroup_wait(g);
}

static int interrupted(void *world)
{
	enum world w = (enum world)(intptr_t)world;
	fiber_waitgroup_t g = FIBER_WAITGROUP_INIT;
	struct actor a;

	fiber_waitgroup_add(&g, 1);
	actor_start(&a, w, 1, wait_a_little, &g);
	cr_expect(actor_end(&a) == -ETIMEDOUT);
	actor_start(&a, w, 1, wait_under_a_deadline, &g);
	cr_expect(actor_end(&a) == -ETIMEDOUT, "by its scope");
	cr_expect(waiting_for(&g) == 0);
	if (w == FIBERS) {
		actor_start(&a, w, 0, wait_for_all, &g);
		until_waiting(&g, 1);
		fiber_cancel(a.fiber);
		cr_expect(actor_end(&a) == -ECANCELED);
	}
	fiber_waitgroup_done(&g);
	if (w == FIBERS)
		cr_expect(result_of(spawned(wait_though_canceled, &g)) == -ECANCELED);
	cr_expect(fiber_waitgroup_wait(&g) == 0);
	return 0;
}

Test(waitgroup, time_deadline_and_cancellation_end_a_wait, .timeout = 60)
{
	law_holds_in_all_worlds(interrupted);
}

static int misuse(void *arg)
{
	fiber_waitgroup_t g;

	(void)arg;
	memset(&g, 0xff, sizeof g);
	cr_expect(fiber_waitgroup_init(&g) == 0);
	cr_expect(fiber_waitgroup_wait(&g) == 0);
	cr_expect(fiber_waitgroup_init(NULL) == -EINVAL);
	cr_expect(fiber_waitgroup_destroy(NULL) == -EINVAL);
	cr_expect(fiber_waitgroup_add(NULL, 1) == -EINVAL);
	cr_expect(fiber_waitgroup_done(NULL) == -EINVAL);
	cr_expect(fiber_waitgroup_wait(NULL) == -EINVAL);
	cr_expect(fiber_waitgroup_wait_until(NULL, 0) == -EINVAL);
	return 0;
}

Test(waitgroup, misuse_has_a_clear_answer, .timeout = 20)
{
	on_a_thread(misuse, NULL);
	law_holds(misuse, NULL);
}
