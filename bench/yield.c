/* yield.c - fiber_yield through the scheduler, among few and among many.
 *
 * All fibers are started and parked before the first of them counts, so that only yields are
 * measured: the one that passes `begin_at` turns (of all together) reads the clock, and the one
 * that passes `end_at` reads it again and stops them all. Checked: the turns of all fibers,
 * warm-up included, are within one of each other, and their sum is exact.
 *
 * Some hundred fibers fit in the nearest cache with their stacks' tops; 10,000 and 100,000 do
 * not, and then each yield pays for memory. */
#include "bench.h"

#include <fiber.h>
#include <stdlib.h>

enum { STACK_BYTES_AT_LEAST = 5000 };

static struct {
	long turns, begin_at, next_mark, end_at;
	int64_t begin, end;
	bool over;
	long parked, n;
	fiber_t main;
	long *counts;
	fiber_t *fibers;
} run;

static __attribute__((__noinline__)) void mark(void)
{
	if (run.turns == run.end_at) {
		run.end = bench_now();
		run.over = true;
		return;
	}
	run.next_mark = run.end_at;
	run.begin = bench_now();
}

static void wait_for_all(void)
{
	if (++run.parked == run.n)
		fiber_unpark(run.main);
	BENCH_CHECK(fiber_park() == 0);
}

static int turn(void *count)
{
	long mine = 0;

	wait_for_all();
	while (!run.over) {
		mine++;
		if (++run.turns == run.next_mark)
			mark();
		fiber_yield();
	}
	*(long *)count = mine;
	return 0;
}

/* The same again: a function of its own has a call of its own, and the return predictor sees it. */
static int other_turn(void *count)
{
	long mine = 0;

	wait_for_all();
	while (!run.over) {
		mine++;
		if (++run.turns == run.next_mark)
			mark();
		fiber_yield();
		__asm__ volatile("nop");
	}
	*(long *)count = mine;
	return 0;
}

static int everybody(void *argument)
{
	const struct bench_row *row = argument;

	run.main = fiber_self();
	for (long i = 0; i < run.n; i++)
		BENCH_CHECK(fiber_spawn(&run.fibers[i], NULL,
					row->variant && i & 1 ? other_turn : turn,
					&run.counts[i]) == 0);
	BENCH_CHECK(fiber_park() == 0);
	for (long i = 0; i < run.n; i++)
		BENCH_CHECK(fiber_unpark(run.fibers[i]) == 0);
	for (long i = 0; i < run.n; i++)
		BENCH_CHECK(fiber_join(run.fibers[i], NULL) == 0);
	return 0;
}

static double yields(const struct bench_row *row)
{
	fiber_options_t options = {.workers = 1};

	if (bench_lacks_memory(row->n, STACK_BYTES_AT_LEAST))
		return BENCH_NO_FIGURE;
	run.n = row->n;
	run.parked = run.turns = 0;
	run.over = false;
	run.begin_at = run.next_mark = row->operations / 4;
	run.end_at = run.begin_at + row->operations;
	run.counts = calloc((size_t)run.n, sizeof *run.counts);
	run.fibers = calloc((size_t)run.n, sizeof *run.fibers);
	BENCH_CHECK(run.counts && run.fibers);
	BENCH_CHECK(fiber_run(&options, everybody, (void *)row) == 0);
	bench_fair(run.counts, run.n, run.turns, true);
	free(run.counts);
	free(run.fibers);
	return (double)(run.end - run.begin) / row->operations;
}

static const struct bench_row rows[] = {
	{"2 fibers", yields, 8, 4000000, .n = 2},
	{"2 fibers, two callers", yields, 13, 4000000, .n = 2, .variant = 1},
	{"100 fibers", yields, 8, 4000000, .n = 100},
	{"10,000 fibers", yields, 12, 4000000, .n = 10000},
	{"100,000 fibers", yields, 50, 2000000, .n = 100000},
	{"1,000,000 fibers", yields, 0, 4000000, .n = 1000000},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
