/* gen.c - generators: a million values one after the other, and what is around them.
 *
 * "Through a call" has one more call on each side, of the resume and of the yield; the returns of
 * those are what a processor mispredicts. The tree is walked recursively: each of its 2^20 leaves
 * is yielded at the bottom of 20 calls. Checked: the sum of all values, and what the body returns.
 * On a plain thread, unless the row says otherwise: no runtime exists. */
#include "bench.h"

#include <fiber/gen.h>
#include <pthread.h>
#include <semaphore.h>

enum { NO_FPU = 1, SECOND_THREAD = 2, IN_A_FIBER = 4, THROUGH_A_CALL = 8, TREE = 16, LEVELS = 20 };
#define NOINLINE __attribute__((__noinline__))

/* ---- bodies*/

static void *count(fiber_gen_t *self, void *n)
{
	intptr_t i = 0;

	while (i < (intptr_t)n && fiber_gen_yield(self, (void *)i, NULL) == 0)
		i++;
	return (void *)i;
}

static NOINLINE int emit(fiber_gen_t *self, intptr_t i)
{
	int r = fiber_gen_yield(self, (void *)i, NULL);

	bench_keep(r); /* no tail call */
	return r;
}

static void *count_through_a_call(fiber_gen_t *self, void *n)
{
	intptr_t i = 0;

	while (i < (intptr_t)n && emit(self, i) == 0)
		i++;
	return (void *)i;
}

static NOINLINE int walk(fiber_gen_t *self, intptr_t node, int level)
{
	int r;

	if (level == 0)
		return fiber_gen_yield(self, (void *)node, NULL);
	r = walk(self, 2 * node, level - 1);
	return r < 0 ? r : walk(self, 2 * node + 1, level - 1);
}

static void *leaves(fiber_gen_t *self, void *n)
{
	return walk(self, 0, LEVELS) < 0 ? NULL : n;
}

/* ---- resumers*/

static intptr_t sum_up(fiber_gen_t *gen, void **result)
{
	intptr_t sum = 0;

	while (fiber_gen_resume(gen, NULL, result) > 0)
		sum += (intptr_t)*result;
	return sum;
}

static NOINLINE int next(fiber_gen_t *gen, void **value)
{
	int r = fiber_gen_resume(gen, NULL, value);

	bench_keep(r);
	return r;
}

static intptr_t sum_up_through_a_call(fiber_gen_t *gen, void **result)
{
	intptr_t sum = 0;

	while (next(gen, result) > 0)
		sum += (intptr_t)*result;
	return sum;
}

static int64_t took;

static int consume(void *argument)
{
	const struct bench_row *row = argument;
	const fiber_gen_attr_t attr = {.flags = row->variant & NO_FPU ? FIBER_GEN_NO_FPU : 0};
	fiber_gen_fn *body = row->variant & TREE ? leaves
			   : row->variant & THROUGH_A_CALL ? count_through_a_call : count;
	intptr_t sum;
	int64_t begin;
	fiber_gen_t *gen;
	void *result;

	BENCH_CHECK(fiber_gen_create(&gen, &attr, body, (void *)row->n) == 0);
	begin = bench_now();
	sum = row->variant & THROUGH_A_CALL ? sum_up_through_a_call(gen, &result)
					    : sum_up(gen, &result);
	took = bench_now() - begin;
	BENCH_CHECK(sum == row->n * (row->n - 1) / 2 && (intptr_t)result == row->n);
	BENCH_CHECK(fiber_gen_destroy(gen) == 0);
	return 0;
}

/* ---- rows*/

static sem_t stay;

static void *sleeper(void *unused)
{
	(void)unused;
	sem_wait(&stay);
	return NULL;
}

static double values(const struct bench_row *row)
{
	fiber_options_t options = {.workers = 1};
	pthread_t thread;

	if (row->variant & SECOND_THREAD) {
		sem_init(&stay, 0, 0);
		BENCH_CHECK(pthread_create(&thread, NULL, sleeper, NULL) == 0);
	}
	if (row->variant & IN_A_FIBER)
		BENCH_CHECK(fiber_run(&options, consume, (void *)row) == 0);
	else
		consume((void *)row);
	if (row->variant & SECOND_THREAD) {
		sem_post(&stay);
		pthread_join(thread, NULL);
	}
	return (double)took / row->n;
}

static int create_often(void *argument)
{
	const struct bench_row *row = argument;
	int64_t begin = bench_now();
	intptr_t sum = 0;

	for (long i = 0; i < row->n; i++) {
		fiber_gen_t *gen;
		void *value;

		BENCH_CHECK(fiber_gen_create(&gen, NULL, count, (void *)(i + 1)) == 0);
		BENCH_CHECK(fiber_gen_resume(gen, NULL, &value) == 1);
		sum += (intptr_t)value + 1;
		BENCH_CHECK(fiber_gen_destroy(gen) == 0);
	}
	took = bench_now() - begin;
	BENCH_CHECK(sum == row->n);
	return 0;
}

static double one_value_each(const struct bench_row *row)
{
	fiber_options_t options = {.workers = 1};

	if (row->variant & IN_A_FIBER)
		BENCH_CHECK(fiber_run(&options, create_often, (void *)row) == 0);
	else
		create_often((void *)row);
	return (double)took / row->n;
}

static const struct bench_row rows[] = {
	{"a value", values, 0, 1000000, .n = 1000000},
	{"a value, control words left alone", values, 0, 1000000, .n = 1000000, .variant = NO_FPU},
	{"a value, with a second thread", values, 0, 1000000, .n = 1000000,
	 .variant = SECOND_THREAD},
	{"a value, in a fiber", values, 0, 1000000, .n = 1000000, .variant = IN_A_FIBER},
	{"a value, through a call on each side", values, 0, 1000000, .n = 1000000,
	 .variant = THROUGH_A_CALL},
	{"a leaf of a tree of 20 levels", values, 0, 1 << LEVELS, .n = 1 << LEVELS,
	 .variant = TREE},
	{"create, one value, destroy", one_value_each, 0, 200000, .n = 200000},
	{"create, one value, destroy, in a fiber", one_value_each, 0, 200000, .n = 200000,
	 .variant = IN_A_FIBER},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
