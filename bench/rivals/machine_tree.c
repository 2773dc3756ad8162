/* The workload of bench/forkjoin.c as state machines by hand: a struct from the heap for every
 * call, because a call that waits for its children has to live somewhere. One thread. */
#include "bench.h"
#include "machine.h"

#include <stdlib.h>

enum { FIB_N = 27, FIB_VALUE = 196418, FIB_CALLS = 317810 };
enum { LEAVES = 1000000, SKYNET_CALLS = 1111111 };

struct fib {
	struct machine machine;
	long n, value;
	struct fib *one, *two;
};

static int fib(struct machine *m);

static struct fib *call_fib(long n)
{
	struct fib *f = malloc(sizeof *f);

	BENCH_CHECK(f);
	f->n = n;
	prepare(&f->machine, fib);
	make_ready_first(&f->machine);
	return f;
}

static int fib(struct machine *m)
{
	struct fib *me = (struct fib *)m;

	BEGIN(m);
	if (me->n < 2) {
		me->value = me->n;
	} else {
		me->one = call_fib(me->n - 1);
		me->two = call_fib(me->n - 2);
		JOIN(m, &me->two->machine);
		JOIN(m, &me->one->machine);
		me->value = me->one->value + me->two->value;
		free(me->one);
		free(me->two);
	}
	END(m);
}

struct node {
	struct machine machine;
	long number, leaves, sum, next;
	struct node *children;
};

/* A leaf needs no more than its number. */
static int skynet(struct machine *m)
{
	struct node *me = (struct node *)m;

	BEGIN(m);
	if (me->leaves == 1) {
		me->sum = me->number;
	} else {
		me->children = malloc(10 * sizeof *me->children);
		BENCH_CHECK(me->children);
		for (int i = 0; i < 10; i++) {
			struct node *child = &me->children[i];

			*child = (struct node){.leaves = me->leaves / 10};
			child->number = me->number + i * child->leaves;
			prepare(&child->machine, skynet);
			make_ready_first(&child->machine);
		}
		me->sum = 0;
		for (me->next = 9; me->next >= 0; me->next--) {
			JOIN(m, &me->children[me->next].machine);
			me->sum += me->children[me->next].sum;
		}
		free(me->children);
	}
	END(m);
}

static double run_fib(const struct bench_row *row)
{
	int64_t begin = bench_now();
	struct fib *root = call_fib(FIB_N);

	(void)row;
	run_all();
	BENCH_CHECK(root->value == FIB_VALUE);
	free(root);
	return (double)(bench_now() - begin) / 1e6;
}

static double run_skynet(const struct bench_row *row)
{
	struct node root = {.leaves = LEAVES};
	int64_t begin = bench_now();

	(void)row;
	prepare(&root.machine, skynet);
	make_ready(&root.machine);
	run_all();
	BENCH_CHECK(root.sum == (long)LEAVES * (LEAVES - 1) / 2);
	bench_figure("peak memory", bench_peak_megabytes(), "MB", 0);
	return (double)(bench_now() - begin) / 1e6;
}

static const struct bench_row rows[] = {
	{"fib(27), one worker", run_fib, 0, FIB_CALLS, "ms", .workers = 1},
	{"skynet, one worker", run_skynet, 0, SKYNET_CALLS, "ms", .workers = 1},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
