/* event.c - happened, or not yet: one bit of the word. */
#include <errno.h>
#include <fiber/sync.h>
#include <string.h>

#include "sync/waitqueue.h"

_Static_assert(sizeof(struct waitqueue) <= sizeof(fiber_event_t), "private_ must hold it");

enum { IS_SET = 1 << WORD_SHIFT };

static struct waitqueue *inside(fiber_event_t *e)
{
	return (struct waitqueue *)(void *)e;
}

/* Takes the guard although the event may be set already: only a read-modify-write makes sure that
 * of "the condition came true; set" and "reset; look at the condition" one sees the other. */
PUBLIC void fiber_event_set(fiber_event_t *e)
{
	struct waitqueue *q = inside(e);
	struct list claimed = { 0 };

	if (!e)
		return;
	word_guard(&q->word);
	waitqueue_claim_all(q, 0, &claimed);
	word_release(&q->word, IS_SET);
	waitqueue_wake_all(&claimed);
}

PUBLIC void fiber_event_reset(fiber_event_t *e)
{
	struct waitqueue *q = inside(e);
	uint64_t word;

	if (!e)
		return;
	word = word_guard(&q->word);
	word_release(&q->word, word & ~(uint64_t)IS_SET);
}

static bool is_set(struct waitqueue *q)
{
	/* Acquire: what was done before the set. */
	return atomic_load_explicit(&q->word, memory_order_acquire) == IS_SET;
}

PUBLIC int fiber_event_wait_until(fiber_event_t *e, int64_t when)
{
	struct waitqueue *q = inside(e);
	struct fiber *self;
	uint64_t word;
	int r;

	if (!e)
		return -EINVAL;
	r = wait_check();
	if (r < 0)
		return r;
	if (is_set(q))
		goto set;
	self = wait_self();
	if (!self)
		return wait_why();
	word = word_guard(&q->word);
	if (!(word & IS_SET)) {
		r = waitqueue_park(q, word, self, WAIT_EVENT, when);
		return r < 0 ? r : 0;
	}
	word_release(&q->word, word);
set:
	wait_done();
	return 0;
}

PUBLIC int fiber_event_wait(fiber_event_t *e)
{
	return fiber_event_wait_until(e, FIBER_NEVER);
}

PUBLIC int fiber_event_init(fiber_event_t *e)
{
	if (!e)
		return -EINVAL;
	memset(e, 0, sizeof *e);
	return 0;
}

PUBLIC int fiber_event_destroy(fiber_event_t *e)
{
	return e ? waitqueue_busy(inside(e)) : -EINVAL;
}
