/* depth.c - suspending at the bottom of 1, 10 and 100 calls: what the depth costs.
 *
 * Two fibers hand the worker to each other. "At the bottom": both are down there and yield again
 * and again; a stack is switched in one piece, however many frames it has. "Down and back": each
 * trip calls down, yields once, and returns through all the calls. Who has no stack pays for each
 * level: with a frame from the heap for each call, and, where a resume begins at the top, on
 * every resume. Checked: every trip returns its depth, and both fibers have yielded as often as
 * they should. */
#include "bench.h"

#include <fiber.h>

static long yielded;

static __attribute__((__noinline__)) long descend(long depth, long yields)
{
	long below = 0;

	if (depth > 1) {
		below = descend(depth - 1, yields);
		bench_keep(below); /* no tail call, no loop */
		return below + 1;
	}
	for (long i = 0; i < yields; i++, yielded++)
		fiber_yield();
	return 1;
}

static int stay(void *argument)
{
	const struct bench_row *row = argument;

	BENCH_CHECK(descend(row->n, row->operations) == row->n);
	return 0;
}

static int come_and_go(void *argument)
{
	const struct bench_row *row = argument;

	for (long i = 0; i < row->operations; i++)
		BENCH_CHECK(descend(row->n, 1) == row->n);
	return 0;
}

static int64_t took;

static int both(void *argument)
{
	const struct bench_row *row = argument;
	fiber_fn *way = row->variant ? come_and_go : stay;
	int64_t begin = bench_now();
	fiber_t one, two;

	BENCH_CHECK(fiber_spawn(&one, NULL, way, argument) == 0);
	BENCH_CHECK(fiber_spawn(&two, NULL, way, argument) == 0);
	BENCH_CHECK(fiber_join(one, NULL) == 0 && fiber_join(two, NULL) == 0);
	took = bench_now() - begin;
	return 0;
}

static double depth(const struct bench_row *row)
{
	fiber_options_t options = {.workers = 1};

	yielded = 0;
	BENCH_CHECK(fiber_run(&options, both, (void *)row) == 0);
	BENCH_CHECK(yielded == 2 * row->operations);
	return (double)took / (2 * row->operations);
}

static const struct bench_row rows[] = {
	{"yield at the bottom of 1 call", depth, 0, 1000000, .n = 1},
	{"yield at the bottom of 10 calls", depth, 0, 1000000, .n = 10},
	{"yield at the bottom of 100 calls", depth, 0, 1000000, .n = 100},
	{"1 call down, a yield, and back", depth, 0, 1000000, .n = 1, .variant = 1},
	{"10 calls down, a yield, and back", depth, 0, 200000, .n = 10, .variant = 1},
	{"100 calls down, a yield, and back", depth, 0, 20000, .n = 100, .variant = 1},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
