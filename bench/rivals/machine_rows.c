/* State machines by hand in the workloads of bench/yield.c, spawn.c, depth.c, chan.c and the
 * memory of sleep.c. In depth.c a machine below is resumed from the top, level by level, as
 * protothreads nest. */
#include "bench.h"
#include "machine.h"

#include <stdlib.h>

static long ran;

/* ---- yield*/

struct turner {
	struct machine machine;
	long turns;
};

static struct {
	long turns, next_mark, end_at;
	int64_t begin, end;
	bool over;
} ring;

static __attribute__((__noinline__)) void mark(void)
{
	if (ring.turns == ring.end_at) {
		ring.end = bench_now();
		ring.over = true;
		return;
	}
	ring.next_mark = ring.end_at;
	ring.begin = bench_now();
}

static int turn(struct machine *m)
{
	struct turner *me = (struct turner *)m;

	BEGIN(m);
	while (!ring.over) {
		me->turns++;
		if (++ring.turns == ring.next_mark)
			mark();
		YIELD(m);
	}
	END(m);
}

static int other_turn(struct machine *m)
{
	struct turner *me = (struct turner *)m;

	BEGIN(m);
	while (!ring.over) {
		if (++ring.turns == ring.next_mark)
			mark();
		me->turns++;
		YIELD(m);
	}
	END(m);
}

static double yields(const struct bench_row *row)
{
	struct turner *all = calloc((size_t)row->n, sizeof *all);
	long *counts = calloc((size_t)row->n, sizeof *counts);

	BENCH_CHECK(all && counts);
	ring.turns = 0;
	ring.over = false;
	ring.next_mark = row->operations / 4;
	ring.end_at = ring.next_mark + row->operations;
	for (long i = 0; i < row->n; i++) {
		prepare(&all[i].machine, row->variant && i & 1 ? other_turn : turn);
		make_ready(&all[i].machine);
	}
	run_all();
	for (long i = 0; i < row->n; i++)
		counts[i] = all[i].turns;
	bench_fair(counts, row->n, ring.turns, true);
	free(all);
	free(counts);
	return (double)(ring.end - ring.begin) / row->operations;
}

/* ---- spawn and join: a struct from the heap, which somebody runs to its end*/

struct life {
	struct machine machine;
	long n, i;
	struct machine **children;
	int64_t took;
};

static int nothing(struct machine *m)
{
	BEGIN(m);
	ran++;
	END(m);
}

static int park_once(struct machine *m)
{
	BEGIN(m);
	SUSPEND(m);
	ran++;
	END(m);
}

static struct machine *spawn(int (*body)(struct machine *))
{
	struct machine *m = malloc(sizeof *m);

	BENCH_CHECK(m);
	prepare(m, body);
	make_ready(m);
	return m;
}

static int one_by_one(struct machine *m)
{
	struct life *me = (struct life *)m;

	BEGIN(m);
	for (me->i = 0; me->i < me->n; me->i++) {
		me->children[0] = spawn(nothing);
		JOIN(m, me->children[0]);
		free(me->children[0]);
	}
	END(m);
}

static int together(struct machine *m, int (*body)(struct machine *))
{
	struct life *me = (struct life *)m;

	BEGIN(m);
	for (me->i = 0; me->i < me->n; me->i++)
		me->children[me->i] = spawn(body);
	if (body == park_once) {
		YIELD(m);
		for (me->i = 0; me->i < me->n; me->i++)
			make_ready(me->children[me->i]);
	}
	for (me->i = 0; me->i < me->n; me->i++) {
		JOIN(m, me->children[me->i]);
		free(me->children[me->i]);
	}
	END(m);
}

static int batch(struct machine *m)
{
	return together(m, nothing);
}

static int all_alive(struct machine *m)
{
	return together(m, park_once);
}

static double lives(const struct bench_row *row)
{
	static int (*const ways[])(struct machine *) = {one_by_one, batch, all_alive};
	struct life life = {.n = row->n};
	int64_t begin;

	life.children = calloc((size_t)row->n, sizeof *life.children);
	BENCH_CHECK(life.children);
	prepare(&life.machine, ways[row->variant]);
	ran = 0;
	begin = bench_now();
	make_ready(&life.machine);
	run_all();
	begin = bench_now() - begin;
	BENCH_CHECK(ran == row->n && !life.machine.body);
	free(life.children);
	return (double)begin / row->n;
}

/* ---- memory of a parked one, and of the pointer by which it is found again*/

static double memory(const struct bench_row *row)
{
	int64_t before = bench_resident() + bench_page_tables();
	struct machine **all = malloc((size_t)row->n * sizeof *all);

	BENCH_CHECK(all);
	for (long i = 0; i < row->n; i++)
		all[i] = spawn(park_once);
	run_all();
	before = bench_resident() + bench_page_tables() - before;
	bench_figure("", (double)before / row->n, "bytes", 0);
	ran = 0;
	for (long i = 0; i < row->n; i++)
		make_ready(all[i]);
	run_all();
	BENCH_CHECK(ran == row->n);
	return BENCH_NO_FIGURE;
}

/* ---- depth*/

enum { DEEPEST = 100 };

struct diver {
	struct machine machine, levels[DEEPEST + 1];
	long depth, yields, i, trips, trip;
	int64_t yielded;
};

static __attribute__((__noinline__)) int descend(struct diver *me, long level)
{
	struct machine *m = &me->levels[level];

	BEGIN(m);
	if (level == me->depth) {
		for (me->i = 0; me->i < me->yields; me->i++) {
			me->yielded++;
			make_ready(&me->machine);
			SUSPEND(m);
		}
	} else {
		me->levels[level + 1].state = 0;
		CALL(m, descend(me, level + 1));
	}
	END(m);
}

static int dive(struct machine *m)
{
	struct diver *me = (struct diver *)m;

	BEGIN(m);
	for (me->trip = 0; me->trip < me->trips; me->trip++) {
		me->levels[1].state = 0;
		CALL(m, descend(me, 1));
	}
	END(m);
}

static double depth(const struct bench_row *row)
{
	static struct diver divers[2];
	int64_t begin = bench_now();

	for (int i = 0; i < 2; i++) {
		divers[i] = (struct diver){.depth = row->n, .trips = row->operations, .yields = 1};
		if (!row->variant) {
			divers[i].trips = 1;
			divers[i].yields = row->operations;
		}
		prepare(&divers[i].machine, dive);
		make_ready(&divers[i].machine);
	}
	run_all();
	begin = bench_now() - begin;
	for (int i = 0; i < 2; i++)
		BENCH_CHECK(divers[i].yielded == row->operations && !divers[i].machine.body);
	return (double)begin / (2 * row->operations);
}

static const struct bench_row rows[] = {
	{"2 fibers", yields, 0, 4000000, .n = 2},
	{"2 fibers, two callers", yields, 0, 4000000, .n = 2, .variant = 1},
	{"100 fibers", yields, 0, 4000000, .n = 100},
	{"10,000 fibers", yields, 0, 4000000, .n = 10000},
	{"100,000 fibers", yields, 0, 2000000, .n = 100000},
	{"1,000,000 fibers", yields, 0, 4000000, .n = 1000000},
	{"one by one", lives, 0, 1000000, .n = 1000000},
	{"batch of 100,000", lives, 0, 100000, .n = 100000, .variant = 1},
	{"100,000 alive, parked once", lives, 0, 100000, .n = 100000, .variant = 2},
	{"10,000 parked", memory, 0, 1, "bytes", .n = 10000, .cold = true},
	{"100,000 parked", memory, 0, 1, "bytes", .n = 100000, .cold = true},
	{"1,000,000 parked", memory, 0, 1, "bytes", .n = 1000000, .cold = true},
	{"yield at the bottom of 1 call", depth, 0, 1000000, .n = 1},
	{"yield at the bottom of 10 calls", depth, 0, 1000000, .n = 10},
	{"yield at the bottom of 100 calls", depth, 0, 100000, .n = 100},
	{"1 call down, a yield, and back", depth, 0, 1000000, .n = 1, .variant = 1},
	{"10 calls down, a yield, and back", depth, 0, 200000, .n = 10, .variant = 1},
	{"100 calls down, a yield, and back", depth, 0, 20000, .n = 100, .variant = 1},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
