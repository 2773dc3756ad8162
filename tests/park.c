/* Park and unpark: a permit, one at most, that ends no other kind of wait; and sleeping. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "law.h"
#include "until.h"

static fiber_t spawn(fiber_fn *fn, void *arg)
{
	fiber_t f = { 0 };

	cr_expect(fiber_spawn(&f, NULL, fn, arg) == 0);
	return f;
}

static int result_of(fiber_t f)
{
	int result = 0, r = fiber_join(f, &result);

	return r < 0 ? r : result;
}

/* One that is there already, or none: a park that may not wait. */
static int take_permit(void)
{
	return (int)FIBER_TIMEOUT(0, fiber_park());
}

/* ---- the permit -------------------------------------------------------------------------------*/
static int permits(void *arg)
{
	(void)arg;
	cr_expect(take_permit() == -ETIMEDOUT);
	cr_expect(fiber_unpark(fiber_self()) == 0);
	cr_expect(fiber_park() == 0);
	for (int i = 0; i < 100; i++)
		cr_expect(fiber_unpark(fiber_self()) == 0);
	cr_expect(fiber_park() == 0);
	cr_expect(take_permit() == -ETIMEDOUT, "more than one was kept");
	return 0;
}

Test(park, an_unpark_that_came_first_is_kept_and_one_only, .timeout = 20)
{
	law_holds(permits, NULL);
}

static _Atomic unsigned parks;

static int park_twice(void *arg)
{
	for (int i = 0; i < 2; i++) {
		if (fiber_park() != 0)
			return -1;
		atomic_fetch_add(&parks, 1);
	}
	return (int)(intptr_t)arg;
}

static int before_the_first_run(void *arg)
{
	for (int i = 0; i < 200; i++) {
		fiber_t f;

		atomic_store(&parks, 0);
		f = spawn(park_twice, arg);
		cr_expect(fiber_unpark(f) == 0);
		UNTIL(atomic_load(&parks) == 1);
		cr_expect(fiber_unpark(f) == 0);
		cr_expect(result_of(f) == 0);
	}
	return 0;
}

Test(park, an_unpark_before_the_first_run_is_kept, .timeout = 20)
{
	law_holds(before_the_first_run, NULL);
}

static int no_permit_is_inherited(void *arg)
{
	fiber_t f = spawn(park_twice, NULL);

	(void)arg;
	cr_expect(fiber_unpark(f) == 0);
	until_it_waits_for(f, "park");
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -1);
	for (int i = 0; i < 100; i++) { /* in the same block, before long */
		f = spawn(park_twice, NULL);
		until_it_waits_for(f, "park");
		cr_expect(fiber_cancel(f) == 0);
		cr_expect(result_of(f) == -1);
	}
	return 0;
}

Test(park, neither_permit_nor_cancellation_is_inherited_by_the_next_life, .timeout = 20)
{
	law_holds(no_permit_is_inherited, NULL);
}

/* ---- other kinds of wait ----------------------------------------------------------------------*/
static int sleep_long(void *arg)
{
	int64_t before = fiber_now();

	cr_expect(fiber_sleep((intptr_t)arg * FIBER_MILLISECOND) == 0);
	cr_expect(fiber_now() - before >= (intptr_t)arg * FIBER_MILLISECOND, "it slept too little");
	cr_expect(fiber_park() == 0); /* the permit is still there */
	return take_permit() == -ETIMEDOUT ? 0 : -1;
}

static int during_a_sleep(void *arg)
{
	fiber_t f = spawn(sleep_long, (void *)30);

	(void)arg;
	until_it_waits_for(f, "sleep");
	for (int i = 0; i < 3; i++)
		cr_expect(fiber_unpark(f) == 0);
	return result_of(f);
}

Test(park, an_unpark_ends_no_sleep, .timeout = 20)
{
	law_holds(during_a_sleep, NULL);
}

static int join_then_park(void *arg)
{
	cr_expect(fiber_join(*(fiber_t *)arg, NULL) == 0);
	cr_expect(fiber_park() == 0);
	return take_permit() == -ETIMEDOUT ? 0 : -1;
}

static int during_a_join(void *arg)
{
	fiber_t awaited = spawn(park_twice, NULL), f = spawn(join_then_park, &awaited);

	(void)arg;
	until_it_waits_for(f, "join");
	for (int i = 0; i < 100; i++) {
		cr_expect(fiber_unpark(f) == 0);
		fiber_yield();
	}
	until_it_waits_for(f, "join");
	atomic_store(&parks, 0);
	cr_expect(fiber_unpark(awaited) == 0);
	UNTIL(atomic_load(&parks) == 1);
	cr_expect(fiber_unpark(awaited) == 0);
	return result_of(f);
}

Test(park, an_unpark_ends_no_join, .timeout = 20)
{
	law_holds(during_a_join, NULL);
}

/* ---- interruptions ----------------------------------------------------------------------------*/
static int cancelled_with_a_permit(void *arg)
{
	fiber_scope_t shield;

	(void)arg;
	fiber_unpark(fiber_self());
	fiber_cancel(fiber_self());
	for (int i = 0; i < 3; i++)
		cr_expect(fiber_park() == -ECANCELED, "law 1: before any effect");
	fiber_shield(&shield, FIBER_NEVER);
	cr_expect(fiber_park() == 0, "the permit was lost");
	cr_expect(take_permit() == -ETIMEDOUT);
	return (int)fiber_scope_end(&shield, 0);
}

static int known_before(void *arg)
{
	(void)arg;
	return result_of(spawn(cancelled_with_a_permit, NULL));
}

Test(park, a_cancellation_already_known_leaves_the_permit, .timeout = 20)
{
	law_holds(known_before, NULL);
}

static int park_until_cancelled(void *arg)
{
	int r = fiber_park();

	cr_expect(fiber_park() == r, "it is sticky");
	cr_expect(fiber_sleep(FIBER_SECOND) == r);
	return r == -ECANCELED ? (int)(intptr_t)arg : r;
}

static int cancelled_while_parked(void *arg)
{
	fiber_t f = spawn(park_until_cancelled, (void *)7);

	(void)arg;
	until_it_waits_for(f, "park");
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == 7);
	f = spawn(park_until_cancelled, (void *)8); /* before its first run */
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == 8);
	return 0;
}

Test(park, cancellation_ends_it_and_lasts, .timeout = 20)
{
	law_holds(cancelled_while_parked, NULL);
}

/* ---- from elsewhere ---------------------------------------------------------------------------*/
static void *unpark_from_a_thread(void *arg)
{
	while (fiber_unpark(*(fiber_t *)arg) == 0)
		fiber_yield();
	return NULL;
}

static int park_often(void *arg)
{
	for (int i = 0; i < 1000; i++)
		if (fiber_park() != 0)
			return -1;
	return (int)(intptr_t)arg;
}

static int from_a_plain_thread(void *arg)
{
	fiber_t f = spawn(park_often, arg);
	pthread_t thread;

	cr_expect(!pthread_create(&thread, NULL, unpark_from_a_thread, &f));
	cr_expect(result_of(f) == 0);
	pthread_join(thread, NULL);
	return 0;
}

Test(park, a_plain_thread_unparks, .timeout = 30)
{
	law_holds(from_a_plain_thread, NULL);
}

Test(park, a_plain_thread_cannot_park, .timeout = 10)
{
	cr_expect(fiber_park() == -EPERM);
	cr_expect(fiber_unpark((fiber_t){ 0 }) == -ESRCH);
	cr_expect(fiber_unpark((fiber_t){ UINT64_MAX }) == -ESRCH);
}

/* ---- sleeping ---------------------------------------------------------------------------------*/
static int odd_sleeps(void *arg)
{
	static const int64_t none[] = { 0, -1, INT64_MIN, INT64_MIN + 1 };
	fiber_t f;

	(void)arg;
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		cr_expect(fiber_sleep(none[i]) == 0);
		cr_expect(fiber_sleep_until(none[i]) == 0);
	}
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_sleep(INT64_MAX)) == -ETIMEDOUT);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_sleep_until(FIBER_NEVER)) == -ETIMEDOUT);
	cr_expect(FIBER_TIMEOUT(INT64_MAX, fiber_sleep(FIBER_MILLISECOND)) == 0);
	f = spawn(park_until_cancelled, NULL);
	until_it_waits_for(f, "park");
	fiber_cancel(f);
	return result_of(f);
}

Test(park, sleeps_of_any_length_make_sense, .timeout = 20)
{
	law_holds(odd_sleeps, NULL);
}

struct sleeper {
	int64_t when;
	unsigned turn, *turns;
};

static int sleep_then_note(void *arg)
{
	struct sleeper *s = arg;

	cr_expect(fiber_sleep_until(s->when) == 0);
	s->turn = (*s->turns)++;
	return 0;
}

enum { SLEEPERS = 5 };
static const unsigned order[SLEEPERS] = { 4, 2, 0, 3, 1 };

/* False: the first one's time came before all slept, so that their turns say nothing. */
static bool all_slept_in_time(struct sleeper *s)
{
	int64_t now = fiber_now();
	fiber_t f[SLEEPERS];
	bool in_time;

	for (int i = 0; i < SLEEPERS; i++) {
		s[i].when = now + (20 + order[i]) * FIBER_MILLISECOND;
		f[i] = spawn(sleep_then_note, &s[i]);
	}
	for (int i = 0; i < SLEEPERS; i++)
		fiber_yield(); /* one worker: each begins to sleep */
	in_time = fiber_now() < now + 20 * FIBER_MILLISECOND;
	for (int i = 0; i < SLEEPERS; i++)
		cr_expect(result_of(f[i]) == 0);
	return in_time;
}

static int in_order(void *arg)
{
	struct sleeper s[SLEEPERS];
	unsigned turns;

	(void)arg;
	do {
		turns = 0;
		for (int i = 0; i < SLEEPERS; i++)
			s[i].turns = &turns;
	} while (!all_slept_in_time(s));
	for (int i = 0; i < SLEEPERS; i++)
		cr_expect(s[i].turn == order[i], "sleeper %d woke as number %u", i, s[i].turn);
	return 0;
}

Test(park, sleepers_wake_in_the_order_of_their_times, .timeout = 20)
{
	cr_expect(law_run(1, in_order, NULL) == 0);
}

static int retry_under_an_expired_deadline(void *arg)
{
	int64_t end = fiber_after(5 * FIBER_SECOND);
	fiber_scope_t s;
	int r = 0;

	(void)arg;
	fiber_within(&s, fiber_now());
	while (r == 0 && fiber_now() < end)
		r = fiber_sleep(0);
	cr_expect(r == -ECANCELED, "a loop of sleeps of nothing never sees its deadline");
	return (int)fiber_scope_end(&s, r) == -ETIMEDOUT ? 0 : -1;
}

Test(park, sleeps_of_nothing_see_the_deadline, .timeout = 30)
{
	law_holds(retry_under_an_expired_deadline, NULL);
}
