/* Who gets a lock next: whoever runs, in order, and after a millisecond by hand-over. Where a law
 * says after which step nobody else has run, there is one worker. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/sync.h>

#include "worlds.h"

static int lock_and_unlock(void *m)
{
	int r = fiber_mutex_lock(m);

	return r != 0 ? r : fiber_mutex_unlock(m);
}

static int lock_until_and_unlock(void *m)
{
	int r = fiber_mutex_lock_until(m, FIBER_NEVER);

	return r != 0 ? r : fiber_mutex_unlock(m);
}

/* ---- whoever runs -----------------------------------------------------------------------------*/
/*	holder              waiter
 *	lock
 *	                    lock: waits
 *	unlock: wakes it
 *	lock                                   <- it is free until the waiter has run
 *	yield               tries, waits on
 *	unlock: wakes it
 *	yield               has it */
static int free_for_all(void *arg)
{
	fiber_mutex_t m = FIBER_MUTEX_INIT;
	fiber_t f;

	(void)arg;
	fiber_mutex_lock(&m);
	f = spawned(lock_and_unlock, &m);
	until_waiting(&m, 1);
	fiber_mutex_unlock(&m);
	cr_expect(waiting_for(&m) == 0, "the waiter was not woken");
	cr_expect(fiber_mutex_destroy(&m) == -EBUSY, "it is on its way");
	cr_expect(fiber_mutex_trylock(&m) == 0);
	until_waiting(&m, 1);
	fiber_mutex_unlock(&m);
	cr_expect(result_of(f) == 0);
	cr_expect(fiber_mutex_destroy(&m) == 0);
	return 0;
}

Test(next, an_unlocked_mutex_is_free_for_whoever_runs, .timeout = 20)
{
	cr_expect(law_run(1, free_for_all, NULL) == 0);
}

/*	holder                         waiters
 *	unlock: wakes the oldest
 *	lock; unlock; lock; unlock                <- wakes nobody: one is on its way
 *	yield                          has it, wakes the next ... */
static int one_on_its_way(void *arg)
{
	fiber_mutex_t m = FIBER_MUTEX_INIT;
	fiber_t f[5];

	(void)arg;
	fiber_mutex_lock(&m);
	for (int i = 0; i < 5; i++)
		f[i] = spawned(lock_and_unlock, &m);
	until_waiting(&m, 5);
	for (int i = 0; i < 20; i++) {
		fiber_mutex_unlock(&m);
		cr_expect(waiting_for(&m) == 4, "%u", waiting_for(&m));
		cr_expect(fiber_mutex_trylock(&m) == 0);
	}
	fiber_mutex_unlock(&m);
	for (int i = 0; i < 5; i++)
		cr_expect(result_of(f[i]) == 0);
	return 0;
}

Test(next, one_woken_waiter_at_a_time_is_on_its_way, .timeout = 20)
{
	cr_expect(law_run(1, one_on_its_way, NULL) == 0);
}

/* ---- in order ---------------------------------------------------------------------------------*/
static fiber_mutex_t ordered;
static int order[5];
static unsigned came;

static int note_order(void *arg)
{
	fiber_mutex_lock(&ordered);
	order[came++] = (int)(intptr_t)arg;
	fiber_mutex_unlock(&ordered);
	return 0;
}

/* The first of them is passed over some times before; that does not cost it its place. */
static int oldest_first(void *arg)
{
	fiber_t f[5];
	bool ours = true;

	(void)arg;
	came = 0;
	fiber_mutex_lock(&ordered);
	for (intptr_t i = 0; i < 5; i++) {
		f[i] = spawned(note_order, (void *)i);
		until_waiting(&ordered, (unsigned)i + 1);
	}
	for (int i = 0; i < 3 && ours; i++) {
		fiber_mutex_unlock(&ordered);
		/* Not where a millisecond has gone by: then it was handed to the first. */
		ours = fiber_mutex_trylock(&ordered) == 0;
		if (ours)
			until_waiting(&ordered, 5);
	}
	if (ours)
		fiber_mutex_unlock(&ordered);
	for (int i = 0; i < 5; i++)
		cr_expect(result_of(f[i]) == 0);
	for (int i = 0; i < 5; i++)
		cr_expect(order[i] == i, "%d came as number %d", order[i], i);
	return 0;
}

Test(next, waiters_go_on_in_the_order_in_which_they_came, .timeout = 20)
{
	cr_expect(law_run(1, oldest_first, NULL) == 0);
}

/* ---- after a millisecond ----------------------------------------------------------------------*/
/*	holder              waiter
 *	unlock; lock
 *	yield               tries in vain      <- from here its millisecond runs
 *	unlock; lock ...
 *	unlock: hands it over
 *	trylock: -EBUSY, although nobody else has run */
static int handed_over(void *arg)
{
	fiber_mutex_t m = FIBER_MUTEX_INIT;
	unsigned passed_over = 0;
	int64_t begin;
	fiber_t f;

	fiber_mutex_lock(&m);
	f = spawned(arg ? lock_until_and_unlock : lock_and_unlock, &m);
	until_waiting(&m, 1);
	begin = fiber_now();
	for (;; passed_over++) {
		fiber_mutex_unlock(&m);
		if (fiber_mutex_trylock(&m) != 0)
			break;
		fiber_yield();
	}
	cr_expect(fiber_now() - begin >= FIBER_MILLISECOND, "after %d ns",
		  (int)(fiber_now() - begin));
	/* In one to two milliseconds, so many times at the very most. */
	cr_expect(passed_over > 1 && passed_over < 400000, "passed over %u times", passed_over);
	if (arg) /* what was handed to it is its own, whatever comes now */
		fiber_cancel(f);
	cr_expect(result_of(f) == 0);
	cr_expect(fiber_mutex_destroy(&m) == 0);
	return 0;
}

Test(next, a_waiter_of_one_millisecond_gets_the_lock, .timeout = 20)
{
	cr_expect(law_run(1, handed_over, NULL) == 0);
}

Test(next, an_interruption_does_not_take_back_what_was_handed_over, .timeout = 20)
{
	cr_expect(law_run(1, handed_over, "") == 0);
}

/* The holder rests only while it holds it. */
static int against_a_glutton(void *world)
{
	fiber_mutex_t m = FIBER_MUTEX_INIT;
	struct actor actors[4];
	bool all = false;

	for (unsigned i = 0; i < 4; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i, lock_and_unlock, &m);
	while (!all) {
		fiber_mutex_lock(&m);
		fiber_sleep(50 * FIBER_MICROSECOND);
		all = true;
		for (unsigned i = 0; i < 4; i++)
			all = all && atomic_load(&actors[i].over);
		fiber_mutex_unlock(&m);
	}
	cr_expect(actors_end(actors, 4) == 0);
	return 0;
}

Test(next, who_takes_it_again_and_again_starves_nobody, .timeout = 60)
{
	law_holds_in_all_worlds(against_a_glutton);
}

/* ---- interrupted on its way -------------------------------------------------------------------*/
/*	holder              first               second
 *	                    lock_until: waits
 *	                                        lock: waits
 *	unlock: wakes it
 *	lock
 *	cancel first
 *	yield               in vain: -ECANCELED
 *	unlock                                  <- is woken, though the first had its place */
static int woken_then_canceled(void *arg)
{
	fiber_mutex_t m = FIBER_MUTEX_INIT;
	fiber_t first, second;

	(void)arg;
	fiber_mutex_lock(&m);
	first = spawned(lock_until_and_unlock, &m);
	until_waiting(&m, 1);
	second = spawned(lock_and_unlock, &m);
	until_waiting(&m, 2);
	fiber_mutex_unlock(&m);
	cr_expect(fiber_mutex_trylock(&m) == 0);
	fiber_cancel(first);
	cr_expect(result_of(first) == -ECANCELED);
	cr_expect(waiting_for(&m) == 1);
	fiber_mutex_unlock(&m);
	cr_expect(result_of(second) == 0);
	return 0;
}

Test(next, who_is_canceled_on_its_way_takes_no_wake_up_along, .timeout = 20)
{
	cr_expect(law_run(1, woken_then_canceled, NULL) == 0);
}

/*	holder              waiter
 *	cancel it                              <- has ended its wait, but it has not run yet
 *	unlock: drops it from the queue
 *	destroy: -EBUSY                        <- because it will look at the queue once more
 *	join                -ECANCELED */
static int not_gone_yet(void *arg)
{
	fiber_mutex_t m = FIBER_MUTEX_INIT;
	fiber_t f;

	(void)arg;
	fiber_mutex_lock(&m);
	f = spawned(lock_until_and_unlock, &m);
	until_waiting(&m, 1);
	fiber_cancel(f);
	fiber_mutex_unlock(&m);
	cr_expect(waiting_for(&m) == 0);
	cr_expect(fiber_mutex_destroy(&m) == -EBUSY);
	cr_expect(result_of(f) == -ECANCELED);
	cr_expect(fiber_mutex_destroy(&m) == 0);
	return 0;
}

Test(next, it_is_in_use_until_an_interrupted_waiter_has_left, .timeout = 20)
{
	cr_expect(law_run(1, not_gone_yet, NULL) == 0);
}
