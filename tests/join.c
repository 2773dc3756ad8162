/* Joining: the result once and to one; what is no handle; interruptions; plain threads. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "law.h"
#include "until.h"

static int return_argument(void *arg)
{
	return (int)(intptr_t)arg;
}

static int park(void *arg)
{
	(void)arg;
	return fiber_park();
}

static fiber_t spawn(fiber_fn *fn, void *arg)
{
	fiber_t f = { 0 };

	cr_expect(fiber_spawn(&f, NULL, fn, arg) == 0);
	return f;
}

/* ---- once, and by one -------------------------------------------------------------------------*/
static int joined_once(void *arg)
{
	fiber_t f = spawn(return_argument, (void *)5);
	int result = 0;

	(void)arg;
	cr_expect(fiber_join(f, &result) == 0 && result == 5);
	result = 17;
	for (int i = 0; i < 100; i++) {
		cr_expect(fiber_join(f, &result) == -ESRCH);
		cr_expect(fiber_detach(f) == -ESRCH);
		cr_expect(fiber_cancel(f) == -ESRCH);
		cr_expect(fiber_unpark(f) == -ESRCH);
		/* In its block again. */
		cr_expect(fiber_join(spawn(return_argument, NULL), NULL) == 0);
	}
	cr_expect(result == 17, "a join that failed wrote a result");
	return 0;
}

Test(join, a_fiber_is_joined_once, .timeout = 20)
{
	law_holds(joined_once, NULL);
}

static int stale(void *arg)
{
	enum { MANY = 1000 };
	fiber_t f[MANY], parked;

	(void)arg;
	for (int i = 0; i < MANY; i++)
		f[i] = spawn(return_argument, NULL);
	for (int i = 0; i < MANY; i++)
		cr_expect(fiber_join(f[i], NULL) == 0);
	parked = spawn(park, NULL);
	until_it_waits_for(parked, "park");
	for (int i = 0; i < MANY; i++) { /* one of them had the same block */
		cr_expect(fiber_cancel(f[i]) == -ESRCH);
		cr_expect(fiber_unpark(f[i]) == -ESRCH);
		cr_expect(fiber_detach(f[i]) == -ESRCH);
		cr_expect(fiber_join(f[i], NULL) == -ESRCH);
	}
	fiber_yield();
	until_it_waits_for(parked, "park");
	cr_expect(fiber_unpark(parked) == 0);
	return fiber_join(parked, NULL);
}

Test(join, a_stale_handle_reaches_nobody, .timeout = 20)
{
	law_holds(stale, NULL);
}

static int ended_before_the_join(void *arg)
{
	fiber_t f = spawn(return_argument, (void *)5);
	fiber_info_t info;
	int result = 0;

	(void)arg;
	for (int i = 0; i < 100; i++)
		fiber_yield();
	cr_expect(fiber_info(f, &info) == 0, "it must keep its result");
	cr_expect(fiber_join(f, &result) == 0 && result == 5);
	cr_expect(fiber_join(f, &result) == -ESRCH);
	return 0;
}

Test(join, a_fiber_that_ended_long_ago_keeps_its_result, .timeout = 20)
{
	law_holds(ended_before_the_join, NULL);
}

static int join_it(void *arg)
{
	int result = 0, r = fiber_join(*(fiber_t *)arg, &result);

	return r < 0 ? r : result;
}

static int two_joiners(void *arg)
{
	fiber_t f = spawn(park, NULL), first = spawn(join_it, &f);
	int result = -1;

	(void)arg;
	until_it_waits_for(first, "join");
	cr_expect(fiber_join(f, NULL) == -EBUSY);
	cr_expect(fiber_detach(f) == -EBUSY);
	cr_expect(fiber_unpark(f) == 0);
	cr_expect(fiber_join(first, &result) == 0 && result == 0);
	cr_expect(fiber_join(f, NULL) == -ESRCH);
	return 0;
}

Test(join, the_second_joiner_is_told_that_it_is_busy, .timeout = 20)
{
	law_holds(two_joiners, NULL);
}

static int join_self(void *arg)
{
	(void)arg;
	return fiber_join(fiber_self(), NULL);
}

static int of_itself(void *arg)
{
	int result = 0;

	(void)arg;
	cr_expect(fiber_join(fiber_self(), NULL) == -EDEADLK);
	cr_expect(fiber_join(spawn(join_self, NULL), &result) == 0 && result == -EDEADLK);
	return 0;
}

Test(join, of_oneself_is_a_deadlock, .timeout = 20)
{
	law_holds(of_itself, NULL);
}

/* ---- detached ---------------------------------------------------------------------------------*/
static int detach_self(void *arg)
{
	*(fiber_t *)arg = fiber_self();
	cr_expect(fiber_detach(fiber_self()) == 0);
	cr_expect(fiber_detach(fiber_self()) == -EINVAL);
	return 0;
}

static int detached(void *arg)
{
	fiber_t f = spawn(park, NULL), seen = { 0 };

	(void)arg;
	cr_expect(fiber_detach(f) == 0);
	cr_expect(fiber_detach(f) == -EINVAL);
	cr_expect(fiber_join(f, NULL) == -EINVAL);
	cr_expect(fiber_unpark(f) == 0);
	until_gone(f);
	cr_expect(fiber_join(f, NULL) == -ESRCH);
	f = spawn(return_argument, NULL); /* detached when it may have ended */
	for (int i = 0; i < 100; i++)
		fiber_yield();
	cr_expect(fiber_detach(f) == 0);
	until_gone(f);
	f = spawn(detach_self, &seen);
	until_gone(f);
	cr_expect(fiber_equal(f, seen));
	cr_expect(fiber_join(fiber_self(), NULL) < 0); /* main */
	return 0;
}

Test(join, a_detached_fiber_is_not_joined_and_leaves_nothing, .timeout = 20)
{
	law_holds(detached, NULL);
}

/* ---- interruptions ----------------------------------------------------------------------------*/
static int cancelled_joiner(void *arg)
{
	fiber_t f = spawn(park, NULL), joiner = spawn(join_it, &f);
	int result = 0;

	(void)arg;
	until_it_waits_for(joiner, "join");
	cr_expect(fiber_cancel(joiner) == 0);
	cr_expect(fiber_join(joiner, &result) == 0 && result == -ECANCELED);
	cr_expect(fiber_unpark(f) == 0);
	cr_expect(fiber_join(f, &result) == 0 && result == 0);
	return 0;
}

Test(join, a_cancelled_joiner_leaves_the_fiber_joinable, .timeout = 20)
{
	law_holds(cancelled_joiner, NULL);
}

static int late_joiner(void *arg)
{
	fiber_t f = spawn(park, NULL);
	fiber_scope_t s;
	int result = 0;
	ssize_t r;

	(void)arg;
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_join(f, &result)) == -ETIMEDOUT);
	fiber_within(&s, fiber_after(FIBER_MILLISECOND));
	r = fiber_join(f, &result);
	cr_expect(r == -ECANCELED);
	cr_expect(fiber_join(f, &result) == -ECANCELED);
	cr_expect(fiber_scope_end(&s, r) == -ETIMEDOUT);
	cr_expect(fiber_unpark(f) == 0);
	cr_expect(FIBER_TIMEOUT(FIBER_SECOND * 1000, fiber_join(f, &result)) == 0 && result == 0);
	return 0;
}

Test(join, a_deadline_ends_the_wait_and_leaves_the_fiber_joinable, .timeout = 20)
{
	law_holds(late_joiner, NULL);
}

static int join_when_cancelled(void *arg)
{
	fiber_t ended = spawn(return_argument, (void *)3);
	fiber_scope_t shield;
	int result = 0;

	(void)arg;
	for (int i = 0; i < 100; i++)
		fiber_yield();
	fiber_cancel(fiber_self());
	cr_expect(fiber_join(ended, &result) == -ECANCELED && result == 0);
	fiber_shield(&shield, FIBER_NEVER);
	cr_expect(fiber_join(ended, &result) == 0 && result == 3);
	return (int)fiber_scope_end(&shield, 0);
}

static int known_before(void *arg)
{
	(void)arg;
	return fiber_join(spawn(join_when_cancelled, NULL), NULL);
}

Test(join, an_interruption_already_known_fails_it_before_any_effect, .timeout = 20)
{
	law_holds(known_before, NULL);
}

/* ---- plain threads ----------------------------------------------------------------------------*/
static void *join_from_a_thread(void *arg)
{
	fiber_t f = *(fiber_t *)arg;
	int result = 0;

	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_join(f, NULL)) == -ETIMEDOUT);
	cr_expect(fiber_unpark(f) == 0);
	cr_expect(fiber_join(f, &result) == 0 && result == 0);
	cr_expect(fiber_join(f, &result) == -ESRCH);
	cr_expect(fiber_join((fiber_t){ 0 }, &result) == -ESRCH);
	return NULL;
}

Test(join, plain_threads_join, .timeout = 30)
{
	fiber_runtime_t *runtime;
	fiber_attr_t attr;
	pthread_t thread;
	fiber_t f;

	cr_assert(fiber_runtime_create(&runtime, &(fiber_options_t){ .workers = 2 }) == 0);
	for (int i = 0; i < 20; i++) {
		attr = (fiber_attr_t){ .runtime = runtime };
		cr_assert(fiber_spawn(&f, &attr, park, NULL) == 0);
		cr_assert(!pthread_create(&thread, NULL, join_from_a_thread, &f));
		pthread_join(thread, NULL);
	}
	cr_expect(fiber_runtime_free(runtime) == 0);
	law_no_leaks();
}

/* ---- law 4 ------------------------------------------------------------------------------------*/
static _Atomic bool others_ran;

static int run_beside(void *arg)
{
	(void)arg;
	atomic_store(&others_ran, true);
	return 0;
}

/* One worker; the first yield lets all of them end. Those joins never park. */
static int joins_that_need_not_wait(void *arg)
{
	enum { MANY = 200 };
	fiber_t f[MANY];

	(void)arg;
	for (int i = 0; i < MANY; i++)
		f[i] = spawn(return_argument, NULL);
	for (int i = 0; i <= MANY; i++)
		fiber_yield();
	cr_expect(fiber_go(run_beside, NULL) == 0);
	for (int i = 0; i < MANY; i++)
		cr_expect(fiber_join(f[i], NULL) == 0);
	cr_expect(atomic_load(&others_ran), "%d joins held the worker", MANY);
	return 0;
}

Test(join, every_64th_that_need_not_wait_lets_others_run, .timeout = 20)
{
	cr_expect(law_run(1, joins_that_need_not_wait, NULL) == 0);
}
