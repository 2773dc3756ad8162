/* helpers.c - calls that block, on their way to a helper thread and back.
 *
 * helper_threads.h tells what the pool is and what guards it. */
#include "sched/helpers.h"

#include <errno.h>
#include <string.h>

#include "base/must.h"
#include "sched/helper_threads.h"
#include "sched/kick.h"
#include "sched/lend.h"

enum { MOST_DEFAULT = 64 };
#define KICK_AGAIN_NS      INT64_C(1000000)
#define KICK_AGAIN_MOST_NS INT64_C(64000000)

/* ---- handing over -----------------------------------------------------------------------------*/
/* Under the lock. */
static void enqueue(struct helpers_job *job)
{
	job->state = JOB_QUEUED;
	list_append(&helper_pool.queue, &job->link);
	helper_pool.queued++;
	helper_pool.delayed++;
}

/* Under the lock: a job that nobody runs leaves the queue, ended. */
static void dequeue(struct helpers_job *job)
{
	list_remove(&job->link);
	helper_pool.queued--;
	job->result = -EINTR;
	job->state = JOB_ENDED;
}

/* No thread could be started: any other helper will do, now or later. */
static int fall_back(struct helpers_job *job)
{
	struct helper *h;
	int r = 0;

	spin_lock(&helper_pool.guard);
	helper_pool.threads--;
	helper_pool.running--;
	h = helper_hand_over(job);
	if (!h && helper_pool.threads > 0)
		enqueue(job);
	else if (!h)
		r = -EAGAIN;
	spin_unlock(&helper_pool.guard);
	if (h)
		os_word_wake(&h->word, 1);
	return r;
}

static int submit(struct helpers_job *job)
{
	struct helper *h;
	bool grow = false;
	unsigned most;

	spin_lock(&helper_pool.guard);
	most = helper_pool.most ? helper_pool.most : MOST_DEFAULT;
	helper_pool.calls++;
	h = helper_hand_over(job);
	if (!h && helper_pool.threads < most) {
		grow = true;
		job->state = JOB_RUNNING; /* its helper puts itself in */
		helper_pool.threads++;
		helper_pool.running++;
	} else if (!h) {
		enqueue(job);
	}
	spin_unlock(&helper_pool.guard);
	/* From here on the job may have ended, unless its thread is still to be started. */
	if (h)
		os_word_wake(&h->word, 1);
	return grow && helper_start(job) < 0 ? fall_back(job) : 0;
}

/* ---- getting back -----------------------------------------------------------------------------*/
/* Under the lock, so that the helper is still in this very job. The kick is a system call, but one
 * that does not block, and rare. */
static void ask_back(struct helpers_job *job)
{
	atomic_store_explicit(&job->stop, 1, memory_order_relaxed);
	if (job->helper && (job->flags & HELPERS_STOPPABLE))
		kick_send(job->helper->self);
}

/* Under the lock: one more wait for its end. */
static void wait_for_end(struct helpers_job *job, struct fiber *self)
{
	int64_t pause = KICK_AGAIN_NS, until = OS_NEVER;
	int r = 0;

	while (job->state != JOB_ENDED) {
		job->ticket = wait_begin(self, job->what, NULL, WAIT_HARD);
		if (job->flags & HELPERS_STOPPABLE) {
			ask_back(job);
			/* Without memory for a timer there is only this one kick. */
			until = r == -ENOMEM ? OS_NEVER : os_now() + pause;
		}
		spin_unlock(&helper_pool.guard);
		r = wait_park(self, until);
		if (pause < KICK_AGAIN_MOST_NS)
			pause *= 2;
		spin_lock(&helper_pool.guard);
	}
}

/* The wait was interrupted: gets the job back, however long that takes, or leaves it. A success is
 * a success. */
static int recover(struct helpers_job *job, struct fiber *self, int why)
{
	spin_lock(&helper_pool.guard);
	if (job->state == JOB_QUEUED) {
		dequeue(job);
		atomic_fetch_sub_explicit(&helper_pool.busy, 1, memory_order_release);
	}
	if ((job->flags & HELPERS_LEAVE) && job->state == JOB_RUNNING && why == -ECANCELED) {
		job->left = true;
		spin_unlock(&helper_pool.guard);
		return HELPERS_LEFT;
	}
	wait_for_end(job, self);
	spin_unlock(&helper_pool.guard);
	return job->result == -EINTR ? why : job->result;
}

int helpers_call(struct helpers_job *job)
{
	const unsigned interruptible = HELPERS_STOPPABLE | HELPERS_UNBEGUN | HELPERS_LEAVE;
	struct fiber *self = wait_self();
	int r;

	if (!self)
		return wait_why();
	must(job->state == JOB_NEW);
	if (job->flags & HELPERS_PROGRAM)
		os_mask_get(&job->mask);
	if (job->what == WAIT_NOTHING)
		job->what = WAIT_OFFLOAD;
	atomic_fetch_add_explicit(&helper_pool.busy, 1, memory_order_relaxed);
	job->fiber = self;
	job->ticket = wait_begin(self, job->what, NULL,
				 job->flags & interruptible ? WAIT_INTERRUPTIBLE : WAIT_HARD);
	r = submit(job);
	if (r < 0) {
		atomic_fetch_sub_explicit(&helper_pool.busy, 1, memory_order_relaxed);
		wait_abandon(self);
		return r;
	}
	r = job->flags & HELPERS_LEND ? lend_park(self, job) : wait_park(self, OS_NEVER);
	return r < 0 ? recover(job, self, r) : job->result;
}

void helpers_recall(struct helpers_job *job)
{
	struct fiber *fiber = NULL;
	uint64_t ticket = 0;

	spin_lock(&helper_pool.guard);
	if (job->state == JOB_RUNNING) {
		ask_back(job);
	} else if (job->state == JOB_QUEUED) {
		fiber = job->fiber;
		ticket = job->ticket;
		dequeue(job);
	}
	spin_unlock(&helper_pool.guard);
	if (!fiber)
		return;
	if (wait_claim(fiber, ticket, 0))
		wait_wake(fiber);
	atomic_fetch_sub_explicit(&helper_pool.busy, 1, memory_order_release);
}

int wait_offload(int (*fn)(void *), void *arg)
{
	struct helpers_job job = { .run = fn, .argument = arg };

	return wait_on_fiber() ? helpers_call(&job) : fn(arg);
}

/* ---- the pool as a whole ----------------------------------------------------------------------*/
void helpers_limit(unsigned most)
{
	if (most == 0)
		most = MOST_DEFAULT;
	spin_lock(&helper_pool.guard);
	if (most > helper_pool.most)
		helper_pool.most = most;
	spin_unlock(&helper_pool.guard);
}

void helpers_stop(void)
{
	bool quiet;

	spin_lock(&helper_pool.guard);
	helper_pool.stopping++;
	helper_pool.most = 0;
	while (!list_empty(&helper_pool.idle))
		helper_dismiss(container_of(helper_pool.idle.next, struct helper, link));
	spin_unlock(&helper_pool.guard);
	/* Those that have just woken their caller are on their way to the end. */
	do {
		os_yield();
		spin_lock(&helper_pool.guard);
		quiet = helper_pool.threads == helper_pool.running;
		spin_unlock(&helper_pool.guard);
	} while (!quiet);
	helper_join_ended();
	spin_lock(&helper_pool.guard);
	helper_pool.stopping--;
	spin_unlock(&helper_pool.guard);
}

unsigned helpers_threads(void)
{
	unsigned threads;

	helper_join_ended();
	spin_lock(&helper_pool.guard);
	threads = helper_pool.threads;
	spin_unlock(&helper_pool.guard);
	return threads;
}

unsigned helpers_busy(void)
{
	return atomic_load_explicit(&helper_pool.busy, memory_order_acquire);
}

uint64_t helpers_calls(void)
{
	uint64_t calls;

	spin_lock(&helper_pool.guard);
	calls = helper_pool.calls;
	spin_unlock(&helper_pool.guard);
	return calls;
}

uint64_t helpers_delayed(void)
{
	uint64_t delayed;

	spin_lock(&helper_pool.guard);
	delayed = helper_pool.delayed;
	spin_unlock(&helper_pool.guard);
	return delayed;
}

unsigned helpers_queued(void)
{
	unsigned queued;

	spin_lock(&helper_pool.guard);
	queued = helper_pool.queued;
	spin_unlock(&helper_pool.guard);
	return queued;
}

void helpers_forked(void)
{
	memset(&helper_pool, 0, sizeof helper_pool);
	helper_births_forked();
}
