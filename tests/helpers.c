/* The pool of helper threads: its bound, its queue, its growing and shrinking. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "law.h"
#include "os/os.h"
#include "os/sanitize.h"
#include "sched/helper_threads.h"
#include "sched/helpers.h"
#include "waits.h"

/* ---- the bound and the queue ------------------------------------------------------------------*/
enum { JOBS = 20 };

struct stage {
	_Atomic int inside, most, begun;
	_Atomic uint32_t go;
	int order[JOBS];
};

struct ticket {
	struct stage *stage;
	int number;
};

static int plays(void *arg)
{
	struct ticket *t = arg;
	struct stage *s = t->stage;
	int now = atomic_fetch_add(&s->inside, 1) + 1, most = atomic_load(&s->most);

	while (now > most && !atomic_compare_exchange_weak(&s->most, &most, now))
		;
	s->order[atomic_fetch_add(&s->begun, 1)] = t->number;
	while (atomic_load(&s->go) == 0)
		os_word_sleep(&s->go, 0, OS_NEVER);
	atomic_fetch_sub(&s->inside, 1);
	return t->number;
}

static int goes_on_stage(void *arg)
{
	return wait_offload(plays, arg);
}

static int bound(void *arg)
{
	int most = *(int *)arg;
	struct stage s = { 0 };
	struct ticket t[JOBS];
	fiber_t f[JOBS];

	for (int i = 0; i < JOBS; i++) {
		t[i] = (struct ticket){ &s, i };
		f[i] = spawned(goes_on_stage, &t[i]);
		until_it_waits_for(f[i], "offload");
	}
	while (atomic_load(&s.begun) < most)
		fiber_yield();
	cr_expect(helpers_threads() == (unsigned)most);
	cr_expect(helpers_busy() == JOBS);
	while (helpers_queued() != (unsigned)(JOBS - most))
		fiber_yield();
	atomic_store(&s.go, 1);
	os_word_wake(&s.go, most);
	for (int i = 0; i < JOBS; i++)
		cr_expect(result_of(f[i]) == i);
	cr_expect(atomic_load(&s.most) == most);
	for (int i = 0; i < JOBS && most == 1; i++) /* of several at once the order may differ */
		cr_expect(s.order[i] == i, "%d was the %dth", s.order[i], i);
	while (helpers_busy() != 0)
		fiber_yield();
	cr_expect(helpers_queued() == 0);
	return 0;
}

Test(helpers, no_more_run_than_were_asked_for_and_the_rest_queue, .timeout = 30)
{
	int most = 3;

	law_holds_with(&(fiber_options_t){ .helpers_max = 3 }, bound, &most);
	most = 1;
	law_holds_with(&(fiber_options_t){ .helpers_max = 1 }, bound, &most);
}

/* ---- growing and shrinking --------------------------------------------------------------------*/
static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int one_is_enough(void *arg)
{
	uint64_t calls = helpers_calls();

	(void)arg;
	for (int i = 0; i < 100; i++) {
		cr_expect(wait_offload(nothing, NULL) == 0);
		while (helpers_busy() != 0)
			fiber_yield();
	}
	cr_expect(helpers_threads() <= 2, "%u", helpers_threads());
	cr_expect(helpers_calls() == calls + 100);
	return 0;
}

Test(helpers, calls_one_after_the_other_need_no_crowd, .timeout = 30)
{
	int before = law_threads();

	cr_expect(helpers_threads() == 0, "none is there before it is needed");
	law_holds(one_is_enough, NULL);
	cr_expect(helpers_threads() == 0, "nor after the last runtime");
	while (law_threads() != before) /* a joined thread may be seen for a moment */
		sched_yield();
}

static int grow_and_wait(void *arg)
{
	struct stage s = { 0 };
	struct ticket t[JOBS];
	fiber_t f[JOBS];

	(void)arg;
	for (int i = 0; i < JOBS; i++) {
		t[i] = (struct ticket){ &s, i };
		f[i] = spawned(goes_on_stage, &t[i]);
	}
	while (atomic_load(&s.begun) < JOBS)
		fiber_yield();
	cr_expect(helpers_threads() == JOBS);
	atomic_store(&s.go, 1);
	os_word_wake(&s.go, JOBS);
	for (int i = 0; i < JOBS; i++)
		cr_expect(result_of(f[i]) == i);
	while (helpers_threads() != 0) /* idle for longer than this test allows */
		fiber_yield();
	return wait_offload(nothing, NULL);
}

Test(helpers, the_idle_end, .timeout = 30)
{
	helper_pool.idle_ns = 20 * FIBER_MILLISECOND;
	law_holds(grow_and_wait, NULL);
}

/* Idle helpers that are just giving up, against jobs that are just coming. */
static int short_lives(void *arg)
{
	uint64_t state = *(uint64_t *)arg;

	for (unsigned i = 0; i < law_rounds(3000); i++) {
		cr_expect(wait_offload(nothing, NULL) == 0);
		if (law_random(&state) % 4 == 0)
			fiber_sleep((int64_t)(law_random(&state) % 60000));
	}
	return 0;
}

Test(helpers, a_job_is_never_left_with_one_who_ends, .timeout = 60)
{
	uint64_t seed = law_seed();

	helper_pool.idle_ns = 30 * FIBER_MICROSECOND;
	law_holds(short_lives, &seed);
}

/* ---- the threads ------------------------------------------------------------------------------*/
static int signals_blocked(void *arg)
{
	sigset_t now;

	(void)arg;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	return sigismember(&now, SIGTERM) && sigismember(&now, SIGPIPE) &&
	       sigismember(&now, SIGALRM) && !sigismember(&now, SIGSEGV) &&
	       !sigismember(&now, SIGABRT);
}

static int masks(void *arg)
{
	(void)arg;
	cr_expect(wait_offload(signals_blocked, NULL) == 1);
	return 0;
}

Test(helpers, signals_are_left_to_the_programs_threads, .timeout = 30)
{
	law_holds(masks, NULL);
}

/* A child has no helpers, and makes its own. ThreadSanitizer allows no threads in one. */
#if !defined(FB_TSAN)
static int in_the_child(void *arg)
{
	(void)arg;
	return helpers_threads() == 0 && helpers_busy() == 0 ? wait_offload(nothing, NULL) : 1;
}

static int forks(void *arg)
{
	pid_t child;
	int status = -1;

	(void)arg;
	cr_expect(wait_offload(nothing, NULL) == 0);
	child = fork();
	if (child == 0) {
		if (wait_self() != NULL || wait_why() != -ECHILD)
			_exit(9);
		_exit(fiber_run(NULL, in_the_child, NULL) == 0 ? 0 : 1);
	}
	cr_expect(waitpid(child, &status, 0) == child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", status);
	cr_expect(wait_offload(nothing, NULL) == 0, "the parent goes on");
	return 0;
}

Test(helpers, a_forked_child_makes_its_own, .timeout = 60)
{
	law_holds(forks, NULL);
}
#endif
