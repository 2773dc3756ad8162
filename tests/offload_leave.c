/* fiber_offload_leave: a call may be left behind, and gives its argument up once. And how errno
 * comes back, and what the statistics say of calls that wait their turn. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "law.h"
#include "on_a_thread.h"
#include "os/os.h"
#include "worlds.h"

/* A call that lasts until the test says so, and what became of it. Static: the call may outlive
 * the fiber that made it. */
struct call {
	_Atomic uint32_t begun, go;
	_Atomic int ended, released, released_early;
};

static int lasts(void *arg)
{
	struct call *c = arg;

	atomic_store(&c->begun, 1);
	while (atomic_load(&c->go) == 0)
		os_word_sleep(&c->go, 0, OS_NEVER);
	atomic_store(&c->ended, 1);
	return 7;
}

static void release(void *arg)
{
	struct call *c = arg;

	if (atomic_load(&c->begun) && !atomic_load(&c->ended))
		atomic_fetch_add(&c->released_early, 1);
	atomic_fetch_add(&c->released, 1);
}

static void let_it_end(struct call *c)
{
	atomic_store(&c->go, 1);
	os_word_wake(&c->go, 1);
}

static int leaves(void *arg)
{
	return fiber_offload_leave(lasts, arg, release);
}

static int expect_released(struct call *c)
{
	UNTIL(atomic_load(&c->released) > 0);
	cr_expect(atomic_load(&c->released) == 1);
	cr_expect(atomic_load(&c->released_early) == 0);
	return 0;
}

/* ---- success ----------------------------------------------------------------------------------*/
static int in_time(void *arg)
{
	struct call c = { .go = 1 };

	(void)arg;
	cr_expect(leaves(&c) == 7);
	cr_expect(atomic_load(&c.ended) == 1 && atomic_load(&c.released) == 1, "before it returns");
	cr_expect(fiber_offload_leave(lasts, &c, NULL) == 7, "nothing to release");
	cr_expect(atomic_load(&c.released) == 1 && atomic_load(&c.released_early) == 0);
	return 0;
}

Test(offload_leave, a_call_in_time_is_released_before_it_returns, .timeout = 30)
{
	law_holds(in_time, NULL);
	cr_expect(on_a_thread(in_time, NULL) == 0);
}

/* ---- left behind ------------------------------------------------------------------------------*/
static int cancelled(void *arg)
{
	static struct call c;
	fiber_t f;

	(void)arg;
	c = (struct call){ 0 };
	f = spawned(leaves, &c);
	UNTIL(atomic_load(&c.begun));
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	cr_expect(atomic_load(&c.released) == 0, "it runs on");
	let_it_end(&c);
	return expect_released(&c);
}

Test(offload_leave, a_cancelled_fiber_goes_on_and_the_call_too, .timeout = 30)
{
	law_holds(cancelled, NULL);
}

static int too_late(void *arg)
{
	static struct call c;

	(void)arg;
	c = (struct call){ 0 };
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, leaves(&c)) == -ETIMEDOUT);
	UNTIL(atomic_load(&c.begun) || atomic_load(&c.released));
	let_it_end(&c);
	return expect_released(&c);
}

Test(offload_leave, a_deadline_leaves_the_call_behind, .timeout = 30)
{
	law_holds(too_late, NULL);
	cr_expect(on_a_thread(too_late, NULL) == 0, "a plain thread leaves it too");
}

/* The runtime may be gone when the call ends. */
static struct call survivor;

static int ends_before_its_call(void *arg)
{
	fiber_t f = spawned(leaves, arg);

	UNTIL(atomic_load(&survivor.begun));
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	return 0;
}

Test(offload_leave, the_call_may_outlive_the_runtime, .timeout = 30)
{
	cr_expect(law_run(2, ends_before_its_call, &survivor) == 0);
	cr_expect(atomic_load(&survivor.released) == 0);
	let_it_end(&survivor);
	cr_expect(expect_released(&survivor) == 0);
	law_no_leaks();
}

/* ---- never called -----------------------------------------------------------------------------*/
static int queued(void *arg)
{
	static struct call first, second;
	fiber_stats_t stats;
	fiber_t f, g;

	(void)arg;
	first = second = (struct call){ 0 };
	f = spawned(leaves, &first);
	UNTIL(atomic_load(&first.begun));
	g = spawned(leaves, &second);
	until_it_waits_for(g, "offload");
	UNTIL(fiber_stats(NULL, &stats) == 0 && stats.offload_queued == 1);
	cr_expect(stats.offload_delayed >= 1 && stats.offloaded >= 2);
	cr_expect(fiber_cancel(g) == 0);
	cr_expect(result_of(g) == -ECANCELED);
	cr_expect(atomic_load(&second.begun) == 0, "not called");
	cr_expect(atomic_load(&second.released) == 1, "and released before it returned");
	cr_expect(fiber_stats(NULL, &stats) == 0 && stats.offload_queued == 0);
	let_it_end(&first);
	cr_expect(result_of(f) == 7);
	return expect_released(&first);
}

Test(offload_leave, cancelled_in_the_queue_it_is_released_uncalled, .timeout = 30)
{
	law_holds_with(&(fiber_options_t){ .helpers_max = 1 }, queued, NULL);
}

/* fiber_offload waits for a call that runs, and gives up one that waits its turn. */
static int offloads(void *arg)
{
	return fiber_offload(lasts, arg);
}

static int queued_and_waited_for(void *arg)
{
	struct call first = { 0 }, second = { 0 };
	fiber_t f = spawned(offloads, &first), g;

	(void)arg;
	UNTIL(atomic_load(&first.begun));
	g = spawned(offloads, &second);
	until_it_waits_for(g, "offload");
	cr_expect(fiber_cancel(g) == 0 && fiber_cancel(f) == 0);
	cr_expect(result_of(g) == -ECANCELED);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, offloads(&second)) == -ETIMEDOUT);
	cr_expect(atomic_load(&second.begun) == 0, "not called");
	let_it_end(&first);
	cr_expect(result_of(f) == 7, "whatever the cancellation said");
	return 0;
}

Test(offload_leave, what_waits_its_turn_is_taken_back, .timeout = 30)
{
	law_holds_with(&(fiber_options_t){ .helpers_max = 1 }, queued_and_waited_for, NULL);
}

static int misuse(void *arg)
{
	struct call c = { .go = 1 };
	fiber_scope_t scope;

	(void)arg;
	cr_expect(fiber_offload_leave(NULL, &c, release) == -EINVAL);
	cr_expect(atomic_load(&c.released) == 1, "given up whatever is returned");
	cr_expect(fiber_offload_leave(NULL, NULL, NULL) == -EINVAL);
	fiber_within(&scope, 0);
	cr_expect(leaves(&c) == -ECANCELED);
	cr_expect(fiber_scope_end(&scope, -ECANCELED) == -ETIMEDOUT);
	cr_expect(atomic_load(&c.released) == 2 && atomic_load(&c.begun) == 0);
	return 0;
}

Test(offload_leave, misuse_is_told_and_released, .timeout = 30)
{
	law_holds(misuse, NULL);
	cr_expect(on_a_thread(misuse, NULL) == 0);
}

/* ---- errno ------------------------------------------------------------------------------------*/
static int fails(void *arg)
{
	cr_expect(errno == 0);
	errno = (int)(intptr_t)arg;
	return -1;
}

static int errors(void *arg)
{
	fiber_scope_t scope;
	int error = 77;

	(void)arg;
	cr_expect(fiber_offload_errno(fails, (void *)EXDEV, &error) == -1 && error == EXDEV);
	cr_expect(fiber_offload_errno(fails, (void *)EINTR, &error) == -1 && error == EINTR);
	cr_expect(fiber_offload_errno(fails, NULL, &error) == -1 && error == 0);
	cr_expect(fiber_offload_errno(fails, (void *)EXDEV, NULL) == -1);
	error = 77;
	cr_expect(fiber_offload_errno(NULL, NULL, &error) == -EINVAL && error == 0);
	fiber_within(&scope, 0);
	error = 77;
	cr_expect(fiber_offload_errno(fails, NULL, &error) == -ECANCELED && error == 0);
	fiber_scope_end(&scope, 0);
	return 0;
}

Test(offload_leave, errno_comes_back_as_a_value, .timeout = 30)
{
	law_holds(errors, NULL);
	cr_expect(on_a_thread(errors, NULL) == 0);
}
