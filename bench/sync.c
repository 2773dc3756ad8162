/* sync.c - locks: uncontended, and contended on one worker and between two.
 *
 * "Alone" is a process with one thread, where nothing is locked; "with a second thread" has one
 * that was started and sleeps. Four fibers contend on one worker only if a holder gives up the
 * processor: each locks, yields, unlocks, and begins anew. Two workers contend for a counter with a
 * little work inside and outside; the same loop runs on glibc's mutex between two threads, in
 * turns with ours, and the ratio is a figure of its own. Checked: everything counted under a lock
 * was counted once. */
#include "bench.h"

#include <fiber/sync.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

enum { ALONE, SECOND_THREAD };

static fiber_mutex_t mutex;
static fiber_rwlock_t rwlock;
static fiber_sem_t sem;
static long counted;
static int64_t took;

/* ---- uncontended*/

static void lock_unlock(long n)
{
	for (long i = 0; i < n; i++) {
		fiber_mutex_lock(&mutex);
		counted++;
		fiber_mutex_unlock(&mutex);
	}
}

static void read_lock(long n)
{
	for (long i = 0; i < n; i++) {
		fiber_rwlock_rdlock(&rwlock);
		counted++;
		fiber_rwlock_unlock(&rwlock);
	}
}

static void write_lock(long n)
{
	for (long i = 0; i < n; i++) {
		fiber_rwlock_wrlock(&rwlock);
		counted++;
		fiber_rwlock_unlock(&rwlock);
	}
}

static void post_wait(long n)
{
	for (long i = 0; i < n; i++) {
		fiber_sem_post(&sem);
		counted++;
		BENCH_CHECK(fiber_sem_wait(&sem) == 0);
	}
}

enum { LOCK, READ, WRITE, SEM };
static void (*const ways[])(long) = {
	[LOCK] = lock_unlock, [READ] = read_lock, [WRITE] = write_lock, [SEM] = post_wait};

static sem_t stay;

static void *sleeper(void *unused)
{
	(void)unused;
	sem_wait(&stay);
	return NULL;
}

static int uncontended_fiber(void *argument)
{
	const struct bench_row *row = argument;
	int64_t begin = bench_now();

	ways[row->variant & 7](row->n);
	took = bench_now() - begin;
	return 0;
}

static double uncontended(const struct bench_row *row)
{
	fiber_options_t options = {.workers = 1};
	bool second = row->variant & 8;
	pthread_t thread;

	counted = 0;
	if (second) {
		sem_init(&stay, 0, 0);
		BENCH_CHECK(pthread_create(&thread, NULL, sleeper, NULL) == 0);
	}
	BENCH_CHECK(fiber_run(&options, uncontended_fiber, (void *)row) == 0);
	BENCH_CHECK(counted == row->n);
	if (second) {
		sem_post(&stay);
		pthread_join(thread, NULL);
	}
	return (double)took / row->n;
}

/* ---- four fibers, one worker*/

enum { FIBERS = 4 };

static int lock_yield_unlock(void *argument)
{
	for (long n = *(long *)argument; n > 0; n--) {
		fiber_mutex_lock(&mutex);
		long before = counted;

		fiber_yield();
		counted = before + 1;
		fiber_mutex_unlock(&mutex);
	}
	return 0;
}

static int four_fibers(void *argument)
{
	const struct bench_row *row = argument;
	fiber_group_t group = FIBER_GROUP_INIT;
	long each = row->n / FIBERS;
	int64_t begin = bench_now();

	for (int i = 0; i < FIBERS; i++)
		fiber_group_spawn(&group, NULL, lock_yield_unlock, &each);
	BENCH_CHECK(fiber_group_wait(&group) == 0);
	took = bench_now() - begin;
	return 0;
}

static double contended_on_one(const struct bench_row *row)
{
	fiber_options_t options = {.workers = 1};

	counted = 0;
	BENCH_CHECK(fiber_run(&options, four_fibers, (void *)row) == 0);
	BENCH_CHECK(counted == row->n);
	return (double)took / row->n;
}

/* ---- two workers, and two threads on glibc's*/

enum { INSIDE = 20, OUTSIDE = 20 };

static pthread_mutex_t glibc = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t start;
static const struct bench_row *pair_row;

static inline void work(int n)
{
	for (int i = 0; i < n; i++)
		bench_keep(i);
}

static int on_ours(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&start); /* blocks its worker: both begin at once */
	for (long n = pair_row->n / 2; n > 0; n--) {
		fiber_mutex_lock(&mutex);
		counted++;
		work(INSIDE);
		fiber_mutex_unlock(&mutex);
		work(OUTSIDE);
	}
	return 0;
}

static int two_workers(void *unused)
{
	fiber_t fibers[2];
	int64_t begin = bench_now();

	(void)unused;
	for (unsigned i = 0; i < 2; i++)
		BENCH_CHECK(fiber_spawn(&fibers[i], &(fiber_attr_t){.worker = i + 1}, on_ours,
					NULL) == 0);
	for (int i = 0; i < 2; i++)
		BENCH_CHECK(fiber_join(fibers[i], NULL) == 0);
	took = bench_now() - begin;
	return 0;
}

static void *on_glibc(void *core)
{
	bench_pin((unsigned)(uintptr_t)core);
	pthread_barrier_wait(&start);
	for (long n = pair_row->n / 2; n > 0; n--) {
		pthread_mutex_lock(&glibc);
		counted++;
		work(INSIDE);
		pthread_mutex_unlock(&glibc);
		work(OUTSIDE);
	}
	return NULL;
}

static int64_t two_threads(void)
{
	int64_t begin = bench_now();
	pthread_t threads[2];

	for (uintptr_t i = 0; i < 2; i++)
		BENCH_CHECK(pthread_create(&threads[i], NULL, on_glibc, (void *)i) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return bench_now() - begin;
}

static void pin_worker(void *context, unsigned worker)
{
	(void)context;
	bench_pin(worker - 1);
}

static double contended_between_two(const struct bench_row *row)
{
	fiber_options_t options = {.workers = 2, .worker_start = pin_worker};
	double ours, theirs;

	pair_row = row;
	counted = 0;
	pthread_barrier_init(&start, NULL, 2);
	BENCH_CHECK(fiber_run(&options, two_workers, NULL) == 0);
	BENCH_CHECK(counted == row->n / 2 * 2);
	ours = (double)took / row->n;
	counted = 0;
	theirs = (double)two_threads() / row->n;
	BENCH_CHECK(counted == row->n / 2 * 2);
	pthread_barrier_destroy(&start);
	bench_figure("glibc, two threads", theirs, "ns", 0);
	bench_figure("over glibc", ours / theirs, "x", 3);
	return ours;
}

static const struct bench_row rows[] = {
	{"mutex, alone", uncontended, 4, 5000000, .n = 5000000, .variant = LOCK},
	{"mutex, with a second thread", uncontended, 12, 5000000, .n = 5000000,
	 .variant = LOCK | 8},
	{"read lock, alone", uncontended, 0, 5000000, .n = 5000000, .variant = READ},
	{"read lock, with a second thread", uncontended, 0, 5000000, .n = 5000000,
	 .variant = READ | 8},
	{"write lock, alone", uncontended, 0, 5000000, .n = 5000000, .variant = WRITE},
	{"write lock, with a second thread", uncontended, 0, 5000000, .n = 5000000,
	 .variant = WRITE | 8},
	{"semaphore, alone", uncontended, 0, 5000000, .n = 5000000, .variant = SEM},
	{"semaphore, with a second thread", uncontended, 0, 5000000, .n = 5000000,
	 .variant = SEM | 8},
	{"mutex, four fibers contend", contended_on_one, 60, 1000000, .n = 1000000},
	{"mutex, two workers contend", contended_between_two, 0, 1000000, .n = 1000000,
	 .workers = 2},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
