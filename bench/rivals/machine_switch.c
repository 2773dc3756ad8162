/* The shapes of bench/switch.c with state machines by hand: a "switch" is a return to the loop
 * and a call of the next one. For the mixed depths, the machines below are resumed from the top. */
#include "bench.h"
#include "machine.h"

enum { CONTEXTS = 8, SWITCHES = 8000000, DEEPEST = 4 };

static long turns, turns_max;

struct context {
	struct machine machine;
	struct context *next;
	long turns, depth;
	struct machine levels[DEEPEST];
};

static struct context contexts[CONTEXTS];

static int ring(struct machine *m)
{
	struct context *me = (struct context *)m;

	BEGIN(m);
	for (;;) {
		turns++;
		me->turns++;
		SUSPEND(m);
	}
	END(m);
}

static int pong(struct machine *m)
{
	BEGIN(m);
	for (;;) {
		turns++;
		contexts[1].turns++;
		SUSPEND(m);
	}
	END(m);
}

/* The innermost suspends; each above asks the one below whether it has ended. */
static __attribute__((__noinline__)) int deeper(struct context *me, long level)
{
	struct machine *m = &me->levels[level];

	BEGIN(m);
	if (level == me->depth) {
		SUSPEND(m);
	} else {
		me->levels[level + 1].state = 0;
		CALL(m, deeper(me, level + 1));
	}
	END(m);
}

static int mixed(struct machine *m)
{
	struct context *me = (struct context *)m;

	BEGIN(m);
	for (;;) {
		turns++;
		me->turns++;
		me->levels[0].state = 0;
		CALL(m, deeper(me, 0));
	}
	END(m);
}

static int (*const bodies[][2])(struct machine *) = {{ring, ring}, {ring, pong}, {mixed, mixed}};

static double run(const struct bench_row *row)
{
	struct context *c = contexts;
	long counts[CONTEXTS];
	int64_t begin;

	for (long i = 0; i < row->n; i++) {
		contexts[i] = (struct context){.next = &contexts[(i + 1) % row->n], .depth = i & 3};
		prepare(&contexts[i].machine, bodies[row->variant][i & 1]);
	}
	turns = 0;
	turns_max = row->operations;
	begin = bench_now();
	for (; turns < turns_max; c = c->next)
		c->machine.body(&c->machine);
	begin = bench_now() - begin;
	for (long i = 0; i < row->n; i++)
		counts[i] = contexts[i].turns;
	bench_fair(counts, row->n, row->operations, true);
	return (double)begin / row->operations;
}

static const struct bench_row rows[] = {
	{.name = "ring of 8", .run = run, .operations = SWITCHES, .n = 8},
	{.name = "ping-pong", .run = run, .operations = SWITCHES, .n = 2, .variant = 1},
	{.name = "mixed depth", .run = run, .operations = SWITCHES, .n = 8, .variant = 2},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
