/* Events: all who wait go on, and nobody misses it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/sync.h>
#include <stdlib.h>
#include <string.h>

#include "on_a_thread.h"
#include "worlds.h"

enum { ACTORS = 6 };

static int wait_for_it(void *e)
{
	return fiber_event_wait(e);
}

static int set_it(void *e)
{
	fiber_event_set(e);
	return 0;
}

static int all_go_on(void *world)
{
	fiber_event_t e = FIBER_EVENT_INIT;
	struct actor actors[ACTORS];

	for (unsigned i = 0; i < ACTORS; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i, wait_for_it, &e);
	until_waiting(&e, ACTORS);
	cr_expect(fiber_event_destroy(&e) == -EBUSY);
	fiber_event_set(&e);
	cr_expect(waiting_for(&e) == 0);
	cr_expect(fiber_event_wait(&e) == 0, "it has happened");
	cr_expect(fiber_event_wait_until(&e, 0) == 0);
	fiber_event_reset(&e);
	cr_expect(fiber_event_wait_until(&e, 0) == -ETIMEDOUT, "it was reset");
	cr_expect(actors_end(actors, ACTORS) == 0, "a reset took back who was let go on");
	fiber_event_set(&e);
	fiber_event_set(&e);
	cr_expect(fiber_event_wait(&e) == 0);
	cr_expect(fiber_event_destroy(&e) == 0);
	return 0;
}

Test(event, it_lets_all_go_on_until_it_is_reset, .timeout = 60)
{
	law_holds_in_all_worlds(all_go_on);
}

/*	setter                    waiter
 *	                          reset
 *	now = i
 *	                          now != last?
 *	set                       no: wait          <- one of the two sees what the other did
 *	until seen == i           last = seen = i      Nobody sets it again meanwhile */
struct condition {
	fiber_event_t changed;
	_Alignas(64) atomic_uint now; /* on lines of their own, so that a store may come late */
	_Alignas(64) atomic_uint seen;
	_Alignas(64) unsigned rounds;
};

static void idle(unsigned turns)
{
	while (turns-- > 0)
		__asm__ volatile("");
}

static int change(void *arg)
{
	struct condition *c = arg;

	for (unsigned i = 1; i <= c->rounds; i++) {
		atomic_store_explicit(&c->now, i, memory_order_relaxed);
		fiber_event_set(&c->changed);
		for (unsigned n = 0; n < 1000 && atomic_load(&c->seen) != i; n++)
			;
		UNTIL(atomic_load(&c->seen) == i);
	}
	return 0;
}

static int await_changes(void *arg)
{
	struct condition *c = arg;
	unsigned last = 0, now;
	int r = 0;

	while (r == 0 && last < c->rounds) {
		idle(last % 1000); /* sometimes the reset comes just when the other one sets */
		fiber_event_reset(&c->changed);
		now = atomic_load_explicit(&c->now, memory_order_relaxed);
		if (now == last)
			r = fiber_event_wait(&c->changed);
		last = now;
		atomic_store_explicit(&c->seen, last, memory_order_relaxed);
	}
	return r;
}

static int none_is_missed(void *world)
{
	struct condition c = { .rounds = law_rounds(20000) };
	struct actor actors[2];

	actor_start(&actors[0], (enum world)(intptr_t)world, 0, await_changes, &c);
	actor_start(&actors[1], (enum world)(intptr_t)world, 1, change, &c);
	cr_expect(actors_end(actors, 2) == 0);
	return 0;
}

Test(event, reset_and_look_misses_no_set, .timeout = 60)
{
	law_holds_in_all_worlds(none_is_missed);
}

static int on_the_heap(void *world)
{
	for (unsigned i = law_rounds(500); i > 0; i--) {
		fiber_event_t *e = calloc(1, sizeof *e);
		struct actor setter;

		actor_start(&setter, (enum world)(intptr_t)world, 1, set_it, e);
		cr_expect(fiber_event_wait(e) == 0);
		memset(e, 0xa5, sizeof *e);
		free(e);
		cr_expect(actor_end(&setter) == 0);
	}
	return 0;
}

Test(event, its_memory_may_go_after_the_wait, .timeout = 60)
{
	law_holds_in_all_worlds(on_the_heap);
}

/* ---- interruption -----------------------------------------------------------------------------*/
static int wait_a_little(void *e)
{
	return fiber_event_wait_until(e, fiber_after(FIBER_MILLISECOND));
}

static int wait_under_a_deadline(void *e)
{
	return (int)FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_event_wait(e));
}

static int wait_though_canceled(void *e)
{
	fiber_cancel(fiber_self());
	return fiber_event_wait(e);
}

static int interrupted(void *world)
{
	enum world w = (enum world)(intptr_t)world;
	fiber_event_t e = FIBER_EVENT_INIT;
	struct actor a;

	actor_start(&a, w, 1, wait_a_little, &e);
	cr_expect(actor_end(&a) == -ETIMEDOUT);
	actor_start(&a, w, 1, wait_under_a_deadline, &e);
	cr_expect(actor_end(&a) == -ETIMEDOUT, "by its scope");
	cr_expect(waiting_for(&e) == 0);
	if (w == FIBERS) {
		actor_start(&a, w, 0, wait_for_it, &e);
		until_waiting(&e, 1);
		fiber_cancel(a.fiber);
		cr_expect(actor_end(&a) == -ECANCELED);
		fiber_event_set(&e);
		cr_expect(result_of(spawned(wait_though_canceled, &e)) == -ECANCELED);
	}
	cr_expect(fiber_event_destroy(&e) == 0);
	return 0;
}

Test(event, time_deadline_and_cancellation_end_a_wait, .timeout = 60)
{
	law_holds_in_all_worlds(interrupted);
}

static int misuse(void *arg)
{
	fiber_event_t e;

	(void)arg;
	memset(&e, 0xff, sizeof e);
	cr_expect(fiber_event_init(&e) == 0);
	cr_expect(fiber_event_wait_until(&e, 0) == -ETIMEDOUT);
	cr_expect(fiber_event_init(NULL) == -EINVAL);
	cr_expect(fiber_event_destroy(NULL) == -EINVAL);
	cr_expect(fiber_event_wait(NULL) == -EINVAL);
	cr_expect(fiber_event_wait_until(NULL, 0) == -EINVAL);
	fiber_event_set(NULL);
	fiber_event_reset(NULL);
	return 0;
}

Test(event, misuse_has_a_clear_answer, .timeout = 20)
{
	on_a_thread(misuse, NULL);
	law_holds(misuse, NULL);
}
