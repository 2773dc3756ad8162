/* rate_limiter.c - at most so many calls a second, and a burst of some after a pause. Each caller
 * takes the next free moment, under a mutex, and sleeps until it has come: nobody has to fill a
 * bucket, callers are served in order, and a caller that is cancelled while it sleeps has only
 * wasted its own moment.
 *
 *	rate_limiter RATE BURST CALLS		such as rate_limiter 100 5 20 */
#include <fiber/sync.h>
#include <stdlib.h>

struct limiter {
	fiber_mutex_t mutex;
	int64_t interval, burst;
	int64_t next;           /* the moment that is free; guarded by mutex */
};

/* Returns when the caller may go on: 0, or -ECANCELED. */
static int limiter_wait(struct limiter *l)
{
	int64_t mine, earliest;

	fiber_mutex_lock(&l->mutex);
	/* Moments that nobody took are worth a burst, and no more. */
	earliest = fiber_now() - (l->burst - 1) * l->interval;
	mine = l->next > earliest ? l->next : earliest;
	l->next = mine + l->interval;
	fiber_mutex_unlock(&l->mutex);
	return fiber_sleep_until(mine);
}

static struct limiter limiter;
static int64_t begin;

static int call(void *number)
{
	int r = limiter_wait(&limiter);

	printf("call %ld after %ld ms\n", (long)(intptr_t)number,
	       (long)((fiber_now() - begin) / FIBER_MILLISECOND));
	return r;
}

static int run(void *arg)
{
	char **argument = arg;
	fiber_group_t calls = FIBER_GROUP_INIT;

	limiter.interval = FIBER_SECOND / atol(argument[1]);
	limiter.burst = atol(argument[2]);
	begin = fiber_now();
	for (intptr_t i = 1; i <= atol(argument[3]); i++)
		fiber_group_spawn(&calls, NULL, call, (void *)i);
	return fiber_group_wait(&calls);
}

int main(int argc, char **argv)
{
	if (argc != 4 || atol(argv[1]) < 1 || atol(argv[2]) < 1)
		return fprintf(stderr, "usage: rate_limiter RATE BURST CALLS\n"), 2;
	return fiber_run(NULL, run, argv) < 0;
}
