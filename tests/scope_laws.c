/* Interruptions: before any effect, never instead of a success, seen by loops that never park, and
 * no loop holds its worker. And what becomes of scopes that do not nest. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "law.h"
#include "until.h"

#define LATE (1000 * FIBER_SECOND)

static int run_in_fiber(fiber_fn *fn)
{
	int result = 0, r;
	fiber_t f;

	r = fiber_spawn(&f, NULL, fn, NULL);
	if (r == 0)
		r = fiber_join(f, &result);
	return r < 0 ? r : result;
}

static _Atomic unsigned ran;

static int count(void *arg)
{
	atomic_fetch_add(&ran, 1);
	return (int)(intptr_t)arg;
}

/* ---- law 1 ------------------------------------------------------------------------------------*/
static int spawn_when_cancelled(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	atomic_store(&ran, 0);
	fiber_cancel(fiber_self());
	cr_expect(fiber_group_spawn(&g, NULL, count, NULL) == -ECANCELED);
	cr_expect(fiber_group_wait(&g) == -ECANCELED);
	cr_expect(atomic_load(&ran) == 0, "it spawned all the same");
	return 0;
}

static int law_1(void *arg)
{
	(void)arg;
	return run_in_fiber(spawn_when_cancelled);
}

Test(scope_laws, an_interruption_already_known_fails_a_call_before_any_effect, .timeout = 20)
{
	law_holds(law_1, NULL);
}

/* ---- laws 2 and 3 -----------------------------------------------------------------------------*/
static int succeed_after_the_deadline(void *arg)
{
	fiber_scope_t s;
	fiber_t ended;
	int result = 0;

	(void)arg;
	cr_expect(fiber_spawn(&ended, NULL, count, (void *)9) == 0);
	for (int i = 0; i < 100; i++)
		fiber_yield();
	fiber_unpark(fiber_self());
	fiber_within(&s, INT64_MIN); /* long ago, but nobody has looked at the clock */
	cr_expect(fiber_park() == 0, "a success is a success");
	cr_expect(fiber_join(ended, &result) == 0 && result == 9);
	cr_expect(fiber_park() == -ECANCELED, "on the way to a park it is noticed");
	fiber_unpark(fiber_self());
	cr_expect(fiber_park() == -ECANCELED, "and known from then on");
	cr_expect(fiber_scope_end(&s, -ECANCELED) == -ETIMEDOUT);
	return fiber_park();
}

Test(scope_laws, a_call_that_can_succeed_at_once_does_not_look_at_the_clock, .timeout = 20)
{
	cr_expect(law_run(1, succeed_after_the_deadline, NULL) == 0);
}

static int check_looks(void *arg)
{
	fiber_scope_t s;

	(void)arg;
	cr_expect(fiber_check() == 0);
	fiber_within(&s, fiber_now());
	cr_expect(fiber_check() == -ECANCELED);
	cr_expect(fiber_scope_end(&s, -ECANCELED) == -ETIMEDOUT);
	fiber_within(&s, fiber_after(LATE));
	cr_expect(fiber_check() == 0);
	cr_expect(fiber_scope_end(&s, 0) == 0);
	return fiber_check();
}

Test(scope_laws, fiber_check_looks_at_the_clock, .timeout = 20)
{
	law_holds(check_looks, NULL);
	cr_expect(check_looks(NULL) == 0, "on a plain thread");
}

/* ---- law 4: loops that never park -------------------------------------------------------------*/
static int end_of_patience(int64_t end)
{
	return fiber_now() < end ? 0 : -EDEADLK;
}

static int loop_of_parks(int64_t end)
{
	int r = 0;

	while (r == 0 && (r = end_of_patience(end)) == 0) {
		fiber_unpark(fiber_self());
		r = fiber_park();
	}
	return r;
}

static int loop_of_joins(int64_t end)
{
	int r = 0;

	while (r == 0 && (r = end_of_patience(end)) == 0) {
		fiber_t f[10];

		for (int i = 0; i < 10; i++)
			r = fiber_spawn(&f[i], NULL, count, NULL);
		for (int i = 0; i < 10; i++)
			fiber_yield();
		for (int i = 0; i < 10 && r == 0; i++)
			r = fiber_join(f[i], NULL);
	}
	return r;
}

static int loop_of_empty_groups(int64_t end)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	int r = 0;

	while (r == 0 && (r = end_of_patience(end)) == 0)
		r = fiber_group_wait(&g);
	return r;
}

static int loop_of_group_spawns(int64_t end)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	int r = 0, waited;

	while (r == 0 && (r = end_of_patience(end)) == 0)
		r = fiber_group_spawn(&g, NULL, count, NULL);
	waited = fiber_group_wait(&g);
	cr_expect(waited == -ECANCELED, "%d", waited);
	return r;
}

static int loop_of_sleeps(int64_t end)
{
	int r = 0;

	while (r == 0 && (r = end_of_patience(end)) == 0)
		r = fiber_sleep(0);
	return r;
}

static int never_park(void *arg)
{
	int (*loops[])(int64_t) = { loop_of_parks, loop_of_joins, loop_of_empty_groups,
				    loop_of_group_spawns, loop_of_sleeps };
	int which = 0;

	(void)arg;
	for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
		fiber_scope_t s;
		int r;

		fiber_within(&s, fiber_after(FIBER_MILLISECOND));
		r = loops[i](fiber_after(3 * FIBER_SECOND));
		cr_expect(r == -ECANCELED, "loop %zu ended with %d", i, r);
		cr_expect(fiber_scope_end(&s, r) == -ETIMEDOUT);
		which += r != -ECANCELED;
	}
	return which;
}

Test(scope_laws, loops_that_never_park_see_their_deadline, .timeout = 60)
{
	law_holds(never_park, NULL);
}

static _Atomic bool over;

static int end_it(void *arg)
{
	atomic_store(&over, true);
	return (int)(intptr_t)arg;
}

static int let_others_run(void *arg)
{
	int64_t end = fiber_after(5 * FIBER_SECOND);

	(void)arg;
	atomic_store(&over, false);
	cr_expect(fiber_go(end_it, NULL) == 0);
	while (!atomic_load(&over) && fiber_now() < end) {
		fiber_unpark(fiber_self());
		cr_expect(fiber_park() == 0);
	}
	return atomic_load(&over) ? 0 : -1;
}

Test(scope_laws, loops_that_never_park_let_others_run, .timeout = 20)
{
	cr_expect(law_run(1, let_others_run, NULL) == 0);
}

/* ---- law 5: retry loops -----------------------------------------------------------------------*/
static int sleep_one(void)
{
	return fiber_sleep(LATE);
}

static int join_one(void)
{
	return fiber_join(fiber_self(), NULL);
}

static int spawn_one(void)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	int r = fiber_group_spawn(&g, NULL, count, NULL);

	(void)!fiber_group_wait(&g);
	return r;
}

static int await_none(void)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	return fiber_group_wait(&g);
}

static int (*const retried[])(void) = { fiber_park, sleep_one, join_one, spawn_one, await_none };
enum { RETRIED = sizeof retried / sizeof *retried };

/* A program that does not understand that it was interrupted. */
static void retry(unsigned which)
{
	int64_t end = fiber_after(5 * FIBER_SECOND);

	atomic_store(&over, false);
	cr_expect(fiber_go(end_it, NULL) == 0);
	while (!atomic_load(&over) && fiber_now() < end)
		cr_expect(retried[which]() == -ECANCELED);
	cr_expect(atomic_load(&over), "the retry loop %u held its worker", which);
}

static int retry_under_an_expired_deadline(void *arg)
{
	fiber_scope_t s;

	(void)arg;
	fiber_within(&s, fiber_now());
	cr_expect(fiber_sleep(LATE) == -ECANCELED);
	for (unsigned i = 0; i < RETRIED; i++)
		retry(i);
	return (int)fiber_scope_end(&s, 0);
}

static int retry_when_cancelled(void *arg)
{
	(void)arg;
	fiber_cancel(fiber_self());
	for (unsigned i = 0; i < RETRIED; i++)
		retry(i);
	return 0;
}

static int retry_in_both_ways(void *arg)
{
	(void)arg;
	cr_expect(run_in_fiber(retry_under_an_expired_deadline) == 0);
	return run_in_fiber(retry_when_cancelled);
}

Test(scope_laws, a_retry_loop_under_an_expired_deadline_does_not_hold_its_worker, .timeout = 60)
{
	cr_expect(law_run(1, retry_in_both_ways, NULL) == 0);
}

/* ---- one timer a fiber ------------------------------------------------------------------------*/
/* The timer of a wait that ended early stays set; it must end no later wait too soon. */
static int stale_timers(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++) {
		int64_t before = fiber_now();

		fiber_unpark(fiber_self());
		FIBER_WITHIN(FIBER_MILLISECOND)
			cr_expect(fiber_park() == 0);
		cr_expect(FIBER_TIMEOUT(LATE, fiber_sleep(2 * FIBER_MILLISECOND)) == 0);
		cr_expect(fiber_now() - before >= 2 * FIBER_MILLISECOND, "a sleep ended too soon");
		cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_sleep(LATE)) == -ETIMEDOUT);
		before = fiber_now();
		cr_expect(FIBER_TIMEOUT(3 * FIBER_MILLISECOND, fiber_park()) == -ETIMEDOUT);
		cr_expect(fiber_now() - before >= 3 * FIBER_MILLISECOND);
	}
	return 0;
}

Test(scope_laws, an_earlier_deadline_ends_no_later_wait, .timeout = 20)
{
	law_holds(stale_timers, NULL);
}

/* ---- scopes that do not nest ------------------------------------------------------------------*/
static int end_the_outer_first(void *arg)
{
	fiber_scope_t outer, inner;

	(void)arg;
	fiber_within(&outer, FIBER_NEVER);
	fiber_within(&inner, FIBER_NEVER);
	fiber_scope_end(&outer, 0);
	return 0;
}

static fiber_scope_t foreign;

static int end_it_elsewhere(void *arg)
{
	fiber_scope_end(&foreign, 0);
	return (int)(intptr_t)arg;
}

static int open_for_another(void *arg)
{
	(void)arg;
	fiber_within(&foreign, FIBER_NEVER);
	return run_in_fiber(end_it_elsewhere);
}

static int death_of(fiber_fn *fn)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		close(STDERR_FILENO); /* what it says is expected */
		_exit(law_run(1, fn, NULL) == 0 ? 0 : 1);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

Test(scope_laws, scopes_that_do_not_nest_abort_the_process, .timeout = 30)
{
	cr_expect(death_of(end_the_outer_first) == SIGABRT);
	cr_expect(death_of(open_for_another) == SIGABRT);
}
