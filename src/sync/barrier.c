/* barrier.c - n meet, and go on together.
 *
 * The word: how many have arrived, and whether the barrier is broken. `own` is n. One that has
 * arrived and is interrupted is missing for ever, so the others are told instead of left waiting;
 * so it is with one that was interrupted before it came. */
#include <errno.h>
#include <fiber/sync.h>
#include <limits.h>
#include <string.h>

#include "sync/waitqueue.h"

_Static_assert(sizeof(struct waitqueue) <= sizeof(fiber_barrier_t), "private_ must hold it");

enum { BROKEN = 1 << WORD_SHIFT, ONE = BROKEN << 1 };

/* What a wait is granted as. */
enum { MET, BROKE };

static struct waitqueue *inside(fiber_barrier_t *b)
{
	return (struct waitqueue *)(void *)b;
}

static void release(struct waitqueue *q, uint64_t word, unsigned how)
{
	struct list claimed = { 0 };

	waitqueue_claim_all(q, how, &claimed);
	word_release(&q->word, word);
	waitqueue_wake_all(&claimed);
}

static void break_it(struct waitqueue *q)
{
	word_guard(&q->word);
	release(q, BROKEN, BROKE);
}

/* It had arrived, and its wait was interrupted. If the others have met meanwhile, it was one of
 * them, and the interruption shows at its next call. */
static int interrupted(struct waitqueue *q, struct waiter *w, int why)
{
	uint64_t word = word_guard(&q->word);
	bool is_missing = list_linked(&w->link);

	if (!is_missing) {
		q->leaving--;
		word_release(&q->word, word);
		return word & BROKEN ? why : 0;
	}
	list_remove(&w->link);
	if (why == -ENOMEM) /* no timer: as if it had not come */
		word_release(&q->word, ((word - ONE) & ~(uint64_t)WORD_QUEUED) | waitqueue_bit(q));
	else
		release(q, BROKEN, BROKE);
	return why;
}

static int arrive(struct waitqueue *q, struct fiber *self)
{
	struct waiter w = { .fiber = self };
	uint64_t word = word_guard(&q->word);
	int r;

	if (word & BROKEN) {
		word_release(&q->word, word);
		return -EPIPE;
	}
	word += ONE;
	if (word / ONE == q->own) {
		release(q, 0, MET);
		wait_done();
		return 1;
	}
	waitqueue_enter(q, word, &w, WAIT_BARRIER);
	r = wait_park(self, FIBER_NEVER);
	if (r < 0)
		return interrupted(q, &w, r);
	return r == BROKE ? -EPIPE : 0;
}

PUBLIC int fiber_barrier_wait(fiber_barrier_t *b)
{
	struct waitqueue *q = inside(b);
	struct fiber *self;
	int r;

	if (!b || q->own == 0)
		return -EINVAL;
	r = wait_check();
	if (r == -ECANCELED)
		break_it(q);
	if (r < 0)
		return r;
	self = wait_self();
	return self ? arrive(q, self) : wait_why();
}

PUBLIC int fiber_barrier_init(fiber_barrier_t *b, unsigned n)
{
	if (!b || n == 0 || n > INT_MAX)
		return -EINVAL;
	memset(b, 0, sizeof *b);
	inside(b)->own = n;
	return 0;
}

PUBLIC int fiber_barrier_destroy(fiber_barrier_t *b)
{
	return b ? waitqueue_busy(inside(b)) : -EINVAL;
}
