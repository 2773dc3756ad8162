/* waitgroup.c - a count, and those who wait for it to be zero. Whoever brings it there lets all of
 * them go before the zero can be seen: then one of them may free the object. */
#include <errno.h>
#include <fiber/sync.h>
#include <limits.h>
#include <string.h>

#include "sync/waitqueue.h"

_Static_assert(sizeof(struct waitqueue) <= sizeof(fiber_waitgroup_t), "private_ must hold it");

static struct waitqueue *inside(fiber_waitgroup_t *g)
{
	return (struct waitqueue *)(void *)g;
}

/* Under guard. */
static int change(struct waitqueue *q, uint64_t *word, int n, struct list *claimed)
{
	int64_t count = (int64_t)(*word >> WORD_SHIFT) + n;

	if (count < 0)
		return -EINVAL;
	if (count > INT_MAX)
		return -EOVERFLOW;
	if (count == 0)
		waitqueue_claim_all(q, 0, claimed);
	*word = (uint64_t)count << WORD_SHIFT | waitqueue_bit(q);
	return 0;
}

PUBLIC int fiber_waitgroup_add(fiber_waitgroup_t *g, int n)
{
	struct waitqueue *q = inside(g);
	struct list claimed = { 0 };
	uint64_t word;
	int r;

	if (!g)
		return -EINVAL;
	word = word_guard(&q->word);
	r = change(q, &word, n, &claimed);
	word_release(&q->word, word);
	waitqueue_wake_all(&claimed);
	return r;
}

PUBLIC int fiber_waitgroup_done(fiber_waitgroup_t *g)
{
	return fiber_waitgroup_add(g, -1);
}

PUBLIC int fiber_waitgroup_wait_until(fiber_waitgroup_t *g, int64_t when)
{
	struct waitqueue *q = inside(g);
	struct fiber *self;
	uint64_t word;
	int r;

	if (!g)
		return -EINVAL;
	r = wait_check();
	if (r < 0)
		return r;
	/* Acquire: what was done before the last done. */
	if (atomic_load_explicit(&q->word, memory_order_acquire) == 0)
		goto zero;
	self = wait_self();
	if (!self)
		return wait_why();
	word = word_guard(&q->word);
	if (word >> WORD_SHIFT) {
		r = waitqueue_park(q, word, self, WAIT_WAITGROUP, when);
		return r < 0 ? r : 0;
	}
	word_release(&q->word, word);
zero:
	wait_done();
	return 0;
}

PUBLIC int fiber_waitgroup_wait(fiber_waitgroup_t *g)
{
	return fiber_waitgroup_wait_until(g, FIBER_NEVER);
}

PUBLIC int fiber_waitgroup_init(fiber_waitgroup_t *g)
{
	if (!g)
		return -EINVAL;
	memset(g, 0, sizeof *g);
	return 0;
}

PUBLIC int fiber_waitgroup_destroy(fiber_waitgroup_t *g)
{
	return g ? waitqueue_busy(inside(g)) : -EINVAL;
}
