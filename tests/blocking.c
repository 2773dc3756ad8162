/* fiber_blocking_begin and _end: the fiber goes to a helper thread, and comes back. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "law.h"
#include "on_a_thread.h"
#include "os/os.h"
#include "os/sanitize.h"
#include "others.h"
#include "worlds.h"

/* Compilers keep the result of pthread_self; the fiber changes its thread in between. */
static NOINLINE pthread_t this_thread(void)
{
	__asm__ volatile("");
	return pthread_self();
}

/* Blocks its thread until the test says so. */
struct stay {
	_Atomic uint32_t begun, go;
	pthread_t thread;
};

static void block(struct stay *s)
{
	s->thread = this_thread();
	atomic_store(&s->begun, 1);
	while (atomic_load(&s->go) == 0)
		os_word_sleep(&s->go, 0, OS_NEVER);
}

static void let_go(struct stay *s)
{
	atomic_store(&s->go, 1);
	os_word_wake(&s->go, 1);
}

static int blocks(void *arg)
{
	struct stay *s = arg;
	pthread_t home = this_thread();
	unsigned worker = fiber_worker();
	fiber_t self = fiber_self();
	int r = fiber_blocking_begin();

	if (r < 0)
		return r;
	cr_expect(fiber_worker() == 0 && fiber_self().id == 0, "a plain thread");
	block(s);
	cr_expect(!pthread_equal(home, s->thread));
	cr_expect(fiber_blocking_end() == 0);
	cr_expect(pthread_equal(home, this_thread()) && fiber_worker() == worker);
	cr_expect(fiber_equal(fiber_self(), self));
	return 5;
}

/* ---- success ----------------------------------------------------------------------------------*/
static int to_and_fro(void *arg)
{
	struct stay s = { 0 };
	struct other other = { 0 };
	fiber_t f = spawned(blocks, &s), o = spawned(other_goes_on, &other);
	fiber_info_t info;

	(void)arg;
	UNTIL(atomic_load(&s.begun));
	others_go_on(&other);
	cr_expect(fiber_info(f, &info) == 0);
	cr_expect(strcmp(info.state, "blocking") == 0, "%s", info.state);
	let_go(&s);
	cr_expect(result_of(f) == 5);
	atomic_store(&other.stop, true);
	return result_of(o);
}

Test(blocking, the_fiber_blocks_and_the_others_go_on, .timeout = 30)
{
	law_holds(to_and_fro, NULL);
}

static int often(void *arg)
{
	uint64_t state = (uintptr_t)arg;
	int kept = (int)state, r;

	for (unsigned i = 0; i < law_rounds(300); i++) {
		r = fiber_blocking_begin();
		cr_expect(r == 0);
		if (law_random(&state) % 4 == 0)
			usleep(10);
		cr_expect(fiber_blocking_end() == 0);
		if (law_random(&state) % 4 == 0)
			fiber_yield();
		if (law_random(&state) % 8 == 0)
			cr_expect(FIBER_TIMEOUT(FIBER_MICROSECOND, fiber_park()) == -ETIMEDOUT);
		kept++;
	}
	return kept - (int)(uintptr_t)arg;
}

static int many_often(void *arg)
{
	enum { FIBERS = 20 };
	fiber_attr_t roams = { .flags = FIBER_ROAM };
	fiber_t f[FIBERS];

	(void)arg;
	for (uintptr_t i = 0; i < FIBERS; i++)
		cr_expect(fiber_spawn(&f[i], i % 2 ? &roams : NULL, often, (void *)(i + 1)) == 0);
	for (int i = 0; i < FIBERS; i++)
		cr_expect(result_of(f[i]) == (int)law_rounds(300));
	return 0;
}

Test(blocking, many_fibers_come_and_go, .timeout = 60)
{
	law_holds_with(&(fiber_options_t){ .helpers_max = 5 }, many_often, NULL);
}

Test(blocking, fibers_that_roam_come_and_go_at_every_park, .timeout = 60)
{
	setenv("FIBER_TEST_MOVE", "1", 1);
	law_holds_with(&(fiber_options_t){ .helpers_max = 5 }, many_often, NULL);
}

/* ---- interruptions ----------------------------------------------------------------------------*/
static int shows_afterwards(void *arg)
{
	struct stay s = { 0 };
	fiber_t f = spawned(blocks, &s);
	fiber_scope_t scope;

	(void)arg;
	UNTIL(atomic_load(&s.begun));
	cr_expect(fiber_cancel(f) == 0);
	let_go(&s);
	cr_expect(result_of(f) == 5, "a cancellation waits for the end");

	fiber_within(&scope, fiber_after(2 * FIBER_MILLISECOND));
	if (fiber_blocking_begin() == 0) {
		usleep(10000);
		cr_expect(fiber_check() == 0 && fiber_deadline() == FIBER_NEVER, "the thread's");
		cr_expect(fiber_blocking_end() == 0);
	}
	cr_expect(fiber_sleep(FIBER_SECOND) == -ECANCELED, "it has passed meanwhile");
	cr_expect(fiber_scope_end(&scope, -ECANCELED) == -ETIMEDOUT);
	cr_expect(fiber_sleep(FIBER_MILLISECOND) == 0, "and is over");
	return 0;
}

Test(blocking, an_interruption_shows_after_the_end, .timeout = 30)
{
	law_holds(shows_afterwards, NULL);
}

static int never_begun(void *arg)
{
	struct stay s = { 0 }, t = { 0 };
	fiber_t f = spawned(blocks, &s), g;
	fiber_scope_t scope;

	(void)arg;
	UNTIL(atomic_load(&s.begun));
	g = spawned(blocks, &t);
	until_it_waits_for(g, "offload");
	cr_expect(fiber_cancel(g) == 0);
	cr_expect(result_of(g) == -ECANCELED);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, blocks(&t)) == -ETIMEDOUT);
	cr_expect(fiber_sleep(FIBER_MILLISECOND) == 0);
	fiber_within(&scope, 0);
	cr_expect(blocks(&t) == -ECANCELED, "known before");
	fiber_scope_end(&scope, 0);
	cr_expect(atomic_load(&t.begun) == 0);
	let_go(&s);
	cr_expect(result_of(f) == 5);
	return 0;
}

Test(blocking, who_waits_for_a_helper_can_be_interrupted, .timeout = 30)
{
	law_holds_with(&(fiber_options_t){ .helpers_max = 1 }, never_begun, NULL);
}

static int races(void *arg)
{
	uint64_t state = *(uint64_t *)arg;

	for (unsigned i = 0; i < law_rounds(1000); i++) {
		struct stay s = { .go = 1 };
		fiber_t f = spawned(blocks, &s);
		int result = 0;

		for (unsigned j = law_random(&state) % 4; j > 0; j--)
			fiber_yield();
		if (law_random(&state) % 8 == 0)
			fiber_sleep((int64_t)(law_random(&state) % 20000));
		fiber_cancel(f);
		cr_expect(fiber_join(f, &result) == 0);
		cr_expect(result == 5 || result == -ECANCELED, "%d", result);
		cr_expect((result == 5) == (atomic_load(&s.begun) == 1));
	}
	return 0;
}

static int never(void *arg)
{
	(void)arg;
	return 0;
}

/* The timer of a wait that a helper ended goes off while the fiber is there, or at home again, in
 * other waits: it must end none of them. */
struct hurry {
	struct stay stay;
	int64_t within;
};

static int blocks_within(void *arg)
{
	struct hurry *h = arg;
	fiber_scope_t scope;
	ssize_t r;

	fiber_within(&scope, fiber_after(h->within));
	r = fiber_scope_end(&scope, blocks(&h->stay));
	cr_expect(fiber_sleep(h->within) == 0, "a wait without a deadline");
	cr_expect(fiber_blocking_begin() == 0 && fiber_blocking_end() == 0);
	cr_expect(fiber_offload(never, NULL) == 0);
	return (int)r;
}

static int deadline_races(void *arg)
{
	enum { AT_ONCE = 8 };
	uint64_t state = *(uint64_t *)arg;

	for (unsigned i = 0; i < law_rounds(300); i++) {
		struct hurry h[AT_ONCE] = { 0 };
		fiber_t f[AT_ONCE];

		for (int k = 0; k < AT_ONCE; k++) {
			h[k].stay.go = 1;
			h[k].within = (int64_t)(law_random(&state) % 100000);
			f[k] = spawned(blocks_within, &h[k]);
		}
		for (int k = 0; k < AT_ONCE; k++) {
			int r = result_of(f[k]);

			cr_expect(r == 5 || r == -ETIMEDOUT, "%d", r);
			cr_expect((r == 5) == (atomic_load(&h[k].stay.begun) == 1));
		}
	}
	return 0;
}

Test(blocking, a_deadline_takes_it_back_or_comes_too_late, .timeout = 120)
{
	uint64_t seed = law_seed();

	law_holds(deadline_races, &seed);
	law_holds_with(&(fiber_options_t){ .helpers_max = 2 }, deadline_races, &seed);
}

Test(blocking, a_cancellation_takes_it_back_or_comes_too_late, .timeout = 60)
{
	uint64_t seed = law_seed();

	law_holds(races, &seed);
	law_holds_with(&(fiber_options_t){ .helpers_max = 1 }, races, &seed);
}

/* ---- in between -------------------------------------------------------------------------------*/
static int ends_in_between(void *arg)
{
	cr_expect(fiber_blocking_begin() == 0);
	if (arg)
		fiber_exit(6);
	return 5;
}

static int in_between(void *arg)
{
	fiber_runtime_t *runtime = fiber_runtime();
	fiber_attr_t attr = { .runtime = runtime };
	fiber_t f = spawned(ends_in_between, NULL), g = spawned(ends_in_between, &attr);
	fiber_scope_t scope;
	char *name;
	int fds[2], r;

	(void)arg;
	cr_expect(result_of(f) == 5 && result_of(g) == 6);
	cr_expect(fiber_pipe(fds) == 0);
	r = fiber_blocking_begin();
	cr_expect(r == 0);
	name = strdup("heap"); /* the thread's arena */
	cr_expect(fiber_blocking_begin() == -EALREADY, "it does not nest");
	cr_expect(fiber_run(NULL, never, NULL) == -EBUSY);
	cr_expect(fiber_write(fds[1], "x", 1) == 1 && fiber_read(fds[0], name, 1) == 1);
	fiber_within(&scope, fiber_after(FIBER_MILLISECOND));
	cr_expect(fiber_read(fds[0], name, 1) == -ECANCELED);
	cr_expect(fiber_scope_end(&scope, -ECANCELED) == -ETIMEDOUT);
	cr_expect(fiber_spawn(&f, NULL, never, NULL) == -EINVAL);
	cr_expect(fiber_spawn(&f, &attr, never, NULL) == 0);
	cr_expect(fiber_join(f, NULL) == 0, "its thread waits");
	cr_expect(fiber_blocking_end() == 0);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	free(name);
	return 0;
}

Test(blocking, in_between_is_a_plain_thread, .timeout = 30)
{
	law_holds(in_between, NULL);
}

static int misuse(void *arg)
{
	(void)arg;
	cr_expect(fiber_blocking_end() == -EINVAL);
	cr_expect(fiber_blocking_begin() == 0 && fiber_blocking_end() == 0);
	cr_expect(fiber_blocking_end() == -EINVAL);
	return 0;
}

static int nothing_happens(void *arg)
{
	pthread_t before = this_thread();

	(void)arg;
	cr_expect(fiber_blocking_begin() == 0 && fiber_blocking_begin() == 0);
	cr_expect(pthread_equal(before, this_thread()));
	cr_expect(fiber_blocking_end() == 0);
	return 0;
}

Test(blocking, misuse_is_told, .timeout = 30)
{
	law_holds(misuse, NULL);
	cr_expect(on_a_thread(nothing_happens, NULL) == 0, "a plain thread may block as it is");
}

/* ---- fork, on the helper ----------------------------------------------------------------------*/
#if !defined(FB_TSAN)
static int forks(void *arg)
{
	pid_t child;
	int status = -1;

	(void)arg;
	cr_expect(fiber_blocking_begin() == 0);
	child = fork();
	if (child == 0)
		_exit(fiber_blocking_end() == -ECHILD && fiber_blocking_begin() == -ECHILD ? 0 : 1);
	cr_expect(waitpid(child, &status, 0) == child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", status);
	child = fork();
	if (child == 0)
		return 3; /* the end of its only thread */
	cr_expect(waitpid(child, &status, 0) == child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 3, "%x", status);
	cr_expect(fiber_blocking_end() == 0);
	return 0;
}

Test(blocking, a_child_forked_in_between_stays_where_it_is, .timeout = 30)
{
	law_holds(forks, NULL);
}
#endif
