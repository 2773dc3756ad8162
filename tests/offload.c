/* fiber_offload: the program's blocking calls on helper threads, waited for whatever comes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "law.h"
#include "os/os.h"
#include "os/sanitize.h"
#include "waits.h"

static int returns(void *arg)
{
	return (int)(intptr_t)arg;
}

/* A call that lasts until the test says so. */
struct call {
	_Atomic uint32_t begun, go;
	pthread_t thread;
};

static int lasts(void *arg)
{
	struct call *c = arg;

	c->thread = pthread_self();
	atomic_store(&c->begun, 1);
	while (atomic_load(&c->go) == 0)
		os_word_sleep(&c->go, 0, OS_NEVER);
	return 7;
}

static void let_it_end(struct call *c)
{
	atomic_store(&c->go, 1);
	os_word_wake(&c->go, 1);
}

static int offloads(void *arg)
{
	return fiber_offload(lasts, arg);
}

/* ---- success ----------------------------------------------------------------------------------*/
static int results(void *arg)
{
	(void)arg;
	cr_expect(fiber_offload(returns, (void *)5) == 5);
	cr_expect(fiber_offload(returns, NULL) == 0);
	cr_expect(fiber_offload(returns, (void *)-EINTR) == -EINTR, "it is the function's own");
	cr_expect(fiber_offload(returns, (void *)-ECANCELED) == -ECANCELED);
	return 0;
}

Test(offload, the_result_is_the_functions, .timeout = 30)
{
	law_holds(results, NULL);
}

static int others_go_on(void *arg)
{
	struct call c = { 0 };
	fiber_t f = spawned(offloads, &c);

	(void)arg;
	while (atomic_load(&c.begun) == 0)
		fiber_yield();
	until_it_waits_for(f, "offload");
	for (int i = 0; i < 1000; i++) /* the only worker is ours meanwhile */
		fiber_yield();
	cr_expect(!pthread_equal(c.thread, pthread_self()));
	let_it_end(&c);
	cr_expect(result_of(f) == 7);
	return 0;
}

Test(offload, the_workers_other_fibers_go_on, .timeout = 30)
{
	law_holds(others_go_on, NULL);
}

enum { MANY = 1000 };

static int adds(void *arg)
{
	return (int)atomic_fetch_add((_Atomic int *)arg, 1) >= 0;
}

static int offloads_once(void *arg)
{
	return fiber_offload(adds, arg);
}

static int thousand(void *arg)
{
	_Atomic int sum = 0;
	fiber_t f[MANY];

	(void)arg;
	for (int i = 0; i < MANY; i++)
		f[i] = spawned(offloads_once, &sum);
	for (int i = 0; i < MANY; i++)
		cr_expect(result_of(f[i]) == 1);
	cr_expect(atomic_load(&sum) == MANY);
	return 0;
}

Test(offload, a_thousand_calls_are_each_made_once, .timeout = 60)
{
	law_holds(thousand, NULL);
	law_holds_with(&(fiber_options_t){ .helpers_max = 1 }, thousand, NULL);
}

/* ---- interruptions wait -----------------------------------------------------------------------*/
static int waited_for(void *arg)
{
	struct call c = { 0 }, d = { 0 };
	fiber_scope_t scope;
	fiber_t f = spawned(offloads, &c), g;

	(void)arg;
	while (atomic_load(&c.begun) == 0)
		fiber_yield();
	cr_expect(fiber_cancel(f) == 0);
	for (int i = 0; i < 100; i++)
		fiber_yield();
	let_it_end(&c);
	cr_expect(result_of(f) == 7, "a success is a success");

	g = spawned(offloads, &d);
	while (atomic_load(&d.begun) == 0)
		fiber_yield();
	fiber_within(&scope, 0);
	cr_expect(fiber_check() == -ECANCELED);
	cr_expect(fiber_offload(returns, (void *)5) == -ECANCELED, "known before: not called");
	cr_expect(fiber_scope_end(&scope, -ECANCELED) == -ETIMEDOUT);
	let_it_end(&d);
	cr_expect(result_of(g) == 7);
	return 0;
}

Test(offload, a_cancellation_waits_for_the_call, .timeout = 30)
{
	law_holds(waited_for, NULL);
}

static int sleeps(void *arg)
{
	(void)arg;
	usleep(20000);
	return 3;
}

static int deadline_waits(void *arg)
{
	fiber_scope_t scope;

	(void)arg;
	fiber_within(&scope, fiber_after(FIBER_MILLISECOND));
	cr_expect(fiber_offload(sleeps, NULL) == 3);
	cr_expect(fiber_offload(sleeps, NULL) == -ECANCELED, "it shows at the next call");
	cr_expect(fiber_scope_end(&scope, -ECANCELED) == -ETIMEDOUT);
	return 0;
}

Test(offload, a_deadline_waits_for_the_call, .timeout = 30)
{
	law_holds(deadline_waits, NULL);
}

/* ---- inside -----------------------------------------------------------------------------------*/
/* On a helper the calls are those of a plain thread. */
static int inside(void *arg)
{
	int fds[2];
	char byte;

	(void)arg;
	cr_expect(fiber_self().id == 0 && fiber_worker() == 0);
	cr_expect(fiber_pipe(fds) == 0);
	cr_expect(fiber_write(fds[1], "x", 1) == 1);
	cr_expect(fiber_read(fds[0], &byte, 1) == 1 && byte == 'x');
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_read(fds[0], &byte, 1)) == -ETIMEDOUT);
	cr_expect(fiber_offload(returns, (void *)4) == 4, "at once");
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

static int goes_inside(void *arg)
{
	return fiber_offload(inside, arg);
}

Test(offload, inside_one_is_on_a_plain_thread, .timeout = 30)
{
	law_holds(goes_inside, NULL);
}

/* ---- misuse and want --------------------------------------------------------------------------*/
static int misuse(void *arg)
{
	(void)arg;
	cr_expect(fiber_offload(NULL, NULL) == -EINVAL);
	return 0;
}

Test(offload, misuse_is_told, .timeout = 30)
{
	law_holds(misuse, NULL);
	misuse(NULL);
	cr_expect(fiber_offload(returns, (void *)9) == 9, "a plain thread calls it itself");
}

/* No thread can be had (its stack has no room): told, and the runtime goes on. Sanitizers need
 * room of their own. */
#if !defined(FB_ASAN) && !defined(FB_TSAN)
static int no_threads(void *arg)
{
	struct rlimit before, none;

	(void)arg;
	cr_expect(getrlimit(RLIMIT_AS, &before) == 0);
	none = (struct rlimit){ 1 << 20, before.rlim_max };
	cr_expect(setrlimit(RLIMIT_AS, &none) == 0);
	cr_expect(fiber_offload(returns, (void *)5) == -EAGAIN);
	cr_expect(setrlimit(RLIMIT_AS, &before) == 0);
	cr_expect(fiber_offload(returns, (void *)5) == 5);
	cr_expect(setrlimit(RLIMIT_AS, &none) == 0);
	cr_expect(fiber_offload(returns, (void *)6) == 6, "there is one now");
	cr_expect(setrlimit(RLIMIT_AS, &before) == 0);
	return 0;
}

Test(offload, without_threads_says_so, .timeout = 30)
{
	cr_expect(law_run(1, no_threads, NULL) == 0);
}
#endif
