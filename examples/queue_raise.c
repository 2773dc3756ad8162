/* queue_raise.c - fifty threads, each of which raises its own event in one queue. */
#include <fiber/queue.h>
#include <pthread.h>

enum { THREADS = 50 };

static fiber_queue_t *queue;

static struct job {
	pthread_t thread;
	fiber_queue_user_t done;
	int result, told;
} jobs[THREADS];

/* What is written before a raise is there for whoever gets the event. */
static void *work(void *arg)
{
	struct job *job = arg;

	job->result = (int)(job - jobs) * 2;
	fiber_queue_user_raise(queue, job->done, FIBER_QUEUE_READABLE);
	return NULL;
}

static int start(struct job *job)
{
	int r = fiber_queue_user_add(queue, &job->done, (uintptr_t)job, FIBER_QUEUE_ONESHOT);

	return r < 0 ? r : -pthread_create(&job->thread, NULL, work, job);
}

/* Few at a time, so that there are several waits. */
static int collect(int started, int *sum)
{
	fiber_queue_event_t events[8];
	int n, told = 0;

	while (told < started) {
		n = fiber_queue_wait(queue, events, 8, FIBER_NEVER);
		if (n < 0)
			return n;
		for (int i = 0; i < n; i++, told++) {
			struct job *job = (struct job *)(uintptr_t)events[i].token;

			job->told++;
			*sum += job->result;
		}
	}
	return 0;
}

int main(void)
{
	int sum = 0, once = 0, started = 0, r = fiber_queue_create(&queue);

	while (r == 0 && started < THREADS)
		if ((r = start(&jobs[started])) == 0)
			started++;
	if (started > 0 && collect(started, &sum) < 0)
		return 1;
	for (int i = 0; i < started; i++) {
		pthread_join(jobs[i].thread, NULL);
		once += jobs[i].told == 1;
	}
	fiber_queue_destroy(queue);
	if (r < 0)
		fprintf(stderr, "queue_raise: %s\n", fiber_strerror(r));
	printf("%d threads, %d of them told once; sum %d\n", started, once, sum);
	return r < 0;
}
