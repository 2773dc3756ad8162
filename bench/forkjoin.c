/* forkjoin.c - trees of fibers: fib(27) with a spawn in every call, and skynet.
 *
 * fib spawns one half of every call and computes the other itself: 317,810 fibers. Skynet is a
 * tree of ten children at each of six levels, a million leaves, whose numbers are summed on the
 * way up: 1,111,111 fibers, and the order in which they run decides whether a few stacks suffice
 * or a million are needed. Checked: both sums. The peak of the whole process's memory is
 * published with skynet. */
#include "bench.h"

#include <fiber.h>

enum { FIB_N = 27, FIB_VALUE = 196418, FIB_FIBERS = 317810 };
enum { LEAVES = 1000000, SKYNET_FIBERS = 1111111 };

static int fib(void *argument)
{
	long n = (long)argument;
	fiber_t child;
	int one, two;

	if (n < 2)
		return (int)n;
	BENCH_CHECK(fiber_spawn(&child, NULL, fib, (void *)(n - 1)) == 0);
	two = fib((void *)(n - 2));
	BENCH_CHECK(fiber_join(child, &one) == 0);
	return one + two;
}

struct node {
	long number, leaves, sum;
};

static int skynet(void *argument)
{
	struct node *node = argument;
	struct node children[10];
	fiber_t fibers[10];

	if (node->leaves == 1) {
		node->sum = node->number;
		return 0;
	}
	node->sum = 0;
	for (int i = 0; i < 10; i++) {
		children[i].leaves = node->leaves / 10;
		children[i].number = node->number + i * children[i].leaves;
		BENCH_CHECK(fiber_spawn(&fibers[i], NULL, skynet, &children[i]) == 0);
	}
	for (int i = 0; i < 10; i++) {
		BENCH_CHECK(fiber_join(fibers[i], NULL) == 0);
		node->sum += children[i].sum;
	}
	return 0;
}

static int run_fib(void *ns)
{
	int64_t begin = bench_now();

	BENCH_CHECK(fib((void *)(long)FIB_N) == FIB_VALUE);
	*(int64_t *)ns = bench_now() - begin;
	return 0;
}

static int run_skynet(void *ns)
{
	struct node root = {.leaves = LEAVES};
	int64_t begin = bench_now();

	BENCH_CHECK(skynet(&root) == 0 && root.sum == (long)LEAVES * (LEAVES - 1) / 2);
	*(int64_t *)ns = bench_now() - begin;
	return 0;
}

static void pin_worker(void *context, unsigned worker)
{
	(void)context;
	bench_pin(worker - 1);
}

static double tree(const struct bench_row *row)
{
	fiber_options_t options = {.workers = row->workers, .worker_start = pin_worker};
	int64_t ns = 0;

	BENCH_CHECK(fiber_run(&options, row->variant ? run_skynet : run_fib, &ns) == 0);
	if (row->variant)
		bench_figure("peak memory", bench_peak_megabytes(), "MB", 16);
	return (double)ns / 1e6;
}

static const struct bench_row rows[] = {
	{"fib(27), one worker", tree, 14, FIB_FIBERS, "ms", .workers = 1},
	{"fib(27), two workers", tree, 7, FIB_FIBERS, "ms", .workers = 2},
	{"skynet, one worker", tree, 36, SKYNET_FIBERS, "ms", .workers = 1, .variant = 1},
	{"skynet, two workers", tree, 18, SKYNET_FIBERS, "ms", .workers = 2, .variant = 1},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
