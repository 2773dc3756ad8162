/* Who runs what, and when: idle workers find work and otherwise sleep; nobody is starved by yields,
 * by wake-ups that jump the queue, or by timers and words from elsewhere that nobody looks at. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "law.h"
#include "until.h"

static int64_t cpu_time(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * FIBER_SECOND +
	       (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * FIBER_MICROSECOND;
}

/* ---- idle workers find work -------------------------------------------------------------------*/
static _Atomic unsigned together;

/* Computes, without a call, until so many do: each holds a worker of its own. */
static bool compute_together(unsigned n)
{
	int64_t end = fiber_after(20 * FIBER_SECOND);

	atomic_fetch_add(&together, 1);
	while (atomic_load(&together) < n && fiber_now() < end)
		;
	return atomic_load(&together) >= n;
}

static int compute(void *arg)
{
	return compute_together((unsigned)(uintptr_t)arg) ? 0 : -ETIMEDOUT;
}

static void spawn_computing(fiber_t *f, unsigned worker)
{
	fiber_attr_t attr = { .worker = worker };
	void *workers = (void *)(uintptr_t)fiber_workers();

	cr_expect(fiber_spawn(f, worker ? &attr : NULL, compute, workers) == 0);
}

static void join_all(const fiber_t *f, unsigned n)
{
	int result = 0;

	for (unsigned i = 0; i < n; i++)
		cr_expect(fiber_join(f[i], &result) == 0 && result == 0);
}

static int one_for_each_worker(void *arg)
{
	unsigned workers = fiber_workers();
	fiber_stats_t stats;
	fiber_t f[8];

	(void)arg;
	atomic_store(&together, 0);
	for (unsigned i = 1; i < workers; i++)
		spawn_computing(&f[i - 1], 0);
	cr_expect(compute_together(workers), "only %u of %u workers have work", together, workers);
	join_all(f, workers - 1);
	cr_expect(fiber_stats(NULL, &stats) == 0);
	cr_expect(stats.steals >= workers - 1, "%lu steals", (unsigned long)stats.steals);
	return 0;
}

Test(work, what_a_busy_worker_spawns_reaches_all_idle_ones, .timeout = 90)
{
	law_holds(one_for_each_worker, NULL);
}

static int after_a_sleep(void *arg)
{
	for (int i = 0; i < 3; i++) {
		fiber_sleep(30 * FIBER_MILLISECOND); /* all workers are asleep now */
		one_for_each_worker(arg);
	}
	return 0;
}

/* With all workers idle none of them watched, and when one was busy again none began to. */
Test(work, a_lone_child_is_found_by_workers_that_have_been_asleep_for_long, .timeout = 90)
{
	law_holds(after_a_sleep, NULL);
}

/*	worker 1             workers 2..6     7, 8
 *	spawn two, compute   compute          must wake, and take one each */
static int two_are_idle(void *arg)
{
	unsigned workers = fiber_workers(), n = 0;
	fiber_t f[8];

	(void)arg;
	atomic_store(&together, 0);
	for (unsigned w = 2; w <= workers - 2; w++)
		spawn_computing(&f[n++], w);
	UNTIL(atomic_load(&together) == workers - 3);
	for (int i = 0; i < 2; i++)
		spawn_computing(&f[n++], 0);
	cr_expect(compute_together(workers), "%u of %u have work", together, workers);
	join_all(f, n);
	return 0;
}

Test(work, two_of_eight_are_not_left_idle_while_one_is_busy_spawning, .timeout = 60)
{
	for (int i = 0; i < 10; i++)
		cr_expect(law_run(8, two_are_idle, NULL) == 0);
}

static int roam_to_the_idle(void *arg)
{
	uintptr_t n = (uintptr_t)arg;

	fiber_yield(); /* from here on it is in the queue of those that roam */
	return compute_together((unsigned)n) ? 0 : -ETIMEDOUT;
}

static int runnable_fibers_roam(void *arg)
{
	fiber_attr_t attr = { .flags = FIBER_ROAM };
	fiber_group_t g = FIBER_GROUP_INIT;
	unsigned workers = fiber_workers();

	(void)arg;
	atomic_store(&together, 0);
	for (unsigned i = 0; i < workers; i++)
		fiber_group_spawn(&g, &attr, roam_to_the_idle, (void *)(uintptr_t)workers);
	return fiber_group_wait(&g);
}

Test(work, runnable_fibers_that_roam_reach_all_idle_workers, .timeout = 90)
{
	law_holds(runnable_fibers_roam, NULL);
}

/* From outside a fiber comes to one worker's inbox, where nobody else can take it. */
Test(work, what_comes_from_outside_goes_to_an_idle_worker, .timeout = 90)
{
	fiber_options_t options = { .workers = 4 };
	fiber_runtime_t *runtime;
	fiber_attr_t attr = { .worker = 1 };
	fiber_t f[4];

	cr_assert(fiber_runtime_create(&runtime, &options) == 0);
	attr.runtime = runtime;
	for (int round = 0; round < 5; round++) {
		atomic_store(&together, 0);
		for (unsigned i = 0; i < 4; i++) {
			attr.worker = i < 2 ? i + 1 : 0;
			cr_expect(fiber_spawn(&f[i], &attr, compute, (void *)4) == 0);
			UNTIL(atomic_load(&together) >= i + 1);
		}
		join_all(f, 4);
	}
	cr_expect(fiber_runtime_free(runtime) == 0);
}

/* ---- idle workers sleep -----------------------------------------------------------------------*/
static int sleep_all(void *arg)
{
	int64_t before = cpu_time();
	fiber_stats_t first, second;

	(void)arg;
	fiber_sleep(FIBER_MILLISECOND);
	cr_expect(fiber_stats(NULL, &first) == 0);
	fiber_sleep(400 * FIBER_MILLISECOND);
	cr_expect(fiber_stats(NULL, &second) == 0);
	cr_expect(cpu_time() - before < 100 * FIBER_MILLISECOND, "%ld ms of CPU time asleep",
		  (long)((cpu_time() - before) / FIBER_MILLISECOND));
	cr_expect(second.polls - first.polls < 100, "%lu polls",
		  (unsigned long)(second.polls - first.polls));
	return 0;
}

Test(work, idle_workers_sleep, .timeout = 30)
{
	law_holds(sleep_all, NULL);
}

static int one_computes(void *arg)
{
	int64_t end = fiber_after(300 * FIBER_MILLISECOND);
	fiber_stats_t first, second;

	(void)arg;
	fiber_sleep(FIBER_MILLISECOND);
	cr_expect(fiber_stats(NULL, &first) == 0);
	while (fiber_now() < end)
		;
	cr_expect(fiber_stats(NULL, &second) == 0);
	cr_expect(second.polls - first.polls < 300, "%lu polls beside one that computes",
		  (unsigned long)(second.polls - first.polls));
	return 0;
}

Test(work, idle_workers_hardly_wake_while_one_computes, .timeout = 30)
{
	law_holds(one_computes, NULL);
}

/* ---- nobody is starved ------------------------------------------------------------------------*/
enum { YIELDERS = 100 };

static unsigned turns[YIELDERS];
static _Atomic bool over;

static int yield_on(void *arg)
{
	while (!atomic_load(&over)) {
		turns[(uintptr_t)arg]++;
		fiber_yield();
	}
	return 0;
}

static int equal_turns(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	unsigned least = UINT32_MAX, greatest = 0;

	(void)arg;
	for (uintptr_t i = 0; i < YIELDERS; i++)
		fiber_group_spawn(&g, NULL, yield_on, (void *)i);
	while (turns[0] == 0 || turns[YIELDERS - 1] == 0)
		fiber_yield();
	for (int i = 0; i < YIELDERS; i++)
		turns[i] = 0;
	for (int i = 0; i < 10000; i++)
		fiber_yield();
	atomic_store(&over, true);
	for (int i = 0; i < YIELDERS; i++) {
		least = turns[i] < least ? turns[i] : least;
		greatest = turns[i] > greatest ? turns[i] : greatest;
	}
	cr_expect(least > 9000 && greatest - least <= 1, "between %u and %u turns", least,
		  greatest);
	return fiber_group_wait(&g);
}

Test(work, who_yields_gets_as_many_turns_as_the_others, .timeout = 20)
{
	cr_expect(law_run(1, equal_turns, NULL) == 0);
}

enum { NEWCOMERS = 1000, TURNS_FOR_ALL = 20 * NEWCOMERS };

static unsigned begun;

static int begin(void *arg)
{
	(void)arg;
	begun++;
	return 0;
}

/* Counted in turns, not in time: newcomers queue for their turn like everybody else. */
static int newcomers_beside_yielders(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	int mine = 0;

	(void)arg;
	for (uintptr_t i = 0; i < 2; i++)
		fiber_group_spawn(&g, NULL, yield_on, (void *)i);
	while (turns[0] == 0 || turns[1] == 0)
		fiber_yield();
	for (int i = 0; i < NEWCOMERS; i++)
		cr_expect(fiber_go(begin, NULL) == 0);
	while (begun < NEWCOMERS && ++mine < TURNS_FOR_ALL)
		fiber_yield();
	cr_expect(begun == NEWCOMERS, "%u of them began in %d turns", begun, mine);
	atomic_store(&over, true);
	return fiber_group_wait(&g);
}

Test(work, new_fibers_begin_beside_those_that_never_stop, .timeout = 30)
{
	cr_expect(law_run(1, newcomers_beside_yielders, NULL) == 0);
}

static fiber_t player[2];

static int wake_each_other(void *arg)
{
	while (!atomic_load(&over)) {
		fiber_unpark(player[(uintptr_t)arg ^ 1]);
		if (fiber_park() != 0)
			return -ECANCELED;
	}
	fiber_unpark(player[(uintptr_t)arg ^ 1]);
	return 0;
}

static int beside_two_that_wake_each_other(void *arg)
{
	int64_t end = fiber_after(10 * FIBER_SECOND);

	(void)arg;
	for (uintptr_t i = 0; i < 2; i++)
		cr_expect(fiber_spawn(&player[i], &(fiber_attr_t){ .worker = 1 }, wake_each_other,
				      (void *)i) == 0);
	for (int i = 0; i < 1000 && fiber_now() < end; i++)
		fiber_yield();
	cr_expect(fiber_now() < end, "1000 yields took 10 seconds");
	atomic_store(&over, true);
	for (int i = 0; i < 2; i++)
		cr_expect(fiber_join(player[i], NULL) == 0);
	return 0;
}

Test(work, two_that_wake_each_other_starve_nobody, .timeout = 30)
{
	cr_expect(law_run(1, beside_two_that_wake_each_other, NULL) == 0);
}

static int end_after_a_sleep(void *arg)
{
	fiber_sleep(2 * FIBER_MILLISECOND);
	atomic_store(&over, true);
	return (int)(intptr_t)arg;
}

static int timers_beside_yielders(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	fiber_group_spawn(&g, NULL, end_after_a_sleep, NULL);
	for (uintptr_t i = 0; i < 5; i++)
		fiber_group_spawn(&g, NULL, yield_on, (void *)i);
	return fiber_group_wait(&g);
}

Test(work, timers_run_beside_fibers_that_only_yield, .timeout = 20)
{
	cr_expect(law_run(1, timers_beside_yielders, NULL) == 0);
}

static int end_after_a_park(void *arg)
{
	*(fiber_t *)arg = fiber_self();
	atomic_store(&together, 1);
	while (fiber_park() != 0)
		;
	atomic_store(&over, true);
	return 0;
}

static void *unpark_it(void *arg)
{
	UNTIL(atomic_load(&together) == 1);
	fiber_unpark(*(fiber_t *)arg);
	return NULL;
}

static int words_beside_yielders(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	pthread_t thread;
	fiber_t parked;

	(void)arg;
	cr_expect(!pthread_create(&thread, NULL, unpark_it, &parked));
	fiber_group_spawn(&g, NULL, end_after_a_park, &parked);
	for (uintptr_t i = 0; i < 5; i++)
		fiber_group_spawn(&g, NULL, yield_on, (void *)i);
	cr_expect(fiber_group_wait(&g) == 0);
	pthread_join(thread, NULL);
	return 0;
}

Test(work, words_from_elsewhere_reach_a_worker_whose_fibers_only_yield, .timeout = 20)
{
	cr_expect(law_run(1, words_beside_yielders, NULL) == 0);
}
