/* chan_life.c - a channel's beginning, close and end: see chan.h for the invariants. */
#include <stdlib.h>

#include "sync/ticker.h"

PUBLIC int fiber_chan_create(fiber_chan_t **out, size_t item_bytes, size_t capacity)
{
	struct fiber_chan *c;
	size_t bytes;

	if (!out)
		return -EINVAL;
	if (__builtin_mul_overflow(item_bytes, capacity, &bytes) ||
	    __builtin_add_overflow(bytes, sizeof *c, &bytes))
		return -ENOMEM;
	c = malloc(bytes);
	if (!c)
		return -ENOMEM;
	memset(c, 0, sizeof *c);
	atomic_init(&c->refs, 1);
	c->item_bytes = item_bytes;
	c->brief = item_bytes == 1 || item_bytes == 2 || item_bytes == 4 || item_bytes == 8 ||
		   item_bytes == 16;
	c->capacity = capacity;
	list_init(&c->senders);
	list_init(&c->receivers);
	*out = c;
	return 0;
}

PUBLIC fiber_chan_t *fiber_chan_ref(fiber_chan_t *c)
{
	if (c)
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

PUBLIC void fiber_chan_free(fiber_chan_t *c)
{
	/* Release and acquire: what every owner did comes before the end. */
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	must(list_empty(&c->senders) && list_empty(&c->receivers));
	free(c);
}

void chan_claim_all(struct list *waiters, int result, struct list *claimed)
{
	struct list *node;

	list_init(claimed);
	while ((node = list_pop(waiters))) {
		struct chan_waiter *w = container_of(node, struct chan_waiter, base.link);

		if (!wait_claim(w->base.fiber, w->base.ticket, w->base.index))
			continue;
		w->result = result;
		list_append(claimed, node);
	}
}

void chan_wake_all(struct list *claimed)
{
	struct list *node;

	while ((node = list_pop(claimed)))
		wait_wake(container_of(node, struct chan_waiter, base.link)->base.fiber);
}

PUBLIC int fiber_chan_close(fiber_chan_t *c)
{
	struct list senders, receivers;
	bool was;

	if (!c)
		return -EINVAL;
	spin_lock(&c->guard);
	was = c->closed;
	c->closed = true;
	chan_claim_all(&c->senders, -EPIPE, &senders);
	chan_claim_all(&c->receivers, -EPIPE, &receivers);
	spin_unlock(&c->guard);
	chan_wake_all(&senders);
	chan_wake_all(&receivers);
	return was ? -EALREADY : 0;
}

PUBLIC size_t fiber_chan_count(const fiber_chan_t *c)
{
	struct fiber_chan *chan = (struct fiber_chan *)c;
	size_t n;

	if (!c)
		return 0;
	spin_lock(&chan->guard);
	n = c->ticks ? !c->closed && ticker_is_due(chan) : c->count;
	spin_unlock(&chan->guard);
	return n;
}
