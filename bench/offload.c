/* offload.c - blocking calls: what a trip to a helper thread and back costs, and what such trips do
 * to the fibers that go on beside them.
 *
 * Round trip: fiber_offload of a function that does nothing, the pool warm, the worker on the first
 * processor, its one helper on the second. Beside it, in turns of the same run, a bare ping-pong
 * of two threads on the same two processors, each sleeping in futex(2) until the other wakes it.
 * Figures are medians over the turns.
 *
 * Heartbeat: a fiber sleeps 10 ms again and again, on the one worker of a runtime whose other
 * fibers offload computations without a pause, four at a time; the same with plain threads. How
 * late is a beat? Checked: all computations are made. */
#include "bench.h"

#include <errno.h>
#include <fiber/io.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TURNS = 41, PER_TURN = 500 };

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts. */
static double quantile(double *of, size_t n, double q)
{
	qsort(of, n, sizeof *of, ascending);
	return of[(size_t)((double)(n - 1) * q)];
}

/* ---- two threads and two words*/

static _Atomic uint32_t ball[2];

static void pass(int to)
{
	atomic_store_explicit(&ball[to], 1, memory_order_release);
	syscall(SYS_futex, &ball[to], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void take(int me)
{
	while (!atomic_load_explicit(&ball[me], memory_order_acquire))
		syscall(SYS_futex, &ball[me], FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	atomic_store_explicit(&ball[me], 0, memory_order_relaxed);
}

static _Atomic bool over;

static void *partner(void *unused)
{
	(void)unused;
	bench_pin(1);
	for (;;) {
		take(1);
		if (atomic_load(&over))
			return NULL;
		pass(0);
	}
}

static double ping_pong_turn(void)
{
	int64_t begin = bench_now();

	for (int i = 0; i < PER_TURN; i++) {
		pass(1);
		take(0);
	}
	return (double)(bench_now() - begin) / PER_TURN;
}

/* ---- a fiber and a helper*/

static int nothing(void *count)
{
	return ++*(int *)count;
}

static int stay_there(void *unused)
{
	(void)unused;
	bench_pin(1);
	return 0;
}

static double offload_turn(void)
{
	int64_t begin = bench_now();
	int count = 0;

	for (int i = 0; i < PER_TURN; i++)
		BENCH_CHECK(fiber_offload(nothing, &count) == i + 1);
	return (double)(bench_now() - begin) / PER_TURN;
}

static double blocking_turn(void)
{
	int64_t begin = bench_now();

	for (int i = 0; i < PER_TURN; i++) {
		BENCH_CHECK(fiber_blocking_begin() == 0);
		fiber_blocking_end();
	}
	return (double)(bench_now() - begin) / PER_TURN;
}

static int trips(void *argument)
{
	const struct bench_row *row = argument;
	static double bare[TURNS], offload[TURNS], blocking[TURNS], ratio[TURNS];
	pthread_t thread;

	bench_pin(0);
	BENCH_CHECK(fiber_offload(stay_there, NULL) == 0);
	BENCH_CHECK(pthread_create(&thread, NULL, partner, NULL) == 0);
	ping_pong_turn();
	offload_turn();
	for (int i = 0; i < TURNS; i++) {
		bare[i] = ping_pong_turn();
		offload[i] = offload_turn();
		blocking[i] = blocking_turn();
		ratio[i] = offload[i] / bare[i];
	}
	atomic_store(&over, true);
	pass(1);
	pthread_join(thread, NULL);
	bench_figure("over a bare ping-pong", quantile(ratio, TURNS, 0.5), "times", row->target);
	bench_figure("", quantile(offload, TURNS, 0.5), "ns", 0);
	bench_figure("blocking begin and end", quantile(blocking, TURNS, 0.5), "ns", 0);
	bench_figure("bare ping-pong", quantile(bare, TURNS, 0.5), "ns", 0);
	return 0;
}

static double round_trip(const struct bench_row *row)
{
	fiber_options_t options = {.workers = 1, .helpers_max = 1};

	over = false;
	BENCH_CHECK(fiber_run(&options, trips, (void *)row) == 0);
	return BENCH_NO_FIGURE;
}

/* ---- the heartbeat*/

enum { BEATS = 200, AT_ONCE = 4 };

static double late[BEATS];
static _Atomic bool stop;
static _Atomic long begun, done;

/* About two milliseconds. */
static int compute(void *unused)
{
	uint64_t state = 1, sum = 0;

	(void)unused;
	for (int i = 0; i < 1000000; i++)
		sum += bench_random(&state);
	bench_keep(sum);
	atomic_fetch_add(&done, 1);
	return 0;
}

static int computes(void *unused)
{
	while (!atomic_load(&stop)) {
		atomic_fetch_add(&begun, 1);
		BENCH_CHECK(fiber_offload(compute, unused) == 0);
	}
	return 0;
}

static void *computes_as_thread(void *unused)
{
	while (!atomic_load(&stop)) {
		atomic_fetch_add(&begun, 1);
		compute(unused);
	}
	return NULL;
}

static int beat(void *unused)
{
	int64_t due = fiber_now();

	(void)unused;
	for (int i = 0; i < BEATS; i++) {
		due += 10 * FIBER_MILLISECOND;
		BENCH_CHECK(fiber_sleep_until(due) == 0);
		late[i] = (double)(fiber_now() - due) / 1000;
		if (late[i] > 10000)
			due = fiber_now(); /* a beat that was missed is not made up for */
	}
	atomic_store(&stop, true);
	return 0;
}

static void tell(const char *median, const char *most, const char *worst)
{
	bench_figure(median, quantile(late, BEATS, 0.5), "us", 0);
	bench_figure(most, quantile(late, BEATS, 0.99), "us", 0);
	bench_figure(worst, late[BEATS - 1], "us", 0);
	BENCH_CHECK(begun == done && done > AT_ONCE);
	stop = false;
	begun = done = 0;
}

static int beside_offloads(void *unused)
{
	fiber_group_t group = FIBER_GROUP_INIT;

	for (int i = 0; i < AT_ONCE; i++)
		BENCH_CHECK(fiber_group_spawn(&group, NULL, computes, unused) == 0);
	beat(NULL);
	return fiber_group_wait(&group);
}

/* On a plain thread the calls of the library block it: the same code. */
static void beside_threads(void)
{
	pthread_t thread[AT_ONCE];

	for (int i = 0; i < AT_ONCE; i++)
		BENCH_CHECK(pthread_create(&thread[i], NULL, computes_as_thread, NULL) == 0);
	beat(NULL);
	for (int i = 0; i < AT_ONCE; i++)
		pthread_join(thread[i], NULL);
}

static double heartbeat(const struct bench_row *row)
{
	fiber_options_t options = {.workers = 1, .helpers_max = AT_ONCE};

	(void)row;
	BENCH_CHECK(fiber_run(&options, beside_offloads, NULL) == 0);
	tell("", "99 of 100", "latest");
	beside_threads();
	tell("threads", "threads, 99 of 100", "threads, latest");
	return BENCH_NO_FIGURE;
}

static const struct bench_row rows[] = {
	{"round trip, pool warm", round_trip, 2, TURNS * PER_TURN, "ns", .workers = 2},
	{"10 ms heartbeat, how late", heartbeat, 0, BEATS, "us", .workers = 2, .cold = true},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
