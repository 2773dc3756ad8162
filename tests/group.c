/* Groups (law 8): all members are awaited, the first failure or the first success ends the others,
 * and an interrupted owner takes its members with it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>

#include "law.h"
#include "until.h"

#define LATE (1000 * FIBER_SECOND)

static _Atomic int running, cancelled;

static int return_argument(void *arg)
{
	return (int)(intptr_t)arg;
}

/* Ends only by cancellation; then takes its time to clean up. */
static int wait_for_the_end(void *arg)
{
	int r;

	atomic_fetch_add(&running, 1);
	do {
		r = fiber_park();
	} while (r == 0);
	FIBER_SHIELD(LATE)
		fiber_sleep(FIBER_MILLISECOND);
	atomic_fetch_add(&cancelled, r == -ECANCELED);
	atomic_fetch_sub(&running, 1);
	return arg ? (int)(intptr_t)arg : r;
}

static void spawn_waiting(fiber_group_t *g, int n)
{
	atomic_store(&cancelled, 0);
	atomic_store(&running, 0);
	for (int i = 0; i < n; i++)
		cr_expect(fiber_group_spawn(g, NULL, wait_for_the_end, NULL) == 0);
}

static void expect_all_cancelled(int n)
{
	cr_expect(atomic_load(&running) == 0, "%d still run", atomic_load(&running));
	cr_expect(atomic_load(&cancelled) == n, "%d of %d were cancelled", atomic_load(&cancelled),
		  n);
}

static int in_a_fiber(fiber_fn *fn, void *arg)
{
	int result = 0, r;
	fiber_t f;

	r = fiber_spawn(&f, NULL, fn, arg);
	if (r == 0)
		r = fiber_join(f, &result);
	return r < 0 ? r : result;
}

/* ---- all --------------------------------------------------------------------------------------*/
static int all_succeed(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	cr_expect(fiber_group_wait(&g) == 0, "nobody to wait for");
	for (intptr_t i = 0; i < 50; i++)
		cr_expect(fiber_group_spawn(&g, NULL, return_argument, (void *)i) == 0);
	cr_expect(fiber_group_wait(&g) == 0);
	cr_expect(fiber_group_wait(&g) == 0);
	return 0;
}

Test(group, without_a_failure_the_result_is_0, .timeout = 20)
{
	law_holds(all_succeed, NULL);
}

static int one_fails(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	spawn_waiting(&g, 20);
	UNTIL(atomic_load(&running) == 20);
	cr_expect(fiber_group_spawn(&g, NULL, return_argument, (void *)-EPIPE) == 0);
	cr_expect(fiber_group_wait(&g) == -EPIPE);
	expect_all_cancelled(20);
	return 0;
}

Test(group, the_first_failure_cancels_the_rest_and_all_are_awaited, .timeout = 20)
{
	law_holds(one_fails, NULL);
}

static int fail_when_cancelled(void *arg)
{
	fiber_park();
	return (int)(intptr_t)arg;
}

static int later_failures(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	for (int i = 0; i < 10; i++)
		fiber_group_spawn(&g, NULL, fail_when_cancelled, (void *)-EIO);
	fiber_group_spawn(&g, NULL, return_argument, (void *)-EPIPE);
	cr_expect(fiber_group_wait(&g) == -EPIPE, "the others failed because of it");
	return 0;
}

Test(group, the_first_failure_is_the_result, .timeout = 20)
{
	law_holds(later_failures, NULL);
}

/* ---- races ------------------------------------------------------------------------------------*/
static int one_wins(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	spawn_waiting(&g, 20);
	UNTIL(atomic_load(&running) == 20);
	for (int i = 0; i < 5; i++) /* losers end nothing, even before the owner waits */
		cr_expect(fiber_group_spawn(&g, NULL, return_argument, (void *)-EPIPE) == 0);
	for (int i = 0; i < 50; i++)
		fiber_yield();
	cr_expect(atomic_load(&running) == 20);
	cr_expect(fiber_group_spawn(&g, NULL, return_argument, (void *)7) == 0);
	cr_expect(fiber_group_race(&g) == 7);
	expect_all_cancelled(20);
	return 0;
}

Test(group, the_first_success_wins_a_race_and_cancels_the_rest, .timeout = 20)
{
	law_holds(one_wins, NULL);
}

static int all_lose(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	cr_expect(fiber_group_race(&g) == 0, "nobody to wait for");
	fiber_group_spawn(&g, NULL, return_argument, (void *)-EPIPE);
	fiber_group_spawn(&g, NULL, return_argument, (void *)-EPIPE);
	cr_expect(fiber_group_race(&g) == -EPIPE);
	fiber_group_spawn(&g, NULL, return_argument, NULL);
	cr_expect(fiber_group_race(&g) == 0);
	return 0;
}

Test(group, a_race_that_all_lose_is_lost, .timeout = 20)
{
	law_holds(all_lose, NULL);
}

/* ---- limits -----------------------------------------------------------------------------------*/
static _Atomic int at_once, most, done;

static int count_at_once(void *arg)
{
	int now = atomic_fetch_add(&at_once, 1) + 1, seen = atomic_load(&most);

	while (seen < now && !atomic_compare_exchange_weak(&most, &seen, now))
		;
	for (intptr_t i = (intptr_t)arg % 5; i > 0; i--)
		fiber_yield();
	if ((intptr_t)arg % 7 == 0)
		fiber_sleep(20 * FIBER_MICROSECOND);
	atomic_fetch_add(&done, 1);
	atomic_fetch_sub(&at_once, 1);
	return 0;
}

static int limited(void *arg)
{
	for (unsigned limit = 1; limit <= 9; limit += 4) {
		fiber_group_t g = FIBER_GROUP_INIT;

		at_once = most = done = 0;
		fiber_group_limit(&g, limit);
		for (intptr_t i = 0; i < 300; i++)
			cr_expect(fiber_group_spawn(&g, NULL, count_at_once, (void *)i) == 0);
		cr_expect(fiber_group_wait(&g) == 0);
		cr_expect(done == 300, "%d ran", done);
		cr_expect(most <= (int)limit, "%d at once, the limit is %u", most, limit);
	}
	(void)arg;
	return 0;
}

Test(group, never_more_run_than_the_limit, .timeout = 30)
{
	law_holds(limited, NULL);
}

static _Atomic unsigned spawned;

static int spawn_beyond_the_limit(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	int r = 0;

	atomic_store(&spawned, 0);
	fiber_group_limit(&g, 3);
	while (r == 0) {
		r = fiber_group_spawn(&g, NULL, wait_for_the_end, arg);
		atomic_fetch_add(&spawned, r == 0);
	}
	cr_expect(r == -ECANCELED, "the spawn ended with %d", r);
	cr_expect(fiber_group_wait(&g) == -ECANCELED);
	return 0;
}

static int interrupted_at_the_limit(void *arg)
{
	fiber_t owner = { 0 };

	(void)arg;
	cancelled = running = 0;
	cr_expect(fiber_spawn(&owner, NULL, spawn_beyond_the_limit, NULL) == 0);
	until_it_waits_for(owner, "group limit");
	UNTIL(atomic_load(&running) == 3);
	cr_expect(atomic_load(&spawned) == 3);
	cr_expect(fiber_cancel(owner) == 0);
	cr_expect(fiber_join(owner, NULL) == 0);
	expect_all_cancelled(3);
	return 0;
}

Test(group, a_spawner_parks_at_the_limit_and_can_be_interrupted, .timeout = 20)
{
	law_holds(interrupted_at_the_limit, NULL);
}

static int a_failure_at_the_limit(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	fiber_group_limit(&g, 4);
	spawn_waiting(&g, 3);
	UNTIL(atomic_load(&running) == 3);
	cr_expect(fiber_group_spawn(&g, NULL, return_argument, (void *)-EPIPE) == 0);
	/* Nobody but the failure could make room for these. */
	for (int i = 0; i < 5; i++)
		cr_expect(fiber_group_spawn(&g, NULL, wait_for_the_end, NULL) == 0);
	cr_expect(fiber_group_wait(&g) == -EPIPE);
	expect_all_cancelled(8);
	return 0;
}

Test(group, a_failure_makes_room_for_the_spawner_that_waits_at_the_limit, .timeout = 20)
{
	law_holds(a_failure_at_the_limit, NULL);
}

static int a_limited_race(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	fiber_group_limit(&g, 4);
	spawn_waiting(&g, 3);
	cr_expect(fiber_group_spawn(&g, NULL, return_argument, (void *)7) == 0);
	cr_expect(fiber_group_race(&g) == 7);
	expect_all_cancelled(3);
	return 0;
}

/* The limit had made it a group of which all must succeed, for good. */
Test(group, a_race_in_a_limited_group_is_a_race, .timeout = 20)
{
	law_holds(a_limited_race, NULL);
}

/* ---- an owner that is interrupted -------------------------------------------------------------*/
static int late_owner(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	fiber_scope_t s;
	int r;

	(void)arg;
	for (int race = 0; race < 2; race++) {
		spawn_waiting(&g, 10);
		fiber_within(&s, fiber_after(FIBER_MILLISECOND));
		r = race ? fiber_group_race(&g) : fiber_group_wait(&g);
		cr_expect(r == -ECANCELED, "%d", r);
		expect_all_cancelled(10);
		cr_expect(fiber_scope_end(&s, r) == -ETIMEDOUT);
	}
	return 0;
}

Test(group, the_owners_deadline_cancels_it_and_still_all_are_awaited, .timeout = 20)
{
	law_holds(late_owner, NULL);
}

static int wait_in_a_fiber(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	int r;

	spawn_waiting(&g, 10);
	if (arg)
		fiber_cancel(fiber_self()); /* known before the wait */
	r = fiber_group_wait(&g);
	expect_all_cancelled(10);
	return r;
}

static int cancelled_owner(void *arg)
{
	fiber_t owner = { 0 };
	int result = 0;

	(void)arg;
	cr_expect(fiber_spawn(&owner, NULL, wait_in_a_fiber, NULL) == 0);
	until_it_waits_for(owner, "group");
	cr_expect(fiber_cancel(owner) == 0);
	cr_expect(fiber_join(owner, &result) == 0 && result == -ECANCELED);
	cr_expect(in_a_fiber(wait_in_a_fiber, "known") == -ECANCELED);
	return 0;
}

Test(group, the_owners_cancellation_cancels_it_and_still_all_are_awaited, .timeout = 20)
{
	law_holds(cancelled_owner, NULL);
}
