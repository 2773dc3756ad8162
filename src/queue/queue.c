/* queue.c - an event queue's life, and its wait. queue.h has the protocols. */
#include "queue/queue.h"

#include <limits.h>
#include <stdlib.h>

/* ---- life -------------------------------------------------------------------------------------*/
PUBLIC int fiber_queue_create(fiber_queue_t **out)
{
	fiber_queue_t *q;
	int r;

	if (!out)
		return -EINVAL;
	r = os_forks_watch();
	if (r < 0)
		return r;
	q = calloc(1, sizeof *q);
	if (!q)
		return -ENOMEM;
	r = kernel_open(&q->kernel);
	if (r < 0) {
		free(q);
		return r;
	}
	must(pthread_mutex_init(&q->changes, NULL) == 0);
	q->forks = os_forks();
	list_init(&q->raised);
	sources_init(&q->sources);
	*out = q;
	return 0;
}

/* In a forked child the waiter was a thread of the parent's, and so may be who held a lock. */
PUBLIC int fiber_queue_destroy(fiber_queue_t *q)
{
	bool forked = queue_check(q) == -ECHILD;

	if (!q)
		return 0;
	if (!forked) {
		if (atomic_load_explicit(&q->waiting, memory_order_acquire))
			return -EBUSY;
		must(pthread_mutex_destroy(&q->changes) == 0);
	}
	kernel_close(q->kernel, forked);
	sources_destroy(&q->sources);
	free(q);
	return 0;
}

/* ---- one look ---------------------------------------------------------------------------------*/
static bool take_woken(fiber_queue_t *q)
{
	return atomic_load_explicit(&q->woken, memory_order_relaxed) != 0 &&
	       atomic_swap32(&q->woken, 0) != 0;
}

/* How many of `max` events are kept for user events, under the guard: half, if so many are raised,
 * and of one event every other time. */
static size_t share(fiber_queue_t *q, size_t max)
{
	if (likely(!q->raised_count))
		return 0;
	q->odd = !q->odd;
	if (max == 1)
		return q->odd;
	return q->raised_count < max / 2 ? q->raised_count : max / 2;
}

/* The kernel's events, under the guard: those whose registration still stands. The bell's is no
 * source. */
static int translate(fiber_queue_t *q, int fetched, fiber_queue_event_t *events)
{
	int n = 0;

	for (int i = 0; i < fetched; i++) {
		uint64_t id = kernel_cookie(q->kernel, i);
		struct source *s = sources_at(&q->sources, id);
		unsigned ready;

		if (unlikely(!s || s->told))
			continue;
		ready = kernel_ready(q->kernel, i, s->flags, s->kind);
		if (unlikely(!ready))
			continue;
		s->told = (s->flags & FIBER_QUEUE_ONESHOT) != 0;
		events[n++] = (fiber_queue_event_t){s->token, id, ready};
	}
	return n;
}

/* After a look into the kernel, which fetched so many: everything that is to be told. */
static int collect(fiber_queue_t *q, int fetched, fiber_queue_event_t *events, size_t max)
{
	bool ring = false;
	int n;

	spin_lock(&q->guard);
	q->asleep = false;
	q->rung = false;
	n = translate(q, fetched, events);
	if (unlikely(q->raised_count)) {
		n += user_take(q, events + n, max - (size_t)n, q->raised_count);
		ring = q->raised_count && queue_owes_ring(q);
	}
	spin_unlock(&q->guard);
	if (unlikely(ring))
		kernel_ring(q->kernel);
	return n;
}

enum outcome { QUIET, WOKEN, AGAIN };

/* Nothing was told. Somebody woke; or what took all the room that there was in this look were
 * the bell, or user events that were lowered meanwhile: behind them may be others. */
static enum outcome why(const fiber_queue_t *q, bool woken, int fetched, size_t asked)
{
	if (woken)
		return WOKEN;
	for (int i = 0; i < fetched; i++)
		if (kernel_cookie(q->kernel, i) == KERNEL_BELL)
			return AGAIN;
	return asked == 0 ? AGAIN : QUIET;
}

/* Sleeps at most once. */
static int look(fiber_queue_t *q, fiber_queue_event_t *events, size_t max, int64_t until,
		enum outcome *outcome)
{
	bool woken = take_woken(q);
	size_t kept;
	int n, fetched = 0;

	spin_lock(&q->guard);
	kept = share(q, max);
	if (q->raised_count || woken)
		until = 0;
	q->asleep = until != 0;
	spin_unlock(&q->guard);
	if (likely(kept < max))
		fetched = kernel_wait(q->kernel, max - kept, until);
	woken |= take_woken(q);
	n = collect(q, fetched, events, max);
	if (likely(n > 0))
		return n;
	*outcome = why(q, woken, fetched, max - kept);
	return fetched < 0 ? fetched : 0;
}

/* ---- waiting ----------------------------------------------------------------------------------*/
static int64_t end_of(int64_t timeout_ns)
{
	int64_t now;

	if (timeout_ns <= 0)
		return 0;
	if (timeout_ns == FIBER_NEVER)
		return OS_NEVER;
	now = os_now();
	return timeout_ns < OS_NEVER - now ? now + timeout_ns : OS_NEVER;
}

static bool over(int64_t until)
{
	return until != OS_NEVER && (until == 0 || os_now() >= until);
}

PUBLIC int fiber_queue_wait(fiber_queue_t *q, fiber_queue_event_t *events, size_t max,
			    int64_t timeout_ns)
{
	enum outcome outcome = QUIET;
	int64_t until;
	int r = queue_check(q);

	if (unlikely(r < 0))
		return r;
	if (!events || max == 0 || max > INT_MAX)
		return -EINVAL;
	/* Pairs with the release at the end of the wait before, whose buffers we go on to use. */
	if (unlikely(atomic_swap32(&q->waiting, 1)))
		return -EBUSY;
	r = kernel_reserve(q->kernel, max);
	if (likely(r == 0)) {
		until = end_of(timeout_ns);
		do
			r = look(q, events, max, until, &outcome);
		while (r == 0 && outcome != WOKEN && (outcome == AGAIN || !over(until)));
	}
	atomic_store_explicit(&q->waiting, 0, memory_order_release);
	return r;
}

PUBLIC bool fiber_queue_current(fiber_queue_t *q, const fiber_queue_event_t *event)
{
	bool stands;

	if (queue_check(q) < 0 || !event)
		return false;
	spin_lock(&q->guard);
	stands = sources_at(&q->sources, event->source_) != NULL;
	spin_unlock(&q->guard);
	return stands;
}

PUBLIC int fiber_queue_wake(fiber_queue_t *q)
{
	int r = queue_check(q);

	if (r < 0)
		return r;
	/* Not atomic_swap32: signal handlers come between a load and a store. */
	if (!atomic_exchange_explicit(&q->woken, 1, memory_order_acq_rel))
		kernel_ring(q->kernel);
	return 0;
}

PUBLIC fiber_fd fiber_queue_fd(fiber_queue_t *q)
{
	bool ring;
	int r = queue_check(q);

	if (r < 0)
		return r;
	spin_lock(&q->guard);
	q->pollable = true;
	ring = q->raised_count && queue_owes_ring(q);
	spin_unlock(&q->guard);
	if (ring)
		kernel_ring(q->kernel);
	return kernel_fd(q->kernel);
}
