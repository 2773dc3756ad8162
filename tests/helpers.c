/* The pool of helper threads: its bound, its queue, its growing and shrinking, and jobs that are
 * asked back in the middle of a system call. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
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

/* ---- asked back -------------------------------------------------------------------------------*/
struct reading {
	struct helpers_job job;
	int fd;
	char byte;
	_Atomic uint32_t begun;
};

static int reads_blocking(void *arg)
{
	struct reading *r = arg;
	ssize_t n;

	atomic_store(&r->begun, 1);
	do {
		if (atomic_load(&r->job.stop))
			return -EINTR;
		n = read(r->fd, &r->byte, 1);
	} while (n < 0 && errno == EINTR);
	return (int)n;
}

static int offloads_reading(void *arg)
{
	struct reading *r = arg;

	r->job = (struct helpers_job){ .run = reads_blocking, .argument = r,
				       .flags = HELPERS_STOPPABLE, .what = WAIT_READ };
	return helpers_call(&r->job);
}

static int asked_back(void *arg)
{
	struct reading r = { 0 };
	int fds[2];
	fiber_t f;

	(void)arg;
	cr_expect(pipe2(fds, O_CLOEXEC) == 0);
	r.fd = fds[0];
	f = spawned(offloads_reading, &r);
	while (atomic_load(&r.begun) == 0)
		fiber_yield();
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, offloads_reading(&r)) == -ETIMEDOUT);
	r.begun = 0;
	f = spawned(offloads_reading, &r);
	while (atomic_load(&r.begun) == 0)
		fiber_yield();
	for (int i = 0; i < 20; i++) { /* one may come too early */
		helpers_recall(&r.job);
		fiber_sleep(FIBER_MILLISECOND);
	}
	cr_expect(result_of(f) == -EINTR);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

Test(helpers, a_stoppable_job_comes_back_from_its_system_call, .timeout = 30)
{
	law_holds(asked_back, NULL);
}

/* Behind jobs that fill the pool. */
static int never_begun(void *arg)
{
	struct stage s = { 0 };
	struct ticket t = { &s, 0 };
	struct reading r = { .fd = -1 };
	fiber_t f = spawned(goes_on_stage, &t), g;

	(void)arg;
	while (atomic_load(&s.begun) == 0)
		fiber_yield();
	g = spawned(offloads_reading, &r);
	until_it_waits_for(g, "read");
	cr_expect(fiber_cancel(g) == 0);
	cr_expect(result_of(g) == -ECANCELED);
	g = spawned(offloads_reading, &r);
	until_it_waits_for(g, "read");
	helpers_recall(&r.job);
	cr_expect(result_of(g) == -EINTR);
	cr_expect(atomic_load(&r.begun) == 0);
	cr_expect(helpers_queued() == 0);
	atomic_store(&s.go, 1);
	os_word_wake(&s.go, 1);
	return result_of(f);
}

Test(helpers, a_queued_job_comes_back_unrun, .timeout = 30)
{
	law_holds_with(&(fiber_options_t){ .helpers_max = 1 }, never_begun, NULL);
}

/* A byte against an interruption: it was read, or is still there. */
static int success_is_success(void *arg)
{
	unsigned rounds = law_rounds(2000), returned = 0, sent = 0;
	uint64_t state = *(uint64_t *)arg;
	int fds[2];

	cr_expect(pipe2(fds, O_CLOEXEC) == 0);
	for (unsigned i = 0; i < rounds; i++) {
		struct reading r = { .fd = fds[0] };
		unsigned how = (unsigned)law_random(&state);
		fiber_t f = spawned(offloads_reading, &r);
		int result;

		for (unsigned j = how % 4; j > 0; j--)
			fiber_yield();
		if (how & 16)
			cr_expect(fiber_cancel(f) == 0);
		cr_expect(write(fds[1], "x", 1) == 1);
		sent++;
		fiber_cancel(f);
		cr_expect(fiber_join(f, &result) == 0);
		cr_expect(result == 1 || result == -ECANCELED, "%d", result);
		returned += result == 1;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	for (char byte; read(fds[0], &byte, 1) == 1;)
		returned++;
	cr_expect(returned == sent, "%u of %u", returned, sent);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

Test(helpers, a_success_is_a_success_whatever_was_asked, .timeout = 120)
{
	uint64_t seed = law_seed();

	law_holds(success_is_success, &seed);
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

/* A plain thread waits for a stoppable job in its sleep, under its own deadline. */
Test(helpers, a_plain_thread_waits_too, .timeout = 30)
{
	struct reading r = { 0 };
	int fds[2];

	cr_expect(pipe2(fds, O_CLOEXEC) == 0);
	r.fd = fds[0];
	cr_expect(FIBER_TIMEOUT(10 * FIBER_MILLISECOND, offloads_reading(&r)) == -ETIMEDOUT);
	cr_expect(write(fds[1], "x", 1) == 1);
	cr_expect(offloads_reading(&r) == 1 && r.byte == 'x');
	cr_expect(wait_offload(nothing, NULL) == 0);
	close(fds[0]);
	close(fds[1]);
	helpers_stop();
	cr_expect(helpers_threads() == 0);
	law_no_leaks();
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
