/* State machines by hand in the workload of bench/chan.c. One thread, nothing to lock: it takes
 * part alone. A channel here joins one sender and one receiver, because that is what the rows
 * need. */
#include "bench.h"
#include "machine.h"

#include <stdlib.h>

enum { MOST = 64 };

struct channel {
	long buffer[MOST], first, count, places;
	struct machine *sender, *receiver; /* who waits */
};

/* Without places of its own, a message lies in the one place until its receiver has taken it, and
 * the sender goes on only then. */
static bool may_send(struct channel *c)
{
	return c->count < (c->places ? c->places : 1);
}

static void put(struct channel *c, long message)
{
	c->buffer[(c->first + c->count++) % MOST] = message;
	if (c->receiver) {
		make_ready(c->receiver);
		c->receiver = NULL;
	}
}

static long take(struct channel *c)
{
	long message = c->buffer[c->first];

	c->first = (c->first + 1) % MOST;
	c->count--;
	if (c->sender) {
		make_ready(c->sender);
		c->sender = NULL;
	}
	return message;
}

#define SEND(m, c, message) do {                                                                   \
	while (!may_send(c)) {                                                                     \
		(c)->sender = (m);                                                                 \
		SUSPEND(m);                                                                        \
	}                                                                                          \
	put(c, message);                                                                           \
} while (0)
/* A second suspension in one line would have the same label. */
#define MEET(m, c) do {                                                                            \
	if (!(c)->places && (c)->count) {                                                          \
		(c)->sender = (m);                                                                 \
		SUSPEND(m);                                                                        \
	}                                                                                          \
} while (0)
#define RECEIVE(m, c, message) do {                                                                \
	while (!(c)->count) {                                                                      \
		(c)->receiver = (m);                                                               \
		SUSPEND(m);                                                                        \
	}                                                                                          \
	(message) = take(c);                                                                       \
} while (0)

struct stage {
	struct machine machine;
	struct channel *from, *to;
	long i, n, message, more;
};

static int produce(struct machine *m)
{
	struct stage *me = (struct stage *)m;

	BEGIN(m);
	for (me->i = 0; me->i < me->n; me->i++) {
		SEND(m, me->to, me->i);
		MEET(m, me->to);
	}
	END(m);
}

static int hand_on(struct machine *m)
{
	struct stage *me = (struct stage *)m;

	BEGIN(m);
	for (me->i = 0; me->i < me->n; me->i++) {
		RECEIVE(m, me->from, me->message);
		SEND(m, me->to, me->message + 1);
		MEET(m, me->to);
	}
	END(m);
}

static int consume(struct machine *m)
{
	struct stage *me = (struct stage *)m;

	BEGIN(m);
	for (me->i = 0; me->i < me->n; me->i++) {
		RECEIVE(m, me->from, me->message);
		BENCH_CHECK(me->message == me->i + me->more);
	}
	END(m);
}

static int ask(struct machine *m)
{
	struct stage *me = (struct stage *)m;

	BEGIN(m);
	for (me->i = 0; me->i < me->n; me->i++) {
		SEND(m, me->to, me->i);
		MEET(m, me->to);
		RECEIVE(m, me->from, me->message);
		BENCH_CHECK(me->message == me->i + 1);
	}
	END(m);
}

static double measure(struct stage *stages, long n, long operations)
{
	int64_t begin = bench_now();

	for (long i = 0; i < n; i++)
		make_ready(&stages[i].machine);
	run_all();
	for (long i = 0; i < n; i++)
		BENCH_CHECK(!stages[i].machine.body);
	return (double)(bench_now() - begin) / operations;
}

static double meeting(const struct bench_row *row)
{
	struct channel there = {.places = 0}, back = {.places = 0};
	struct stage both[2] = {
		{.machine = {.body = hand_on}, .from = &there, .to = &back, .n = row->n},
		{.machine = {.body = ask}, .from = &back, .to = &there, .n = row->n},
	};

	return measure(both, 2, row->operations);
}

static double buffered(const struct bench_row *row)
{
	struct channel there = {.places = MOST};
	struct stage both[2] = {
		{.machine = {.body = produce}, .to = &there, .n = row->n},
		{.machine = {.body = consume}, .from = &there, .n = row->n},
	};

	return measure(both, 2, row->operations);
}

static double pipeline(const struct bench_row *row)
{
	struct channel *channels = calloc((size_t)row->n + 1, sizeof *channels);
	struct stage *stages = calloc((size_t)row->n + 2, sizeof *stages);
	long messages = row->operations / row->n;
	double ns;

	BENCH_CHECK(channels && stages);
	for (long i = 0; i < row->n + 2; i++) {
		stages[i].n = messages;
		stages[i].from = i ? &channels[i - 1] : NULL;
		stages[i].to = &channels[i];
		stages[i].more = row->n;
		prepare(&stages[i].machine, !i ? produce : i <= row->n ? hand_on : consume);
	}
	ns = measure(stages, row->n + 2, row->operations);
	free(channels);
	free(stages);
	return ns;
}

static const struct bench_row rows[] = {
	{"rendezvous round trip, alone", meeting, 0, 1000000, .n = 1000000},
	{"buffered message, alone", buffered, 0, 4000000, .n = 4000000},
	{"pipeline of 10 stages, alone", pipeline, 0, 1000000, .n = 10},
	{"pipeline of 100 stages, alone", pipeline, 0, 1000000, .n = 100},
	{"pipeline of 1,000 stages, alone", pipeline, 0, 1000000, .n = 1000},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
