/* spawn.c - the life of a fiber that does nothing: spawn and join, one by one and in batches.
 *
 * "Alive" fibers all park once before the first of them ends, so each has a stack of its own at
 * the same time; in a plain batch they come and go one after the other. A first round inside the
 * same runtime warms up control blocks and stacks. Checked: every fiber ran exactly once, its
 * result is its own. */
#include "bench.h"

#include <fiber.h>
#include <stdlib.h>

static long ran, parked, wanted;
static fiber_t main_fiber;
static fiber_t *fibers;

static int result_of(long i)
{
	return (int)(i & 0x3fffffff);
}

static int nothing(void *i)
{
	ran++;
	return result_of((long)i);
}

static int park_once(void *i)
{
	if (++parked == wanted)
		fiber_unpark(main_fiber);
	BENCH_CHECK(fiber_park() == 0);
	ran++;
	return result_of((long)i);
}

static void join(fiber_t fiber, long i)
{
	int result = -1;

	BENCH_CHECK(fiber_join(fiber, &result) == 0 && result == result_of(i));
}

static void one_by_one(long n)
{
	fiber_t fiber;

	for (long i = 0; i < n; i++) {
		BENCH_CHECK(fiber_spawn(&fiber, NULL, nothing, (void *)i) == 0);
		join(fiber, i);
	}
}

static void batch(long n)
{
	for (long i = 0; i < n; i++)
		BENCH_CHECK(fiber_spawn(&fibers[i], NULL, nothing, (void *)i) == 0);
	for (long i = 0; i < n; i++)
		join(fibers[i], i);
}

static void all_alive(long n)
{
	parked = 0;
	wanted = n;
	for (long i = 0; i < n; i++)
		BENCH_CHECK(fiber_spawn(&fibers[i], NULL, park_once, (void *)i) == 0);
	BENCH_CHECK(fiber_park() == 0);
	for (long i = 0; i < n; i++)
		BENCH_CHECK(fiber_unpark(fibers[i]) == 0);
	for (long i = 0; i < n; i++)
		join(fibers[i], i);
}

enum { ONE_BY_ONE, BATCH, ALL_ALIVE };

static void (*const ways[])(long) = {
	[ONE_BY_ONE] = one_by_one, [BATCH] = batch, [ALL_ALIVE] = all_alive};

struct life {
	const struct bench_row *row;
	int64_t ns;
};

static int twice(void *argument)
{
	struct life *life = argument;
	const struct bench_row *row = life->row;
	int64_t begin;

	main_fiber = fiber_self();
	ways[row->variant](row->n);
	ran = 0;
	begin = bench_now();
	ways[row->variant](row->n);
	life->ns = bench_now() - begin;
	/* With a thief about, `ran` is counted by two threads and not exact; the results are. */
	BENCH_CHECK(row->workers > 1 || ran == row->n);
	return 0;
}

static void pin_worker(void *context, unsigned worker)
{
	(void)context;
	bench_pin(worker - 1);
}

static double lives(const struct bench_row *row)
{
	struct life life = {.row = row};
	fiber_options_t options = {
		.workers = row->workers ? row->workers : 1, .worker_start = pin_worker};

	fibers = calloc((size_t)row->n, sizeof *fibers);
	BENCH_CHECK(fibers);
	BENCH_CHECK(fiber_run(&options, twice, &life) == 0);
	free(fibers);
	return (double)life.ns / row->n;
}

static const struct bench_row rows[] = {
	{"one by one", lives, 35, 1000000, .n = 1000000, .variant = ONE_BY_ONE},
	{"one by one, idle second worker", lives, 90, 1000000, .n = 1000000, .workers = 2,
	 .variant = ONE_BY_ONE},
	{"batch of 100,000", lives, 40, 100000, .n = 100000, .variant = BATCH},
	{"100,000 alive, parked once", lives, 200, 100000, .n = 100000, .variant = ALL_ALIVE},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
