/* The deadlock report: when every fiber waits for another one, and only then. A program of its own,
 * because a Criterion worker has a thread that might wake a fiber, so nothing is reported there. */
#include <errno.h>
#include <fiber.h>
#include <fiber/io.h>
#include <fiber/sync.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/os.h"
#include "expect.h"
#include "os/sanitize.h"

/* ThreadSanitizer has a thread of its own. */
#if defined(FB_TSAN)
enum { PROMISE = FIBER_ONLY_FIBERS };
#else
enum { PROMISE = 0 };
#endif

static _Atomic int cleaned_up;

/* ---- what the library says on stderr ----------------------------------------------------------*/
static char said[1 << 16];

static int run_and_listen(unsigned workers, unsigned flags, fiber_fn *main, void *arg)
{
	fiber_options_t options = { .workers = workers, .flags = flags };
	int kept = dup(STDERR_FILENO), r;
	FILE *file = tmpfile();
	size_t bytes;

	dup2(fileno(file), STDERR_FILENO);
	r = fiber_run(&options, main, arg);
	dup2(kept, STDERR_FILENO);
	close(kept);
	rewind(file);
	bytes = fread(said, 1, sizeof said - 1, file);
	said[bytes] = 0;
	fclose(file);
	return r;
}

static void expect_report(int r, const char *of)
{
	EXPECT(r == -EDEADLK);
	EXPECT(strstr(said, "deadlock") != NULL);
	EXPECT(strstr(said, of) != NULL);
	if (!strstr(said, of))
		puts(said);
}

static void expect_none(int r)
{
	EXPECT(r == 0);
	EXPECT(*said == 0);
}

/* ---- deadlocks --------------------------------------------------------------------------------*/
static int clean_up(int r)
{
	fiber_scope_t shield;

	EXPECT(r == -ECANCELED || r == 0); /* who it waited for may have been cancelled first */
	fiber_shield(&shield, FIBER_NEVER);
	EXPECT(fiber_sleep(FIBER_MILLISECOND) == 0);
	EXPECT(fiber_scope_end(&shield, r) == r);
	atomic_fetch_add(&cleaned_up, 1);
	return r;
}

static int park(void *arg)
{
	(void)arg;
	return clean_up(fiber_park());
}

static int join_it(void *arg)
{
	EXPECT(fiber_park() == 0); /* until all are there */
	return clean_up(fiber_join(*(fiber_t *)arg, NULL));
}

static int join_in_a_circle(void *arg)
{
	fiber_t f[3];

	for (int i = 0; i < 3; i++)
		EXPECT(fiber_spawn(&f[i], &(fiber_attr_t){ .name = "knot" }, join_it,
				   &f[(i + 1) % 3]) == 0);
	for (int i = 0; i < 3; i++)
		EXPECT(fiber_unpark(f[i]) == 0);
	(void)arg;
	return clean_up(fiber_park());
}

static int await_who_never_ends(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	for (unsigned w = 1; w <= fiber_workers(); w++)
		fiber_group_spawn(&g, &(fiber_attr_t){ .name = "knot", .worker = w }, park, arg);
	return fiber_group_wait(&g);
}

static int leave_one_parked(void *arg)
{
	return fiber_go(park, arg);
}

static void deadlocks(unsigned workers)
{
	cleaned_up = 0;
	expect_report(run_and_listen(workers, PROMISE, join_in_a_circle, NULL), "knot");
	EXPECT(cleaned_up == 4);
	expect_report(run_and_listen(workers, PROMISE, await_who_never_ends, NULL), "knot");
	EXPECT(cleaned_up == 4 + (int)workers);
	expect_report(run_and_listen(workers, PROMISE | FIBER_WAIT_AT_END, leave_one_parked, NULL),
		      "park");
	EXPECT(cleaned_up == 5 + (int)workers);
}

/* ---- no deadlocks -----------------------------------------------------------------------------*/
static fiber_t last;
static _Atomic bool parked;

static void *wake_it_later(void *arg)
{
	while (!atomic_load(&parked))
		usleep(1000);
	usleep(200000);
	EXPECT(fiber_unpark(last) == 0);
	return arg;
}

static int park_until_a_thread_comes(void *arg)
{
	last = fiber_self();
	atomic_store(&parked, true);
	EXPECT(fiber_park() == 0);
	(void)arg;
	return 0;
}

static void woken_by_a_thread(unsigned workers, unsigned flags)
{
	pthread_t thread;

	atomic_store(&parked, false);
	EXPECT(!pthread_create(&thread, NULL, wake_it_later, NULL));
	expect_none(run_and_listen(workers, flags, park_until_a_thread_comes, NULL));
	pthread_join(thread, NULL);
}

static int call_that_blocks(void *arg)
{
	usleep(50000);
	(void)arg;
	return 0;
}

static int wait_for_time_and_helpers(void *arg)
{
	int ends[2];
	char byte;

	EXPECT(fiber_sleep(20 * FIBER_MILLISECOND) == 0);
	EXPECT(fiber_offload(call_that_blocks, NULL) == 0);
	EXPECT(fiber_blocking_begin() == 0);
	call_that_blocks(NULL);
	EXPECT(fiber_blocking_end() == 0);
	EXPECT(fiber_sleep(20 * FIBER_MILLISECOND) == 0);
	EXPECT(fiber_pipe(ends) == 0);
	EXPECT(FIBER_TIMEOUT(20 * FIBER_MILLISECOND, fiber_read(ends[0], &byte, 1)) == -ETIMEDOUT);
	fiber_close(ends[0]);
	fiber_close(ends[1]);
	(void)arg;
	return 0;
}

static int leave_detached(void *arg)
{
	for (int i = 0; i < 10; i++)
		EXPECT(fiber_go(park, arg) == 0);
	fiber_yield();
	return 0;
}

/* ---- a promise, and a wait that nothing can end -----------------------------------------------*/
static _Atomic bool over;

static void *only_be_there(void *arg)
{
	while (!atomic_load(&over))
		usleep(1000);
	return arg;
}

static void promised(unsigned workers)
{
	pthread_t thread;

	atomic_store(&over, false);
	EXPECT(!pthread_create(&thread, NULL, only_be_there, NULL));
	expect_report(run_and_listen(workers, FIBER_ONLY_FIBERS, join_in_a_circle, NULL), "knot");
	atomic_store(&over, true);
	pthread_join(thread, NULL);
}

static fiber_mutex_t lock[2] = { FIBER_MUTEX_INIT, FIBER_MUTEX_INIT };

static int lock_both(void *arg)
{
	intptr_t first = (intptr_t)arg;

	fiber_mutex_lock(&lock[first]);
	fiber_yield();
	fiber_mutex_lock(&lock[!first]);
	return 0;
}

/* Locks cannot be cancelled: those fibers are left behind, and with them what they hold. */
static int lock_crosswise(void *arg)
{
	fiber_t f[2];

	for (intptr_t i = 0; i < 2; i++)
		EXPECT(fiber_spawn(&f[i], &(fiber_attr_t){ .worker = 1, .name = "crossed" },
				   lock_both, (void *)i) == 0);
	(void)arg;
	return fiber_join(f[0], NULL);
}

/* A call that was left behind may wake somebody, as long as it runs; then the knot is one. */
static int leave_a_call_behind(void *arg)
{
	int r = FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_offload_leave(call_that_blocks, NULL, NULL));

	EXPECT(r == -ETIMEDOUT);
	return await_who_never_ends(arg);
}

int main(void)
{
	static const unsigned workers[] = { 1, 2, 8 };

	if (os_threads() == 0) {
		puts("skipped: nothing here tells how many threads a process has");
		return 77;
	}
	alarm(55);
	for (int i = 0; i < 3; i++) {
		deadlocks(workers[i]);
		expect_none(run_and_listen(workers[i], 0, wait_for_time_and_helpers, NULL));
		expect_none(run_and_listen(workers[i], 0, leave_detached, NULL));
		woken_by_a_thread(workers[i], 0);
		woken_by_a_thread(workers[i], FIBER_NO_DEADLOCK);
		promised(workers[i]);
	}
	/* Threads of the last one may still be counted when the next one is stuck. */
	for (int i = 0; i < 100; i++)
		expect_report(run_and_listen(2 + i % 7, PROMISE, await_who_never_ends, NULL),
			      "knot");
	expect_report(run_and_listen(2, PROMISE, lock_crosswise, NULL), "crossed");
	expect_report(run_and_listen(1, PROMISE, leave_a_call_behind, NULL), "knot");
	expect_report(run_and_listen(2, PROMISE, leave_a_call_behind, NULL), "knot");
	/* The thread that looks for stalls is the library's own. */
	setenv("FIBER_STALL_MS", "20000", 1);
	expect_report(run_and_listen(2, PROMISE, await_who_never_ends, NULL), "knot");
	_exit(expect_status()); /* without a look for leaks: see above */
}
