/* helper_threads.c - the life of a helper: born with its first job, idle between jobs, joined at
 * the end.
 *
 * Hand-over: the submitter gives an idle helper the job, sets its word and wakes it. The word is
 * set under the lock, because a helper is freed only by somebody who took the lock after that;
 * waking a word whose memory is gone is harmless (os.h).
 *
 * Threads are started and joined under a second, sleeping lock: who joins a helper knows by it
 * that its starter has stored the handle. */
#include "sched/helper_threads.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"
#include "sched/kick.h"
#include "sched/lend.h"
#include "sched/worker.h"

#define IDLE_NS INT64_C(10000000000)

struct helper_pool helper_pool;
static pthread_mutex_t births = PTHREAD_MUTEX_INITIALIZER;

/* ---- a helper's life --------------------------------------------------------------------------*/
static void block_signals(struct helper *h)
{
	os_mask_all_but_faults(&h->mask);
	os_mask_set(&h->mask, NULL);
}

/* The program's own code gets the mask that its caller has. */
static int run(struct helper *h, struct helpers_job *job)
{
	int result;

	if ((job->flags & HELPERS_STOPPABLE) && !h->kickable) {
		kick_allow();
		h->kickable = true;
	}
	if (!(job->flags & HELPERS_PROGRAM))
		return job->run(job->argument);
	os_mask_set(&job->mask, &h->mask);
	result = job->run(job->argument);
	os_mask_set(&h->mask, NULL);
	return result;
}

/* Refused: an interruption came first; the caller is on its way to look at the state. */
static void wake(struct fiber *fiber, uint64_t ticket)
{
	if (wait_claim(fiber, ticket, 0))
		wait_wake(fiber);
}

/* A call that was left behind wakes nobody, and while it ran no deadlock was one: who sleeps looks
 * again. */
static void look_again(void)
{
	for (struct runtime *rt = NULL; (rt = runtime_after(rt));)
		worker_rouse(&rt->worker[0]);
}

static void execute(struct helper *h, struct helpers_job *job)
{
	int result = run(h, job);
	struct fiber *fiber;
	uint64_t ticket;
	bool stopped, left, lent = (job->flags & HELPERS_LEND) && result == 0;

	spin_lock(&helper_pool.guard);
	must(job->state == JOB_RUNNING && job->helper == h);
	stopped = atomic_load_explicit(&job->stop, memory_order_relaxed) != 0;
	left = job->left;
	fiber = job->fiber;
	ticket = job->ticket;
	job->result = result;
	job->state = JOB_ENDED;
	helper_pool.running--;
	spin_unlock(&helper_pool.guard);
	if (left)
		free(job);
	else if (lent)
		lend_return(fiber);
	else
		wake(fiber, ticket);
	/* Pairs with helpers_busy: whoever reads the lower count finds the caller runnable. */
	atomic_fetch_sub_explicit(&helper_pool.busy, 1, memory_order_release);
	if (left)
		look_again();
	if (stopped)
		os_yield(); /* a kick still on its way arrives here, and not in the next job */
}

/* Under the lock. */
static struct helpers_job *take_queued(struct helper *h)
{
	struct list *first = list_pop(&helper_pool.queue);
	struct helpers_job *job;

	if (!first)
		return NULL;
	job = container_of(first, struct helpers_job, link);
	job->state = JOB_RUNNING;
	job->helper = h;
	helper_pool.running++;
	helper_pool.queued--;
	return job;
}

/* Under the lock. */
static void end(struct helper *h)
{
	helper_pool.threads--;
	list_append(&helper_pool.ended, &h->link);
}

/* Nothing was handed over for ten seconds. False: something was, just now. */
static bool give_up(struct helper *h)
{
	bool idle;

	spin_lock(&helper_pool.guard);
	idle = !atomic_load_explicit(&h->word, memory_order_relaxed);
	if (idle) {
		list_remove(&h->link);
		end(h);
	}
	spin_unlock(&helper_pool.guard);
	return idle;
}

/* Sleeps until there is a job. NULL: this helper has ended. */
static struct helpers_job *sleep_idle(struct helper *h)
{
	int64_t until = os_now() + (helper_pool.idle_ns ? helper_pool.idle_ns : IDLE_NS);

	for (;;) {
		os_word_sleep(&h->word, 0, until);
		/* Pairs with the release in helper_hand_over and helper_dismiss: the job. */
		if (atomic_load_explicit(&h->word, memory_order_acquire))
			return h->job;
		if (os_now() >= until && give_up(h))
			return NULL;
	}
}

static struct helpers_job *next_job(struct helper *h)
{
	struct helpers_job *job;

	spin_lock(&helper_pool.guard);
	job = take_queued(h);
	if (job || helper_pool.stopping) {
		if (!job)
			end(h);
		spin_unlock(&helper_pool.guard);
		return job;
	}
	h->job = NULL;
	atomic_store_explicit(&h->word, 0, memory_order_relaxed);
	list_append(&helper_pool.idle, &h->link);
	spin_unlock(&helper_pool.guard);
	return sleep_idle(h);
}

static void live(void *self)
{
	struct helper *h = self;
	struct helpers_job *job = h->job;

	block_signals(h);
	h->self = pthread_self();
	spin_lock(&helper_pool.guard);
	job->helper = h;
	spin_unlock(&helper_pool.guard);
	while (job) {
		execute(h, job);
		job = next_job(h);
	}
	lend_thread_ends();
}

/* ---- what the pool does with them -------------------------------------------------------------*/
/* A helper inherits its creator's mask, and must not run a handler before it has set its own. */
static int start_thread(struct helper *h)
{
	struct os_mask all, before;
	int r;

	os_mask_all(&all);
	os_mask_set(&all, &before);
	pthread_mutex_lock(&births);
	r = os_thread_start(&h->thread, live, h, "fiber-helper");
	pthread_mutex_unlock(&births);
	os_mask_set(&before, NULL);
	return r;
}

int helper_start(struct helpers_job *job)
{
	struct helper *h = calloc(1, sizeof *h);

	if (!h)
		return -EAGAIN;
	h->job = job;
	if (start_thread(h) == 0)
		return 0;
	free(h);
	return -EAGAIN;
}

struct helper *helper_hand_over(struct helpers_job *job)
{
	struct helper *h;

	if (list_empty(&helper_pool.idle))
		return NULL;
	h = container_of(helper_pool.idle.prev, struct helper, link);
	list_remove(&h->link);
	job->state = JOB_RUNNING;
	job->helper = h;
	helper_pool.running++;
	h->job = job;
	atomic_store_explicit(&h->word, 1, memory_order_release);
	return h;
}

void helper_dismiss(struct helper *h)
{
	list_remove(&h->link);
	h->job = NULL;
	end(h);
	atomic_store_explicit(&h->word, 1, memory_order_release);
	os_word_wake(&h->word, 1);
}

void helper_join_ended(void)
{
	struct list *first;

	pthread_mutex_lock(&births);
	for (;;) {
		spin_lock(&helper_pool.guard);
		first = list_pop(&helper_pool.ended);
		spin_unlock(&helper_pool.guard);
		if (!first)
			break;
		struct helper *h = container_of(first, struct helper, link);

		os_thread_join(h->thread);
		free(h);
	}
	pthread_mutex_unlock(&births);
}

void helper_births_forked(void)
{
	births = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}
