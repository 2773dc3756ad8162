/* sem.c - a counting semaphore: its word is the count. While the count is above zero nobody waits;
 * a post that finds a waiter gives it the unit from hand to hand, so none can be taken twice, and
 * an interrupted waiter leaves nothing to pass on. */
#include <errno.h>
#include <fiber/sync.h>
#include <limits.h>

#include "sync/waitqueue.h"

_Static_assert(sizeof(struct waitqueue) <= sizeof(fiber_sem_t), "private_ must hold it");

enum { UNIT = 1 << WORD_SHIFT };
#define COUNT_MOST ((uint64_t)INT_MAX << WORD_SHIFT)

static struct waitqueue *inside(fiber_sem_t *s)
{
	return (struct waitqueue *)(void *)s;
}

static bool take_at_once(struct waitqueue *q)
{
	uint64_t word = atomic_load_explicit(&q->word, memory_order_relaxed);

	while (word >= UNIT && !(word & WORD_GUARDED))
		if (atomic_cas64(&q->word, &word, word - UNIT))
			return true;
	return false;
}

static int take_or_park(struct waitqueue *q, int64_t until)
{
	struct fiber *self = wait_self();
	uint64_t word;
	int r;

	if (!self)
		return wait_why();
	word = word_guard(&q->word);
	if (word >= UNIT) {
		word_release(&q->word, word - UNIT);
		wait_done();
		return 0;
	}
	r = waitqueue_park(q, word, self, WAIT_SEM, until);
	return r < 0 ? r : 0;
}

PUBLIC int fiber_sem_wait_until(fiber_sem_t *s, int64_t when)
{
	struct waitqueue *q = inside(s);
	int r;

	if (!s)
		return -EINVAL;
	r = wait_check();
	if (r < 0)
		return r;
	if (!take_at_once(q))
		return take_or_park(q, when);
	wait_done();
	return 0;
}

PUBLIC int fiber_sem_wait(fiber_sem_t *s)
{
	return fiber_sem_wait_until(s, FIBER_NEVER);
}

PUBLIC int fiber_sem_trywait(fiber_sem_t *s)
{
	struct waitqueue *q = inside(s);
	uint64_t word;

	if (!s)
		return -EINVAL;
	if (take_at_once(q))
		return 0;
	if (atomic_load_explicit(&q->word, memory_order_relaxed) & WORD_GUARDED) {
		word = word_guard(&q->word); /* what the count will be is not known yet */
		word_release(&q->word, word >= UNIT ? word - UNIT : word);
		if (word >= UNIT)
			return 0;
	}
	wait_done(); /* or a loop around this would keep the poster from running */
	return -EBUSY;
}

/* Somebody waits, or the count is at its end. */
static int post_slowly(struct waitqueue *q)
{
	uint64_t word = word_guard(&q->word) & ~(uint64_t)WORD_QUEUED;
	struct waiter *w = waitqueue_claim(q, 0);
	struct fiber *woken = w ? w->fiber : NULL;
	int r = 0;

	if (!w && word >= COUNT_MOST)
		r = -EOVERFLOW;
	else if (!w)
		word += UNIT;
	word_release(&q->word, word | waitqueue_bit(q));
	if (woken)
		wait_wake(woken);
	return r;
}

PUBLIC int fiber_sem_post(fiber_sem_t *s)
{
	struct waitqueue *q = inside(s);
	uint64_t word;

	if (!s)
		return -EINVAL;
	word = atomic_load_explicit(&q->word, memory_order_relaxed);
	while (!(word & (WORD_GUARDED | WORD_QUEUED)) && word < COUNT_MOST)
		if (atomic_cas64(&q->word, &word, word + UNIT))
			return 0;
	return post_slowly(q);
}

PUBLIC int fiber_sem_init(fiber_sem_t *s, unsigned value)
{
	if (!s || value > INT_MAX)
		return -EINVAL;
	*s = (fiber_sem_t)FIBER_SEM_INIT(value);
	return 0;
}

PUBLIC int fiber_sem_destroy(fiber_sem_t *s)
{
	return s ? waitqueue_busy(inside(s)) : -EINVAL;
}
