/* chan.c - channels: a meeting there and back, a message through a buffer, a select.
 *
 * "Alone" is a process with one thread, where nothing is locked; "with a second thread" has one
 * that was started and sleeps. One worker all the time. A pipeline is a chain of fibers, each of
 * which receives, adds one and sends on, without buffers; its figure is for one message and one
 * stage. Checked: every message comes once, in order, and has been through every stage. */
#include "bench.h"

#include <fiber/chan.h>
#include <pthread.h>
#include <semaphore.h>

enum { CAPACITY = 64, STAGES = 1000 };

static fiber_chan_t *there, *back;
static long n;
static int64_t took;

/* ---- a meeting there and back*/

static int answer(void *unused)
{
	long message;

	(void)unused;
	for (long i = 0; i < n; i++) {
		BENCH_CHECK(fiber_chan_recv(there, &message) == 0);
		message++;
		BENCH_CHECK(fiber_chan_send(back, &message) == 0);
	}
	return 0;
}

static void ask(void)
{
	long message;

	for (long i = 0; i < n; i++) {
		BENCH_CHECK(fiber_chan_send(there, &i) == 0);
		BENCH_CHECK(fiber_chan_recv(back, &message) == 0 && message == i + 1);
	}
}

/* ---- one way, buffered or not*/

static int produce(void *unused)
{
	(void)unused;
	for (long i = 0; i < n; i++)
		BENCH_CHECK(fiber_chan_send(there, &i) == 0);
	return 0;
}

static void consume(void)
{
	long message;

	for (long i = 0; i < n; i++)
		BENCH_CHECK(fiber_chan_recv(there, &message) == 0 && message == i);
}

/* Of two channels, one of which stays silent. */
static void choose(void)
{
	long message;
	fiber_case_t cases[] = {FIBER_RECV(back, &message), FIBER_RECV(there, &message)};

	for (long i = 0; i < n; i++)
		BENCH_CHECK(fiber_select(cases, 2) == 1 && message == i);
}

enum { MEETING, BUFFERED, SELECT, SELECT_BUFFERED, PIPELINE, SECOND_THREAD = 8 };

static const struct {
	fiber_fn *other;
	void (*mine)(void);
	size_t capacity;
} ways[] = {
	[MEETING] = {answer, ask, 0},
	[BUFFERED] = {produce, consume, CAPACITY},
	[SELECT] = {produce, choose, 0},
	[SELECT_BUFFERED] = {produce, choose, CAPACITY},
};

/* ---- a chain of stages*/

struct stage {
	fiber_chan_t *from, *to;
	fiber_t fiber;
};

static int hand_on(void *argument)
{
	struct stage *stage = argument;
	long message;

	for (long i = 0; i < n; i++) {
		BENCH_CHECK(fiber_chan_recv(stage->from, &message) == 0);
		message++;
		BENCH_CHECK(fiber_chan_send(stage->to, &message) == 0);
	}
	return 0;
}

static int feed(void *first)
{
	for (long i = 0; i < n; i++)
		BENCH_CHECK(fiber_chan_send(first, &i) == 0);
	return 0;
}

static int chain(void *argument)
{
	const struct bench_row *row = argument;
	static struct stage stages[STAGES + 1];
	long message, count = row->operations / row->n;
	int64_t begin = bench_now();
	fiber_t feeder;

	n = count;
	for (long i = 0; i <= row->n; i++)
		BENCH_CHECK(fiber_chan_create(&stages[i].from, sizeof(long), 0) == 0);
	for (long i = 0; i < row->n; i++) {
		stages[i].to = stages[i + 1].from;
		BENCH_CHECK(fiber_spawn(&stages[i].fiber, NULL, hand_on, &stages[i]) == 0);
	}
	BENCH_CHECK(fiber_spawn(&feeder, NULL, feed, stages[0].from) == 0);
	for (long i = 0; i < count; i++)
		BENCH_CHECK(fiber_chan_recv(stages[row->n].from, &message) == 0 &&
			    message == i + row->n);
	took = bench_now() - begin;
	BENCH_CHECK(fiber_join(feeder, NULL) == 0);
	for (long i = 0; i < row->n; i++)
		BENCH_CHECK(fiber_join(stages[i].fiber, NULL) == 0);
	for (long i = 0; i <= row->n; i++)
		fiber_chan_free(stages[i].from);
	return 0;
}

/* ---- rows*/

static int two_fibers(void *argument)
{
	const struct bench_row *row = argument;
	long way = row->variant % SECOND_THREAD;
	int64_t begin;
	fiber_t other;

	BENCH_CHECK(fiber_chan_create(&there, sizeof(long), ways[way].capacity) == 0);
	BENCH_CHECK(fiber_chan_create(&back, sizeof(long), 0) == 0);
	begin = bench_now();
	BENCH_CHECK(fiber_spawn(&other, NULL, ways[way].other, NULL) == 0);
	ways[way].mine();
	took = bench_now() - begin;
	BENCH_CHECK(fiber_join(other, NULL) == 0);
	fiber_chan_free(there);
	fiber_chan_free(back);
	return 0;
}

static sem_t stay;

static void *sleeper(void *unused)
{
	(void)unused;
	sem_wait(&stay);
	return NULL;
}

static double messages(const struct bench_row *row)
{
	fiber_options_t options = {.workers = 1};
	pthread_t thread;
	fiber_fn *body;

	n = row->n;
	if (row->variant & SECOND_THREAD) {
		sem_init(&stay, 0, 0);
		BENCH_CHECK(pthread_create(&thread, NULL, sleeper, NULL) == 0);
	}
	body = row->variant % SECOND_THREAD == PIPELINE ? chain : two_fibers;
	BENCH_CHECK(fiber_run(&options, body, (void *)row) == 0);
	if (row->variant & SECOND_THREAD) {
		sem_post(&stay);
		pthread_join(thread, NULL);
	}
	return (double)took / row->operations;
}

static const struct bench_row rows[] = {
	{"rendezvous round trip, alone", messages, 32, 1000000, .n = 1000000, .variant = MEETING},
	{"rendezvous round trip, with a second thread", messages, 65, 1000000, .n = 1000000,
	 .variant = MEETING | SECOND_THREAD},
	{"buffered message, alone", messages, 6, 4000000, .n = 4000000, .variant = BUFFERED},
	{"buffered message, with a second thread", messages, 14, 4000000, .n = 4000000,
	 .variant = BUFFERED | SECOND_THREAD},
	{"select of two meetings, alone", messages, 0, 1000000, .n = 1000000, .variant = SELECT},
	{"select of two meetings, with a second thread", messages, 0, 1000000, .n = 1000000,
	 .variant = SELECT | SECOND_THREAD},
	{"select of two, buffered, alone", messages, 0, 1000000, .n = 1000000,
	 .variant = SELECT_BUFFERED},
	{"select of two, buffered, with a second thread", messages, 0, 1000000, .n = 1000000,
	 .variant = SELECT_BUFFERED | SECOND_THREAD},
	{"pipeline of 10 stages, alone", messages, 0, 1000000, .n = 10, .variant = PIPELINE},
	{"pipeline of 100 stages, alone", messages, 0, 1000000, .n = 100, .variant = PIPELINE},
	{"pipeline of 1,000 stages, alone", messages, 0, 1000000, .n = STAGES, .variant = PIPELINE},
	{"pipeline of 10 stages, with a second thread", messages, 0, 1000000, .n = 10,
	 .variant = PIPELINE | SECOND_THREAD},
	{"pipeline of 100 stages, with a second thread", messages, 0, 1000000, .n = 100,
	 .variant = PIPELINE | SECOND_THREAD},
	{"pipeline of 1,000 stages, with a second thread", messages, 0, 1000000, .n = STAGES,
	 .variant = PIPELINE | SECOND_THREAD},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
