/* The life of a runtime: what it refuses, its end and who is left running then, again and again. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "law.h"
#include "os/os.h"
#include "os/sanitize.h"
#include "until.h"

static int return_argument(void *arg)
{
	return (int)(intptr_t)arg;
}

/* ---- its result -------------------------------------------------------------------------------*/
Test(runtime, fiber_run_returns_what_main_returned, .timeout = 20)
{
	static const int results[] = { 0, 1, -1, INT32_MAX, INT32_MIN, -EDEADLK };

	for (size_t i = 0; i < sizeof results / sizeof *results; i++)
		for (unsigned workers = 1; workers <= 8; workers *= 2)
			cr_expect(law_run(workers, return_argument,
					  (void *)(intptr_t)results[i]) == results[i]);
	cr_expect(fiber_run(NULL, return_argument, (void *)4) == 4);
	law_no_leaks();
}

static int look_around(void *arg)
{
	unsigned wanted = (unsigned)(uintptr_t)arg;

	cr_expect(fiber_runtime() != NULL);
	cr_expect(fiber_workers() == wanted, "%u workers", fiber_workers());
	cr_expect(fiber_worker() == 1, "main is on the caller's thread");
	cr_expect(fiber_self().id != 0);
	cr_expect(fiber_join(fiber_self(), NULL) < 0 && fiber_detach(fiber_self()) == -EINVAL);
	return 0;
}

Test(runtime, there_are_as_many_workers_as_asked_for, .timeout = 20)
{
	for (unsigned workers = 1; workers <= 8; workers++)
		cr_expect(law_run(workers, look_around, (void *)(uintptr_t)workers) == 0);
	cr_expect(law_run(0, look_around, (void *)(uintptr_t)os_processors()) == 0);
	cr_expect(fiber_runtime() == NULL && fiber_workers() == 0 && fiber_worker() == 0);
	cr_expect(fiber_self().id == 0);
}

/* ---- what it refuses --------------------------------------------------------------------------*/
Test(runtime, options_that_make_no_sense_are_refused, .timeout = 20)
{
	const struct {
		fiber_options_t options;
		int r;
	} wrong[] = {
		{ { .flags = 1u << 6 }, -EINVAL },
		{ { .flags = ~0u }, -EINVAL },
		{ { .workers = 1025 }, -EINVAL },
		{ { .workers = ~0u }, -EINVAL },
		{ { .idle_spin_ns = -1 }, -EINVAL },
		{ { .idle_spin_ns = INT64_MIN }, -EINVAL },
		{ { .poller = "no such poller" }, -ENOTSUP },
		{ { .stack_bytes = SIZE_MAX }, -ENOMEM },
		{ { .reserved = { 1 } }, -EINVAL },
		{ { .reserved = { 0, 0, 1 } }, -EINVAL },
	};
	fiber_runtime_t *none = NULL;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		int r = fiber_run(&wrong[i].options, return_argument, NULL);

		cr_expect(r == wrong[i].r, "case %zu: %d instead of %d", i, r, wrong[i].r);
		r = fiber_runtime_create(&none, &wrong[i].options);
		cr_expect(r == wrong[i].r && none == NULL, "create, case %zu: %d", i, r);
	}
	cr_expect(fiber_run(NULL, NULL, NULL) == -EINVAL);
	cr_expect(fiber_runtime_create(NULL, NULL) == -EINVAL);
	cr_expect(law_run(2, return_argument, (void *)3) == 3);
	law_no_leaks();
}

static int run_inside(void *arg)
{
	(void)arg;
	cr_expect(law_run(1, return_argument, NULL) == -EBUSY);
	cr_expect(fiber_run(NULL, NULL, NULL) == -EINVAL);
	return 0;
}

Test(runtime, a_nested_fiber_run_is_busy, .timeout = 20)
{
	law_holds(run_inside, NULL);
}

Test(runtime, enormous_limits_are_no_limits, .timeout = 20)
{
	fiber_options_t options = {
		.workers = 2, .helpers_max = ~0u, .fibers_max = SIZE_MAX, .idle_spin_ns = INT64_MAX,
	};

	cr_expect(fiber_run(&options, return_argument, (void *)3) == 3);
	options.idle_spin_ns = 1000 * FIBER_SECOND;
	cr_expect(fiber_run(&options, return_argument, (void *)3) == 3, "its end was spun away");
}

/* ---- shortages --------------------------------------------------------------------------------*/
Test(runtime, without_descriptors_it_does_not_start_and_later_does, .timeout = 20)
{
	struct rlimit all, few;

	getrlimit(RLIMIT_NOFILE, &all);
	few = all;
	few.rlim_cur = (rlim_t)law_descriptors() + 3;
	setrlimit(RLIMIT_NOFILE, &few);
	for (int i = 0; i < 5; i++)
		cr_expect(law_run(8, return_argument, NULL) == -EMFILE);
	setrlimit(RLIMIT_NOFILE, &all);
	cr_expect(law_run(8, return_argument, (void *)5) == 5);
	law_no_leaks();
}

static size_t address_space(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (file && fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * 4096;
}

Test(runtime, without_memory_for_its_threads_it_does_not_start_and_later_does, .timeout = 20)
{
#if defined(FB_ASAN) || defined(FB_TSAN)
	cr_skip_test("sanitizers need the address space");
#endif
	struct rlimit all, few;
	int threads, r;

	cr_expect(law_run(8, return_argument, (void *)5) == 5);
	threads = law_threads();
	getrlimit(RLIMIT_AS, &all);
	few = all;
	few.rlim_cur = address_space() + ((rlim_t)100 << 20);
	setrlimit(RLIMIT_AS, &few);
	for (int i = 0; i < 5; i++) {
		r = law_run(200, return_argument, NULL);
		cr_expect(r == -EAGAIN || r == -ENOMEM, "%d", r);
	}
	setrlimit(RLIMIT_AS, &all);
	UNTIL(law_threads() <= threads);
	cr_expect(law_run(8, return_argument, (void *)5) == 5);
}

/* ---- its end ----------------------------------------------------------------------------------*/
static _Atomic unsigned started, ended, cancelled;

static int park_to_the_end(void *arg)
{
	int r;

	atomic_fetch_add(&started, 1);
	r = arg ? fiber_sleep(100 * FIBER_MICROSECOND) : fiber_park();
	FIBER_SHIELD(FIBER_SECOND)
		fiber_sleep(FIBER_MILLISECOND);
	atomic_fetch_add(&cancelled, r == -ECANCELED);
	atomic_fetch_add(&ended, 1);
	return 0;
}

static int leave_some(void *arg)
{
	fiber_t f;

	started = ended = cancelled = 0;
	for (int i = 0; i < 10; i++) {
		cr_expect(fiber_go(park_to_the_end, arg) == 0);
		cr_expect(fiber_spawn(&f, NULL, park_to_the_end, arg) == 0);
	}
	if (!arg)
		UNTIL(atomic_load(&started) == 20);
	return 6;
}

Test(runtime, when_main_returns_the_others_are_cancelled_and_awaited, .timeout = 20)
{
	for (unsigned workers = 1; workers <= 8; workers *= 2) {
		cr_expect(law_run(workers, leave_some, NULL) == 6);
		cr_expect(ended == 20 && cancelled == 20, "%u ended, %u cancelled", ended,
			  cancelled);
	}
	law_no_leaks();
}

Test(runtime, with_wait_at_end_they_are_only_awaited, .timeout = 20)
{
	fiber_options_t options = { .flags = FIBER_WAIT_AT_END };

	for (options.workers = 1; options.workers <= 8; options.workers *= 2) {
		cr_expect(fiber_run(&options, leave_some, "sleep") == 6);
		cr_expect(ended == 20 && cancelled == 0, "%u ended, %u cancelled", ended,
			  cancelled);
	}
}

static int spawn_at_the_end(void *arg)
{
	intptr_t more = (intptr_t)arg;

	atomic_fetch_add(&started, 1);
	while (fiber_check() == 0)
		fiber_yield();
	if (more > 0) {
		cr_expect(fiber_go(spawn_at_the_end, (void *)(more - 1)) == 0);
		cr_expect(fiber_go(spawn_at_the_end, (void *)(more - 1)) == 0);
	}
	atomic_fetch_add(&ended, 1);
	return 0;
}

static int leave_spawners(void *arg)
{
	started = ended = 0;
	return fiber_go(spawn_at_the_end, arg);
}

Test(runtime, what_is_spawned_at_the_end_is_born_cancelled_and_awaited, .timeout = 20)
{
	for (unsigned workers = 1; workers <= 8; workers *= 2) {
		cr_expect(law_run(workers, leave_spawners, (void *)6) == 0);
		cr_expect(started == 127 && ended == 127, "%u started, %u ended", started, ended);
	}
}

/* Never idle, and spawning the fast way: who is born beside the cancellation must not be missed. */
static int spawn_and_end(void *arg)
{
	int more = fiber_check() == 0;

	if (more && fiber_go(spawn_and_end, arg) == 0)
		fiber_yield();
	while (fiber_check() == 0)
		fiber_yield();
	return more;
}

static int child_of_a_breeder(void *arg)
{
	while (fiber_check() == 0)
		fiber_yield();
	return (int)(intptr_t)arg;
}

static int breed(void *arg)
{
	fiber_t f[16];
	int n = 0;

	while (n < 16 && fiber_check() == 0)
		n += fiber_spawn(&f[n], NULL, child_of_a_breeder, arg) == 0;
	FIBER_SHIELD(1000 * FIBER_SECOND)
		while (n > 0)
			cr_expect(fiber_join(f[--n], NULL) == 0);
	return 0;
}

static int leave_breeders(void *arg)
{
	(void)arg;
	for (int i = 0; i < 8; i++)
		if (fiber_go(i % 2 ? breed : spawn_and_end, NULL) != 0)
			return -ENOMEM;
	for (int i = 0; i < 4; i++)
		fiber_yield();
	return 0;
}

Test(runtime, nobody_who_is_born_beside_the_end_is_forgotten, .timeout = 60)
{
	for (unsigned i = law_rounds(2000); i > 0; i--)
		cr_expect(law_run(1 + i % 8, leave_breeders, NULL) == 0);
}

/* ---- again and again --------------------------------------------------------------------------*/
static int work_a_little(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	for (int i = 0; i < 20; i++)
		fiber_group_spawn(&g, NULL, return_argument, arg);
	fiber_sleep(10 * FIBER_MICROSECOND);
	return fiber_group_wait(&g);
}

Test(runtime, it_can_be_started_and_ended_again_and_again, .timeout = 60)
{
	int descriptors, threads;

	law_run(8, work_a_little, NULL);
	descriptors = law_descriptors();
	threads = law_threads();
	for (unsigned i = 0; i < 100; i++)
		cr_expect(law_run(1 + i % 8, work_a_little, NULL) == 0);
	UNTIL(law_threads() <= threads); /* the kernel counts one a moment longer than a join */
	cr_expect(law_descriptors() == descriptors, "%d descriptors are left",
		  law_descriptors() - descriptors);
	law_no_leaks();
}

static void *run_in_a_thread(void *arg)
{
	uintptr_t wrong = 0;

	for (int i = 0; i < 30; i++)
		wrong += law_run((unsigned)(uintptr_t)arg, work_a_little, NULL) != 0;
	return (void *)wrong;
}

Test(runtime, several_threads_run_each_their_own, .timeout = 60)
{
	pthread_t thread[4];
	void *wrong;

	for (uintptr_t i = 0; i < 4; i++)
		cr_assert(!pthread_create(&thread[i], NULL, run_in_a_thread, (void *)(i % 3 + 1)));
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], &wrong);
		cr_expect(wrong == NULL);
	}
	law_no_leaks();
}

/* ---- exit(3) ----------------------------------------------------------------------------------*/
static int exit_the_process(void *arg)
{
	(void)arg;
	exit(42);
}

static int exit_from_a_child(void *arg)
{
	fiber_go(exit_the_process, arg);
	return fiber_sleep(1000 * FIBER_SECOND);
}

Test(runtime, exit_in_a_fiber_ends_the_process, .timeout = 20)
{
#if defined(FB_ASAN) || defined(FB_TSAN)
	cr_skip_test("LeakSanitizer sees no fiber's stack, ThreadSanitizer no threads after fork");
#endif
	for (unsigned workers = 1; workers <= 8; workers *= 2) {
		int status = 0;
		pid_t child = fork();

		if (child == 0) {
			alarm(10);
			law_run(workers, exit_from_a_child, NULL);
			_exit(1);
		}
		waitpid(child, &status, 0);
		cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 42, "%#x", status);
	}
}
