/* chan.c - channels: see chan.h for the invariants. */
#include "sync/chan.h"

#include <stdlib.h>

static inline void copy(void *to, const void *from, size_t bytes)
{
	if (likely(bytes == sizeof(uint64_t)))
		memcpy(to, from, sizeof(uint64_t)); /* most items are a word or a pointer */
	else if (bytes > 0) /* of no bytes the pointers may be NULL, which memcpy forbids */
		memcpy(to, from, bytes);
}

static inline unsigned char *slot(struct fiber_chan *c, size_t at)
{
	if (at >= c->capacity)
		at -= c->capacity;
	return c->items + at * c->item_bytes;
}

/* The oldest waiter that can still be had; NULL: none. Its memory stays until it is woken. */
static inline struct chan_waiter *claim(struct list *waiters)
{
	struct list *node;

	while (!list_empty(waiters) && (node = list_pop(waiters))) {
		struct chan_waiter *w = container_of(node, struct chan_waiter, base.link);

		if (likely(wait_claim(w->base.fiber, w->base.ticket, w->base.index)))
			return w;
	}
	return NULL;
}

static inline struct fiber *grant(struct chan_waiter *w, int result)
{
	*w->result = result;
	return w->base.fiber;
}

int chan_put(struct fiber_chan *c, const void *item, struct fiber **woken)
{
	struct chan_waiter *w;

	*woken = NULL;
	if (unlikely(c->closed))
		return -EPIPE;
	w = claim(&c->receivers);
	if (w) {
		if (w->base.data)
			copy(w->base.data, item, c->item_bytes);
		*woken = grant(w, 0);
		return 0;
	}
	if (c->count == c->capacity)
		return -EAGAIN;
	copy(slot(c, c->head + c->count), item, c->item_bytes);
	c->count++;
	return 0;
}

/* Nothing in it: from a sender's hand, if there is one. */
static int take_over(struct fiber_chan *c, void *item, struct fiber **woken)
{
	struct chan_waiter *w = claim(&c->senders);

	if (!w)
		return c->closed ? -EPIPE : -EAGAIN;
	if (item)
		copy(item, w->base.data, c->item_bytes);
	*woken = grant(w, 0);
	return 0;
}

int chan_take(struct fiber_chan *c, void *item, struct fiber **woken)
{
	struct chan_waiter *w;

	*woken = NULL;
	if (c->count == 0)
		return take_over(c, item, woken);
	if (likely(item != NULL))
		copy(item, slot(c, c->head), c->item_bytes);
	if (++c->head == c->capacity)
		c->head = 0;
	c->count--;
	w = claim(&c->senders); /* there is room for one now */
	if (w) {
		copy(slot(c, c->head + c->count), w->base.data, c->item_bytes);
		c->count++;
		*woken = grant(w, 0);
	}
	return 0;
}

/* Guard held: waits in `queue`, and lets go of the guard. */
static int wait_in(struct fiber_chan *c, struct list *queue, void *item, enum wait_what what,
		   int64_t until)
{
	struct fiber *self = wait_self();
	int result = 0, r;
	struct chan_waiter w = { .base = { .fiber = self, .data = item }, .result = &result };

	if (unlikely(!self)) {
		spin_unlock(&c->guard);
		return wait_why();
	}
	w.base.ticket = wait_begin(self, what, c, WAIT_INTERRUPTIBLE);
	list_append(queue, &w.base.link);
	spin_unlock(&c->guard);
	r = wait_park(self, until);
	if (likely(r >= 0))
		return result;
	spin_lock(&c->guard);
	if (list_linked(&w.base.link))
		list_remove(&w.base.link);
	spin_unlock(&c->guard);
	return r;
}

static inline int finish(struct fiber_chan *c, struct fiber *woken, int r)
{
	spin_unlock(&c->guard);
	if (woken)
		wait_wake(woken);
	return r;
}

static inline int send_until(struct fiber_chan *c, const void *item, int64_t until)
{
	struct fiber *woken;
	int r;

	if (unlikely(!c || (!item && c->item_bytes)))
		return -EINVAL;
	r = wait_check();
	if (unlikely(r < 0))
		return r;
	spin_lock(&c->guard);
	r = chan_put(c, item, &woken);
	if (unlikely(r == -EAGAIN))
		return wait_in(c, &c->senders, (void *)item, WAIT_SEND, until);
	finish(c, woken, r);
	wait_done();
	return r;
}

static inline int recv_until(struct fiber_chan *c, void *item, int64_t until)
{
	struct fiber *woken;
	int r;

	if (unlikely(!c))
		return -EINVAL;
	r = wait_check();
	if (unlikely(r < 0))
		return r;
	spin_lock(&c->guard);
	r = chan_take(c, item, &woken);
	if (unlikely(r == -EAGAIN))
		return wait_in(c, &c->receivers, item, WAIT_RECV, until);
	finish(c, woken, r);
	wait_done();
	return r;
}

PUBLIC int fiber_chan_send(fiber_chan_t *c, const void *item)
{
	return send_until(c, item, FIBER_NEVER);
}

PUBLIC int fiber_chan_send_until(fiber_chan_t *c, const void *item, int64_t when)
{
	return send_until(c, item, when);
}

PUBLIC int fiber_chan_recv(fiber_chan_t *c, void *item)
{
	return recv_until(c, item, FIBER_NEVER);
}

PUBLIC int fiber_chan_recv_until(fiber_chan_t *c, void *item, int64_t when)
{
	return recv_until(c, item, when);
}

PUBLIC int fiber_chan_try_send(fiber_chan_t *c, const void *item)
{
	struct fiber *woken;
	int r;

	if (!c || (!item && c->item_bytes))
		return -EINVAL;
	spin_lock(&c->guard);
	r = chan_put(c, item, &woken);
	return finish(c, woken, r);
}

PUBLIC int fiber_chan_try_recv(fiber_chan_t *c, void *item)
{
	struct fiber *woken;
	int r;

	if (!c)
		return -EINVAL;
	spin_lock(&c->guard);
	r = chan_take(c, item, &woken);
	return finish(c, woken, r);
}

/* ---- life ------------------------------------------------------------------------------------*/
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

/* Moves all who can still be had to `claimed`. */
static void claim_all(struct list *waiters, struct list *claimed)
{
	struct chan_waiter *w;

	while ((w = claim(waiters))) {
		*w->result = -EPIPE;
		list_append(claimed, &w->base.link);
	}
}

PUBLIC int fiber_chan_close(fiber_chan_t *c)
{
	struct list claimed, *node;
	bool was;

	if (!c)
		return -EINVAL;
	list_init(&claimed);
	spin_lock(&c->guard);
	was = c->closed;
	c->closed = true;
	claim_all(&c->senders, &claimed);
	claim_all(&c->receivers, &claimed);
	spin_unlock(&c->guard);
	while ((node = list_pop(&claimed)))
		wait_wake(container_of(node, struct chan_waiter, base.link)->base.fiber);
	return was ? -EALREADY : 0;
}

PUBLIC size_t fiber_chan_count(const fiber_chan_t *c)
{
	struct fiber_chan *chan = (struct fiber_chan *)c;
	size_t n;

	if (!c)
		return 0;
	spin_lock(&chan->guard);
	n = c->count;
	spin_unlock(&chan->guard);
	return n;
}
