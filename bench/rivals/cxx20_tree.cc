// The coroutines of C++20 in the workload of bench/forkjoin.c. What was spawned last runs first, so
// that only one path of the tree is alive. One thread.
#define CXX20_NEWEST_FIRST
#include "cxx20.h"

#include "bench.h"

using cxx20::task;

enum { FIB_N = 27, FIB_VALUE = 196418, FIB_TASKS = 317810 };
enum { LEAVES = 1000000, SKYNET_TASKS = 1111111 };

static task fib(long n)
{
	if (n < 2)
		co_return n;
	task child = fib(n - 1);

	child.spawn();
	long two = co_await fib(n - 2);
	co_return two + co_await child;
}

static task skynet(long number, long leaves)
{
	task children[10];
	long sum = 0;

	if (leaves == 1)
		co_return number;
	for (long i = 0; i < 10; i++)
		(children[i] = skynet(number + i * (leaves / 10), leaves / 10)).spawn();
	for (task &child : children)
		sum += co_await child;
	co_return sum;
}

static double tree(const bench_row *row)
{
	int64_t begin = bench_now();
	task root = row->variant ? skynet(0, LEAVES) : fib(FIB_N);

	root.spawn();
	cxx20::run();
	BENCH_CHECK(root.done());
	long wanted = row->variant ? long(LEAVES) * (LEAVES - 1) / 2 : long(FIB_VALUE);
	BENCH_CHECK(root.value() == wanted);
	if (row->variant)
		bench_figure("peak memory", bench_peak_megabytes(), "MB", 0);
	return double(bench_now() - begin) / 1e6;
}

static const bench_row rows[] = {
	{"fib(27), one worker", tree, 0, FIB_TASKS, "ms", 0, 1, false, 0},
	{"skynet, one worker", tree, 0, SKYNET_TASKS, "ms", 0, 1, false, 1},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
