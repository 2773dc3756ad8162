/* GNU Pth in the workloads of bench/yield.c, spawn.c and sleep.c. One thread by design; its
 * scheduler is a thread of its own that asks the kernel for events at every turn, and inserts
 * into queues by walking them, so the rows with thousands of threads are left out. */
#include "bench.h"

#include <pth.h>
#include <stdlib.h>

static pth_t *threads;
static pth_attr_t attributes;

static pth_t spawn(void *(*start)(void *), long i)
{
	pth_t thread = pth_spawn(attributes, start, (void *)i);

	BENCH_CHECK(thread);
	return thread;
}

static void prepare(long n, size_t stack_bytes)
{
	static bool once;

	if (!once)
		BENCH_CHECK(pth_init());
	once = true;
	attributes = pth_attr_new();
	pth_attr_set(attributes, PTH_ATTR_JOINABLE, TRUE);
	pth_attr_set(attributes, PTH_ATTR_STACK_SIZE, (unsigned)stack_bytes);
	threads = calloc((size_t)n, sizeof *threads);
	BENCH_CHECK(threads);
}

/* ---- yield*/

static long turns, next_mark, end_at, *counts;
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

static void *turn(void *i)
{
	long mine = 0;

	while (!over) {
		mine++;
		if (++turns == next_mark)
			mark();
		pth_yield(NULL);
	}
	counts[(long)i] = mine;
	return NULL;
}

static double yields(const struct bench_row *row)
{
	prepare(row->n, 16384);
	counts = calloc((size_t)row->n, sizeof *counts);
	turns = 0;
	next_mark = row->operations / 4;
	end_at = next_mark + row->operations;
	over = false;
	for (long i = 0; i < row->n; i++)
		threads[i] = spawn(turn, i);
	for (long i = 0; i < row->n; i++)
		BENCH_CHECK(pth_join(threads[i], NULL));
	bench_fair(counts, row->n, turns, false);
	return (double)(end_ns - begin_ns) / row->operations;
}

/* ---- spawn and join*/

static long ran;

static void *nothing(void *i)
{
	ran++;
	return i;
}

static double lives(const struct bench_row *row)
{
	int64_t begin, end;
	void *result;

	prepare(1, 16384);
	ran = 0;
	begin = bench_now();
	for (long i = 0; i < row->n; i++) {
		pth_t thread = spawn(nothing, i);

		BENCH_CHECK(pth_join(thread, &result) && (long)result == i);
	}
	end = bench_now();
	BENCH_CHECK(ran == row->n);
	return (double)(end - begin) / row->n;
}

static const struct bench_row rows[] = {
	{"2 fibers", yields, 0, 100000, .n = 2},
	{"100 fibers", yields, 0, 100000, .n = 100},
	{"one by one", lives, 0, 20000, .n = 20000},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
