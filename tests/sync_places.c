/* Locks in special places: in loops that never park, where there is no memory to wait with, in a
 * forked child, between two runtimes, in a dump. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/sync.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/sanitize.h"
#include "worlds.h"

static int lock_and_unlock(void *m)
{
	int r = fiber_mutex_lock(m);

	return r != 0 ? r : fiber_mutex_unlock(m);
}

static int status_of(int (*run)(void))
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(run());
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- law 4 ------------------------------------------------------------------------------------*/
struct polled {
	fiber_mutex_t mutex;
	bool done;
};

static int set_done(void *arg)
{
	struct polled *p = arg;

	fiber_mutex_lock(&p->mutex);
	p->done = true;
	return fiber_mutex_unlock(&p->mutex);
}

/* Both loops end only if another fiber of this worker runs. */
static int never_parks(void *arg)
{
	struct polled p = { .done = false };
	fiber_t f = spawned(set_done, &p);
	bool done;

	(void)arg;
	do {
		fiber_mutex_lock(&p.mutex);
		done = p.done;
		fiber_mutex_unlock(&p.mutex);
	} while (!done);
	cr_expect(result_of(f) == 0);
	return 0;
}

Test(lock, a_loop_of_lock_and_unlock_lets_others_run, .timeout = 20)
{
	cr_expect(law_run(1, never_parks, NULL) == 0);
}

static int lock_yield_unlock(void *m)
{
	fiber_mutex_lock(m);
	fiber_yield();
	return fiber_mutex_unlock(m);
}

static int tries_in_vain(void *arg)
{
	fiber_mutex_t m = FIBER_MUTEX_INIT;
	fiber_t f = spawned(lock_yield_unlock, &m);

	(void)arg;
	fiber_yield();
	cr_expect(fiber_mutex_destroy(&m) == -EBUSY, "it does not hold it");
	while (fiber_mutex_trylock(&m) == -EBUSY)
		;
	fiber_mutex_unlock(&m);
	cr_expect(result_of(f) == 0);
	return 0;
}

Test(lock, a_loop_of_trylock_lets_the_holder_run, .timeout = 20)
{
	cr_expect(law_run(1, tries_in_vain, NULL) == 0);
}

/* ---- nothing to wait with ---------------------------------------------------------------------*/
#if !defined(FB_ASAN) && !defined(FB_TSAN) /* they want memory where we have none */
static fiber_mutex_t scarce;
static atomic_bool starts;
static void *volatile all_of_it; /* or a compiler may leave the allocations out */

static void *lock_without_memory(void *arg)
{
	struct rlimit none = { 0, 0 };

	(void)arg;
	setrlimit(RLIMIT_AS, &none);
	while ((all_of_it = malloc(16)))
		;
	atomic_store(&starts, true);
	return fiber_mutex_lock(&scarce) == 0 ? NULL : "";
}

static int64_t processor_time(pthread_t thread)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &t) != 0)
		return -1;
	return t.tv_sec * FIBER_SECOND + t.tv_nsec;
}

/* On a thread that never waited before, so it has no memory to wait with, and polls. */
static int want_of_memory(void)
{
	pthread_t thread;
	void *wrong;

	fiber_mutex_lock(&scarce);
	if (pthread_create(&thread, NULL, lock_without_memory, NULL) != 0)
		return 2;
	while (!atomic_load(&starts))
		usleep(1000);
	for (int64_t then = processor_time(thread);
	     processor_time(thread) < then + 2 * FIBER_MILLISECOND;)
		usleep(1000);
	fiber_mutex_unlock(&scarce);
	pthread_join(thread, &wrong);
	return wrong ? 3 : fiber_mutex_unlock(&scarce) == -EPERM ? 0 : 4;
}

Test(lock, without_memory_to_wait_with_it_is_held_all_the_same, .timeout = 20)
{
	cr_expect(status_of(want_of_memory) == 0);
}
#endif

/* ---- a forked child ---------------------------------------------------------------------------*/
static fiber_mutex_t left_locked, left_free;
static fiber_sem_t left_empty;

static int in_a_child(void)
{
	return fiber_mutex_lock(&left_free) == 0 && fiber_mutex_unlock(&left_free) == 0 &&
	       fiber_mutex_lock(&left_locked) == -ECHILD &&
	       fiber_mutex_trylock(&left_locked) == -EBUSY &&
	       fiber_mutex_lock_until(&left_free, FIBER_NEVER) == -ECHILD &&
	       fiber_sem_wait(&left_empty) == -ECHILD ? 0 : 1;
}

static int hold_and_fork(void *arg)
{
	(void)arg;
	fiber_mutex_lock(&left_locked);
	cr_expect(status_of(in_a_child) == 0);
	return fiber_mutex_unlock(&left_locked);
}

/* Its holder is not there to wait for. */
Test(lock, a_forked_child_does_not_wait, .timeout = 20)
{
	law_holds(hold_and_fork, NULL);
}

/* ---- two runtimes -----------------------------------------------------------------------------*/
struct between {
	fiber_mutex_t mutex;
	fiber_sem_t done;
	long count;
};

static int count_many(void *arg)
{
	struct between *b = arg;

	for (int i = 0; i < 1000; i++) {
		long before;

		fiber_mutex_lock(&b->mutex);
		before = b->count;
		if (i % 16 == 0)
			fiber_yield();
		b->count = before + 1;
		fiber_mutex_unlock(&b->mutex);
	}
	return fiber_sem_post(&b->done);
}

static int shared_by_two(void *arg)
{
	struct between b = { .count = 0 };
	fiber_attr_t elsewhere = { .name = "elsewhere" };

	(void)arg;
	cr_expect(fiber_runtime_create(&elsewhere.runtime, NULL) == 0);
	for (int i = 0; i < 6; i++)
		cr_expect(fiber_spawn(NULL, i % 2 ? &elsewhere : NULL, count_many, &b) == 0);
	for (int i = 0; i < 6; i++)
		cr_expect(fiber_sem_wait(&b.done) == 0);
	cr_expect(b.count == 6000, "%ld", b.count);
	return fiber_runtime_free(elsewhere.runtime);
}

Test(lock, fibers_of_two_runtimes_share_one, .timeout = 60)
{
	law_holds(shared_by_two, NULL);
}

/* ---- what a dump says -------------------------------------------------------------------------*/
static int shown(void *arg)
{
	fiber_mutex_t m = FIBER_MUTEX_INIT;
	fiber_info_t info;
	fiber_t f;

	(void)arg;
	fiber_mutex_lock(&m);
	f = spawned(lock_and_unlock, &m);
	until_waiting(&m, 1);
	cr_expect(fiber_info(f, &info) == 0);
	cr_expect(strcmp(info.waits_for, "mutex") == 0 && info.object == &m);
	fiber_mutex_unlock(&m);
	cr_expect(result_of(f) == 0);
	return 0;
}

Test(lock, a_waiter_is_shown_with_what_it_waits_for, .timeout = 20)
{
	law_holds(shown, NULL);
}
