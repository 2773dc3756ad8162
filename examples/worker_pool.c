/* worker_pool.c - a few workers, and a queue with little room. Whoever submits jobs faster than
 * they are done waits until there is room: that is the back-pressure, and it reaches plain threads
 * as well as fibers. Closing the pool lets the workers finish what is queued.
 *
 *	worker_pool WORKERS JOBS		so many jobs by a fiber, and as many by a thread */
#include <fiber/sync.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { ROOM = 8 };

struct pool {
	fiber_mutex_t mutex;            /* guards the next two lines */
	long jobs[ROOM], first, count, most;
	bool full, closed;
	fiber_cond_t work, room;
	fiber_waitgroup_t producers;
	long each;
	atomic_long sum;
};

static int submit(struct pool *p, long job)
{
	int r = 0;

	fiber_mutex_lock(&p->mutex);
	while (r == 0 && p->count == ROOM) {
		p->full = true;
		r = fiber_cond_wait(&p->room, &p->mutex);
	}
	if (r == 0)
		p->jobs[(p->first + p->count++) % ROOM] = job;
	if (p->count > p->most)
		p->most = p->count;
	fiber_mutex_unlock(&p->mutex);
	fiber_cond_signal(&p->work);
	return r;
}

/* 0: there is none, and the pool is closed. */
static long next_job(struct pool *p)
{
	long job = 0;
	int r = 0;

	fiber_mutex_lock(&p->mutex);
	while (r == 0 && p->count == 0 && !p->closed)
		r = fiber_cond_wait(&p->work, &p->mutex);
	if (r == 0 && p->count > 0) {
		job = p->jobs[p->first++ % ROOM];
		p->count--;
	}
	fiber_mutex_unlock(&p->mutex);
	fiber_cond_signal(&p->room);
	return job;
}

static int work(void *pool)
{
	struct pool *p = pool;

	for (long job; (job = next_job(p)) != 0;) {
		fiber_sleep(FIBER_MILLISECOND); /* in its place: a query, a request, ... */
		atomic_fetch_add(&p->sum, job);
	}
	return 0;
}

static int produce(void *pool)
{
	struct pool *p = pool;
	int r = 0;

	for (long job = 1; job <= p->each && r == 0; job++)
		r = submit(p, job);
	fiber_waitgroup_done(&p->producers);
	return r;
}

static void *produce_on_a_thread(void *pool)
{
	produce(pool);
	return NULL;
}

static int run(void *arg)
{
	char **argument = arg;
	struct pool pool = {.each = atol(argument[2])};
	fiber_group_t workers = FIBER_GROUP_INIT;
	pthread_t thread;
	int r;

	for (int i = 0; i < atoi(argument[1]); i++)
		fiber_group_spawn(&workers, NULL, work, &pool);
	fiber_waitgroup_add(&pool.producers, 2);
	if (pthread_create(&thread, NULL, produce_on_a_thread, &pool) != 0)
		return -1;
	fiber_go(produce, &pool);
	/* Not pthread_join: it would block this worker, and with it fibers that make room. */
	r = fiber_waitgroup_wait(&pool.producers);
	pthread_join(thread, NULL);
	fiber_mutex_lock(&pool.mutex);
	pool.closed = true;
	fiber_mutex_unlock(&pool.mutex);
	fiber_cond_broadcast(&pool.work);
	r = fiber_group_wait(&workers);
	printf("sum %ld; at most %ld waited; producers %s\n", atomic_load(&pool.sum), pool.most,
	       pool.full ? "were held up" : "were never held up");
	return r;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return fprintf(stderr, "usage: worker_pool WORKERS JOBS\n"), 2;
	return fiber_run(NULL, run, argv) < 0;
}
