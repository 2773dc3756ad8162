/* State Threads in the workloads of bench/yield.c, spawn.c and sleep.c. One thread by design.
 *
 * It has no yield: st_usleep(0) goes through the timer heap and the kernel. A turn is handed on
 * by a condition variable instead, to the next in the ring, which is the cheapest way it offers. */
#include "bench.h"

#include <st.h>
#include <stdlib.h>

enum { STACK_DEFAULT = 0 };

static st_thread_t *threads;
static st_cond_t *turn_of, all_parked;

static st_thread_t create(void *(*start)(void *), long i, bool joinable)
{
	st_thread_t thread = st_thread_create(start, (void *)i, joinable, STACK_DEFAULT);

	BENCH_CHECK(thread);
	return thread;
}

static void prepare(long n)
{
	threads = calloc((size_t)n, sizeof *threads);
	turn_of = calloc((size_t)n, sizeof *turn_of);
	BENCH_CHECK(threads && turn_of && st_init() == 0);
}

/* ---- yield*/

static long turns, next_mark, end_at, ring, *counts;
static int64_t begin_ns, end_ns;
static bool over;

static __attribute__((__noinline__)) void mark(void)
{
	if (turns == end_at) {
		end_ns = bench_now();
		over = true;
		return;
	}
	next_mark = end_at;
	begin_ns = bench_now();
}

static void *turn(void *argument)
{
	long i = (long)argument, next = i + 1 == ring ? 0 : i + 1;

	st_cond_wait(turn_of[i]);
	while (!over) {
		counts[i]++;
		if (++turns == next_mark)
			mark();
		st_cond_signal(turn_of[next]);
		if (!over)
			st_cond_wait(turn_of[i]);
	}
	st_cond_signal(turn_of[next]);
	return NULL;
}

/* With a token that goes round only one is runnable: the ring has no queue to speak of. That is
 * in its favour. */
static double yields(const struct bench_row *row)
{
	prepare(row->n);
	ring = row->n;
	counts = calloc((size_t)ring, sizeof *counts);
	turns = 0;
	next_mark = row->operations / 4;
	end_at = next_mark + row->operations;
	over = false;
	for (long i = 0; i < ring; i++) {
		turn_of[i] = st_cond_new();
		threads[i] = create(turn, i, true);
	}
	st_usleep(0);
	st_cond_signal(turn_of[0]);
	for (long i = 0; i < ring; i++)
		BENCH_CHECK(st_thread_join(threads[i], NULL) == 0);
	bench_fair(counts, ring, turns, true);
	return (double)(end_ns - begin_ns) / row->operations;
}

/* ---- spawn and join*/

static long ran, parked;

static void *nothing(void *i)
{
	ran++;
	return i;
}

static void *park_once(void *i)
{
	parked++;
	st_cond_wait(all_parked);
	ran++;
	return i;
}

static void join(long i)
{
	void *result;

	BENCH_CHECK(st_thread_join(threads[i], &result) == 0 && (long)result == i);
}

static void one_by_one(long n)
{
	for (long i = 0; i < n; i++) {
		threads[0] = create(nothing, 0, true);
		join(0);
	}
}

static void batch(long n)
{
	for (long i = 0; i < n; i++)
		threads[i] = create(nothing, i, true);
	for (long i = 0; i < n; i++)
		join(i);
}

static void all_alive(long n)
{
	parked = 0;
	for (long i = 0; i < n; i++)
		threads[i] = create(park_once, i, true);
	st_usleep(0);
	BENCH_CHECK(parked == n);
	st_cond_broadcast(all_parked);
	for (long i = 0; i < n; i++)
		join(i);
}

static double lives(const struct bench_row *row)
{
	static void (*const ways[])(long) = {one_by_one, batch, all_alive};
	int64_t begin, end;

	prepare(row->n);
	all_parked = st_cond_new();
	ways[row->variant](row->n);
	ran = 0;
	begin = bench_now();
	ways[row->variant](row->n);
	end = bench_now();
	BENCH_CHECK(ran == row->n);
	return (double)(end - begin) / row->n;
}

/* ---- sleep*/

static long ended;

static void *sleep_long(void *unused)
{
	st_usleep(3600 * 1000000ull);
	return unused;
}

static double memory(const struct bench_row *row)
{
	int64_t before;

	prepare(row->n);
	before = bench_resident() + bench_page_tables();
	for (long i = 0; i < row->n; i++)
		create(sleep_long, i, false);
	st_usleep(0);
	before = bench_resident() + bench_page_tables() - before;
	bench_figure("", (double)before / row->n, "bytes", 0);
	return BENCH_NO_FIGURE;
}

static int64_t clock_read;

/* Its clock has microseconds and is read once a turn of its loop, so a sleep counts from then. */
static void *sleep_once(void *ns)
{
	BENCH_CHECK(st_usleep((st_utime_t)((long)ns / 1000)) == 0);
	BENCH_CHECK(bench_now() - clock_read >= (long)ns - 1000);
	ended++;
	return NULL;
}

static double random_sleeps(const struct bench_row *row)
{
	uint64_t seed = 1;
	int64_t begin = bench_cpu();

	prepare(row->n);
	clock_read = bench_now();
	ended = 0;
	st_usleep(0);
	for (long i = 0; i < row->n; i++)
		create(sleep_once, (long)(bench_random(&seed) % 1000000000), false);
	while (ended < row->n)
		st_usleep(10000);
	return (double)(bench_cpu() - begin) / 1e9;
}

static const struct bench_row rows[] = {
	{"2 fibers", yields, 0, 4000000, .n = 2, .cold = true},
	{"100 fibers", yields, 0, 4000000, .n = 100, .cold = true},
	{"10,000 fibers", yields, 0, 4000000, .n = 10000, .cold = true},
	{"100,000 fibers", yields, 0, 2000000, .n = 100000, .cold = true},
	{"one by one", lives, 0, 500000, .n = 500000, .variant = 0, .cold = true},
	{"batch of 100,000", lives, 0, 100000, .n = 100000, .variant = 1, .cold = true},
	{"100,000 alive, parked once", lives, 0, 100000, .n = 100000, .variant = 2, .cold = true},
	{"10,000 parked", memory, 0, 1, "bytes", .n = 10000, .cold = true},
	{"100,000 parked", memory, 0, 1, "bytes", .n = 100000, .cold = true},
	{"1,000,000 parked", memory, 0, 1, "bytes", .n = 1000000, .cold = true},
	{"100,000 random sleeps", random_sleeps, 0, 100000, "s", .n = 100000, .cold = true},
	{"1,000,000 random sleeps", random_sleeps, 0, 1000000, "s", .n = 1000000, .cold = true},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
