/* Threads of the system in the workloads of bench/yield.c, spawn.c, chan.c and the memory of
 * sleep.c, where as many as a row wants can exist. All on one processor, as everybody with one
 * worker; their stacks in the kernel are not in the figure of memory. */
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>

enum { STACK_BYTES = 16384 + 4096, PLACES = 64 };

static pthread_t *threads;

static void start(long i, void *(*body)(void *), void *argument)
{
	static pthread_attr_t attributes;
	static bool once;

	if (!once)
		BENCH_CHECK(pthread_attr_init(&attributes) == 0 &&
			    pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0);
	once = true;
	BENCH_CHECK(pthread_create(&threads[i], &attributes, body, argument) == 0);
}

static void prepare(long n)
{
	threads = calloc((size_t)n, sizeof *threads);
	BENCH_CHECK(threads);
}

/* ---- yield: sched_yield, whose order is the kernel's*/

static long turns, next_mark, end_at, *counts;
static int64_t begin_ns, end_ns;
static volatile bool over;
static sem_t begin_all;

static __attribute__((__noinline__)) void mark(void)
{
	if (turns >= end_at) {
		end_ns = bench_now();
		over = true;
		return;
	}
	next_mark = end_at;
	begin_ns = bench_now();
}

/* Preemption may come between any two instructions, so the sum is kept by atomics. */
static void *turn(void *argument)
{
	long mine = 0, i = (long)argument;

	sem_wait(&begin_all);
	while (!over) {
		mine++;
		if (__atomic_add_fetch(&turns, 1, __ATOMIC_RELAXED) == next_mark)
			mark();
		sched_yield();
	}
	counts[i] = mine;
	return NULL;
}

static double yields(const struct bench_row *row)
{
	prepare(row->n);
	counts = calloc((size_t)row->n, sizeof *counts);
	BENCH_CHECK(counts && sem_init(&begin_all, 0, 0) == 0);
	turns = 0;
	over = false;
	next_mark = row->operations / 4;
	end_at = next_mark + row->operations;
	for (long i = 0; i < row->n; i++)
		start(i, turn, (void *)i);
	for (long i = 0; i < row->n; i++)
		sem_post(&begin_all);
	for (long i = 0; i < row->n; i++)
		BENCH_CHECK(pthread_join(threads[i], NULL) == 0);
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

static double one_by_one(const struct bench_row *row)
{
	int64_t begin;
	void *result;

	prepare(1);
	ran = 0;
	begin = bench_now();
	for (long i = 0; i < row->n; i++) {
		start(0, nothing, (void *)i);
		BENCH_CHECK(pthread_join(threads[0], &result) == 0 && (long)result == i);
	}
	BENCH_CHECK(ran == row->n);
	return (double)(bench_now() - begin) / row->n;
}

/* ---- memory*/

static sem_t asleep, wake;

static void *park(void *unused)
{
	sem_post(&asleep);
	sem_wait(&wake);
	return unused;
}

static double memory(const struct bench_row *row)
{
	int64_t before = bench_resident() + bench_page_tables();

	BENCH_CHECK(sem_init(&asleep, 0, 0) == 0 && sem_init(&wake, 0, 0) == 0);
	prepare(row->n);
	for (long i = 0; i < row->n; i++)
		start(i, park, NULL);
	for (long i = 0; i < row->n; i++)
		sem_wait(&asleep);
	before = bench_resident() + bench_page_tables() - before;
	bench_figure("", (double)before / row->n, "bytes", 0);
	for (long i = 0; i < row->n; i++)
		sem_post(&wake);
	for (long i = 0; i < row->n; i++)
		pthread_join(threads[i], NULL);
	return BENCH_NO_FIGURE;
}

/* ---- channels: a mutex and two conditions around a ring*/

struct channel {
	pthread_mutex_t lock;
	pthread_cond_t has_room, has_some;
	long buffer[PLACES], first, count, places;
};

static struct channel there, back;

static void open_channel(struct channel *c, long places)
{
	*c = (struct channel){.places = places};
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->has_room, NULL);
	pthread_cond_init(&c->has_some, NULL);
}

static void send(struct channel *c, long message)
{
	pthread_mutex_lock(&c->lock);
	while (c->count == c->places)
		pthread_cond_wait(&c->has_room, &c->lock);
	c->buffer[(c->first + c->count++) % PLACES] = message;
	pthread_cond_signal(&c->has_some);
	pthread_mutex_unlock(&c->lock);
}

static long receive(struct channel *c)
{
	long message;

	pthread_mutex_lock(&c->lock);
	while (!c->count)
		pthread_cond_wait(&c->has_some, &c->lock);
	message = c->buffer[c->first];
	c->first = (c->first + 1) % PLACES;
	c->count--;
	pthread_cond_signal(&c->has_room);
	pthread_mutex_unlock(&c->lock);
	return message;
}

static void *answer(void *n)
{
	for (long i = 0; i < (long)n; i++)
		send(&back, receive(&there) + 1);
	return NULL;
}

static void *produce(void *n)
{
	for (long i = 0; i < (long)n; i++)
		send(&there, i);
	return NULL;
}

static double meeting(const struct bench_row *row)
{
	int64_t begin = bench_now();

	prepare(1);
	open_channel(&there, 1);
	open_channel(&back, 1);
	start(0, answer, (void *)row->n);
	for (long i = 0; i < row->n; i++) {
		send(&there, i);
		BENCH_CHECK(receive(&back) == i + 1);
	}
	pthread_join(threads[0], NULL);
	return (double)(bench_now() - begin) / row->n;
}

static double buffered(const struct bench_row *row)
{
	int64_t begin = bench_now();

	prepare(1);
	open_channel(&there, PLACES);
	start(0, produce, (void *)row->n);
	for (long i = 0; i < row->n; i++)
		BENCH_CHECK(receive(&there) == i);
	pthread_join(threads[0], NULL);
	return (double)(bench_now() - begin) / row->n;
}

static const struct bench_row rows[] = {
	{"2 fibers", yields, 0, 400000, .n = 2},
	{"100 fibers", yields, 0, 400000, .n = 100},
	{"one by one", one_by_one, 0, 20000, .n = 20000},
	{"10,000 parked", memory, 0, 1, "bytes", .n = 10000, .cold = true},
	{"rendezvous round trip, with a second thread", meeting, 0, 50000, .n = 50000},
	{"buffered message, with a second thread", buffered, 0, 500000, .n = 500000},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
