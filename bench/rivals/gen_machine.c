/* The workload of bench/gen.c written by hand: a struct with the state, and a function that goes on
 * from it. The floor for all others. */
#include "bench.h"

#include <stdlib.h>

enum { LEVELS = 20 };

/* ---- counting*/

struct counting {
	enum { START, YIELDED, DONE } state;
	long i, n;
};

static __attribute__((__noinline__)) bool next_number(struct counting *c, long *value)
{
	switch (c->state) {
	case START:
		for (c->i = 0; c->i < c->n; c->i++) {
			*value = c->i;
			c->state = YIELDED;
			return true;
	case YIELDED:;
		}
		c->state = DONE;
		/* fall through */
	case DONE:
		break;
	}
	return false;
}

static double values(const struct bench_row *row)
{
	struct counting c = {.n = row->n};
	int64_t begin = bench_now(), end;
	long sum = 0, value;

	while (next_number(&c, &value))
		sum += value;
	end = bench_now();
	BENCH_CHECK(sum == row->n * (row->n - 1) / 2);
	return (double)(end - begin) / row->n;
}

static double one_value_each(const struct bench_row *row)
{
	int64_t begin = bench_now();
	long sum = 0, value;

	for (long i = 0; i < row->n; i++) {
		struct counting *c = calloc(1, sizeof *c);

		BENCH_CHECK(c != NULL);
		c->n = i + 1;
		BENCH_CHECK(next_number(c, &value));
		sum += value + 1;
		free(c);
	}
	BENCH_CHECK(sum == row->n);
	return (double)(bench_now() - begin) / row->n;
}

/* ---- the tree, with a stack of its own*/

struct walking {
	int depth;
	struct { long node; int level; } todo[LEVELS + 2];
};

static __attribute__((__noinline__)) bool next_leaf(struct walking *w, long *value)
{
	while (w->depth > 0) {
		long node = w->todo[--w->depth].node;
		int level = w->todo[w->depth].level;

		if (level == 0) {
			*value = node;
			return true;
		}
		w->todo[w->depth].node = 2 * node + 1;
		w->todo[w->depth++].level = level - 1;
		w->todo[w->depth].node = 2 * node;
		w->todo[w->depth++].level = level - 1;
	}
	return false;
}

static double leaves(const struct bench_row *row)
{
	struct walking w = {.depth = 1, .todo = {{0, LEVELS}}};
	int64_t begin = bench_now(), end;
	long sum = 0, value;

	while (next_leaf(&w, &value))
		sum += value;
	end = bench_now();
	BENCH_CHECK(sum == row->n * (row->n - 1) / 2);
	return (double)(end - begin) / row->n;
}

static const struct bench_row rows[] = {
	{"a value", values, 0, 1000000, .n = 1000000},
	{"a leaf of a tree of 20 levels", leaves, 0, 1 << LEVELS, .n = 1 << LEVELS},
	{"create, one value, destroy", one_value_each, 0, 200000, .n = 200000},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
