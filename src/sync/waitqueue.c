/* waitqueue.c - see waitqueue.h. */
#include "sync/waitqueue.h"

#include <errno.h>

int waitqueue_busy(struct waitqueue *q)
{
	uint64_t value = word_guard(&q->word);
	int r = list_empty(&q->waiters) && q->leaving == 0 ? 0 : -EBUSY;

	word_release(&q->word, value);
	return r;
}

struct waiter *waitqueue_claim(struct waitqueue *q, unsigned index)
{
	struct list *node;

	while ((node = list_pop(&q->waiters))) {
		struct waiter *w = container_of(node, struct waiter, link);

		if (likely(wait_claim(w->fiber, w->ticket, index)))
			return w;
		q->leaving++;
	}
	return NULL;
}

void waitqueue_claim_all(struct waitqueue *q, unsigned index, struct list *claimed)
{
	struct waiter *w;

	while ((w = waitqueue_claim(q, index)))
		list_append(claimed, &w->link);
}

void waitqueue_wake_all(struct list *claimed)
{
	struct list *node;

	while ((node = list_pop(claimed)))
		wait_wake(container_of(node, struct waiter, link)->fiber);
}

void waitqueue_enter(struct waitqueue *q, uint64_t value, struct waiter *w, enum wait_what what)
{
	w->ticket = wait_begin(w->fiber, what, q, WAIT_INTERRUPTIBLE);
	list_append(&q->waiters, &w->link);
	word_release(&q->word, value | WORD_QUEUED);
}

static void leave(struct waitqueue *q, struct waiter *w)
{
	uint64_t value = word_guard(&q->word) & ~(uint64_t)WORD_QUEUED;

	if (list_linked(&w->link))
		list_remove(&w->link);
	else
		q->leaving--;
	word_release(&q->word, value | waitqueue_bit(q));
}

int waitqueue_await(struct waitqueue *q, struct waiter *w, int64_t until)
{
	int r = wait_park(w->fiber, until);

	if (r < 0)
		leave(q, w);
	return r;
}

int waitqueue_park(struct waitqueue *q, uint64_t value, struct fiber *self, enum wait_what what,
		   int64_t until)
{
	struct waiter w = { .fiber = self };

	waitqueue_enter(q, value, &w, what);
	return waitqueue_await(q, &w, until);
}
