/* cond.c - a condition variable: a queue, and a mutex that is let go of while one is in it.
 *
 * A waiter is in the queue before it lets go of the mutex, so whoever changes under that mutex what
 * it waits for, and then signals, finds it there. That is why a signal that finds nobody queued
 * need not even take the guard. */
#include <errno.h>
#include <string.h>

#include "sync/mutex.h"

_Static_assert(sizeof(struct waitqueue) <= sizeof(fiber_cond_t), "private_ must hold it");

static struct waitqueue *inside(fiber_cond_t *c)
{
	return (struct waitqueue *)(void *)c;
}

static bool nobody_waits(struct waitqueue *q)
{
	return atomic_load_explicit(&q->word, memory_order_relaxed) == 0;
}

PUBLIC int fiber_cond_wait_until(fiber_cond_t *c, fiber_mutex_t *mutex, int64_t when)
{
	uintptr_t me = wait_identity(), depth;
	struct mutex *m = mutex_inside(mutex);
	struct waiter w = { 0 };
	int r;

	if (!c || !m)
		return -EINVAL;
	if (!lock_held_by(&m->lock, me))
		return -EPERM;
	r = wait_check();
	if (r < 0)
		return r;
	w.fiber = wait_self();
	if (!w.fiber)
		return wait_why();
	waitqueue_enter(inside(c), word_guard(&inside(c)->word), &w, WAIT_COND);
	depth = mutex_let_go(m, me);
	r = waitqueue_await(inside(c), &w, when);
	mutex_take_back(m, me, depth);
	return r < 0 ? r : 0;
}

PUBLIC int fiber_cond_wait(fiber_cond_t *c, fiber_mutex_t *m)
{
	return fiber_cond_wait_until(c, m, FIBER_NEVER);
}

PUBLIC int fiber_cond_signal(fiber_cond_t *c)
{
	struct waitqueue *q = inside(c);
	struct fiber *woken;
	struct waiter *w;

	if (!c)
		return -EINVAL;
	if (nobody_waits(q))
		return 0;
	word_guard(&q->word);
	w = waitqueue_claim(q, 0);
	woken = w ? w->fiber : NULL;
	word_release(&q->word, waitqueue_bit(q));
	if (woken)
		wait_wake(woken);
	return 0;
}

PUBLIC int fiber_cond_broadcast(fiber_cond_t *c)
{
	struct waitqueue *q = inside(c);
	struct list claimed = { 0 };

	if (!c)
		return -EINVAL;
	if (nobody_waits(q))
		return 0;
	word_guard(&q->word);
	waitqueue_claim_all(q, 0, &claimed);
	word_release(&q->word, 0);
	waitqueue_wake_all(&claimed);
	return 0;
}

PUBLIC int fiber_cond_init(fiber_cond_t *c)
{
	if (!c)
		return -EINVAL;
	memset(c, 0, sizeof *c);
	return 0;
}

PUBLIC int fiber_cond_destroy(fiber_cond_t *c)
{
	return c ? waitqueue_busy(inside(c)) : -EINVAL;
}
