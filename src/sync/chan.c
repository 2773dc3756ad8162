/* chan.c - sending and receiving: see chan.h for the invariants.
 *
 * Twice. The fast ways are those of a fiber that sends or receives a few bytes, and that nothing
 * unusual happens to: inline from the public function to the switch, with no call but the last one,
 * so that there is nothing to save on the way; the figures are in src/README.md. Everything else,
 * and every surprise, goes the slow ways, which do the whole of it. */
#include "sync/chan.h"

#include "sched/hot.h"
#include "sync/ticker.h"

/* Of no bytes the pointers may be NULL, which memcpy forbids. */
static inline void copy(void *to, const void *from, size_t bytes)
{
	if (bytes > 0)
		memcpy(to, from, bytes);
}

INLINE unsigned char *slot(struct fiber_chan *c, size_t at)
{
	if (at >= c->capacity)
		at -= c->capacity;
	return c->items + at * c->item_bytes;
}

/* ---- one attempt, guard held -----------------------------------------------------------------*/
/* The oldest waiter that can still be had; NULL: none. Its memory stays until it is woken. */
static struct chan_waiter *claim(struct list *waiters)
{
	struct list *node;

	while ((node = list_pop(waiters))) {
		struct chan_waiter *w = container_of(node, struct chan_waiter, base.link);

		if (likely(wait_claim(w->base.fiber, w->base.ticket, w->base.index)))
			return w;
	}
	return NULL;
}

int chan_put(struct fiber_chan *c, const void *item, struct fiber **woken)
{
	struct chan_waiter *w;

	*woken = NULL;
	if (unlikely(c->ticks))
		return -EPERM;
	if (unlikely(c->closed))
		return -EPIPE;
	w = claim(&c->receivers);
	if (w) {
		if (w->base.data)
			copy(w->base.data, item, c->item_bytes);
		*woken = w->base.fiber;
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
	*woken = w->base.fiber;
	return 0;
}

int chan_take(struct fiber_chan *c, void *item, struct fiber **woken)
{
	struct chan_waiter *w;

	*woken = NULL;
	if (unlikely(c->ticks))
		return ticker_take(c, item);
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
		*woken = w->base.fiber;
	}
	return 0;
}

/* ---- waiting ---------------------------------------------------------------------------------*/
static COLD int leave(struct fiber_chan *c, struct chan_waiter *w, int why)
{
	spin_lock(&c->guard);
	if (list_linked(&w->base.link))
		list_remove(&w->base.link);
	spin_unlock(&c->guard);
	return why;
}

NOINLINE int chan_wait(struct fiber_chan *c, struct list *waiters, void *item,
		       enum wait_what what, int64_t until)
{
	struct fiber *self = wait_self();
	struct chan_waiter w = { .base = { .fiber = self, .data = item } };
	int r;

	if (unlikely(!self)) {
		spin_unlock(&c->guard);
		return wait_why();
	}
	w.base.ticket = wait_begin(self, what, c, WAIT_INTERRUPTIBLE);
	list_append(waiters, &w.base.link);
	spin_unlock(&c->guard);
	r = wait_park(self, until);
	return likely(r >= 0) ? w.result : leave(c, &w, r);
}

INLINE void queue(struct list *waiters, struct list *node)
{
	struct list *last = waiters->prev;

	node->next = waiters;
	node->prev = last;
	last->next = node;
	waiters->prev = node;
}

/* The same for a fiber that has no deadline. A tail of the public functions: between a switch and
 * whoever called them lies one return, and not two. */
static NOINLINE int wait_in(struct fiber_chan *c, struct list *waiters, void *item,
			    enum wait_what what)
{
	struct worker *here = hot_worker();
	struct fiber *self = hot_self(here);
	struct chan_waiter w;
	int r;

	if (unlikely(!self))
		return chan_wait(c, waiters, item, what, FIBER_NEVER);
	w.base.fiber = self;
	w.base.index = 0;
	w.base.data = item;
	w.result = 0;
	w.base.ticket = hot_begin(here, self, what, c);
	queue(waiters, &w.base.link);
	spin_unlock(&c->guard);
	r = hot_park(here, self);
	return likely(r >= 0) ? w.result : leave(c, &w, r);
}

INLINE int await(struct fiber_chan *c, struct list *waiters, void *item, enum wait_what what,
		 int64_t until)
{
	return until == FIBER_NEVER ? wait_in(c, waiters, item, what)
				    : chan_wait(c, waiters, item, what, until);
}

/* ---- the slow ways ---------------------------------------------------------------------------*/
/* Releases the guard. */
static int finish(struct fiber_chan *c, struct fiber *woken, int r)
{
	spin_unlock(&c->guard);
	if (woken)
		wait_wake(woken);
	return r;
}

static NOINLINE int wake(struct fiber *woken)
{
	wait_wake(woken);
	return 0;
}

/* Guard held. */
static NOINLINE int send_guarded(struct fiber_chan *c, const void *item, int64_t until)
{
	struct fiber *woken;
	int r = chan_put(c, item, &woken);

	if (r == -EAGAIN)
		return await(c, &c->senders, (void *)item, WAIT_SEND, until);
	finish(c, woken, r);
	wait_done();
	return r;
}

static NOINLINE int recv_guarded(struct fiber_chan *c, void *item, int64_t until)
{
	struct fiber *woken;
	int r;

	if (unlikely(c->ticks))
		return ticker_recv(c, item, until);
	r = chan_take(c, item, &woken);
	if (r == -EAGAIN)
		return await(c, &c->receivers, item, WAIT_RECV, until);
	finish(c, woken, r);
	wait_done();
	return r;
}

static NOINLINE int send_slowly(struct fiber_chan *c, const void *item, int64_t until)
{
	int r;

	if (!c || (!item && c->item_bytes))
		return -EINVAL;
	r = wait_check();
	if (r < 0)
		return r;
	spin_lock(&c->guard);
	return send_guarded(c, item, until);
}

static NOINLINE int recv_slowly(struct fiber_chan *c, void *item, int64_t until)
{
	int r;

	if (!c)
		return -EINVAL;
	r = wait_check();
	if (r < 0)
		return r;
	spin_lock(&c->guard);
	return recv_guarded(c, item, until);
}

/* ---- the fast ways: brief items --------------------------------------------------------------*/
/* No call of memcpy; a word or a pointer first, because most are. */
INLINE void copy_brief(void *to, const void *from, size_t bytes)
{
	if (likely(bytes == 8))
		memcpy(to, from, 8);
	else if (bytes == 4)
		memcpy(to, from, 4);
	else if (bytes == 16)
		memcpy(to, from, 16);
	else if (bytes == 1)
		memcpy(to, from, 1);
	else
		memcpy(to, from, 2);
}

/* Takes the guard, if nothing else is in the way. */
INLINE bool begin(struct fiber_chan *c, const void *item, const struct worker *here)
{
	return likely(c && item) && hot_may(here) && likely(c->brief) &&
	       likely(spin_trylock(&c->guard));
}

/* Not list_empty: these lists were initialised, so one comparison tells. */
INLINE bool nobody(const struct list *waiters)
{
	return waiters->next == waiters;
}

/* Takes out the oldest. NULL: it cannot be had any more. */
INLINE struct chan_waiter *grant(struct list *waiters)
{
	struct list *node = waiters->next;
	struct chan_waiter *w = container_of(node, struct chan_waiter, base.link);

	waiters->next = node->next;
	node->next->prev = waiters;
	node->next = NULL;
	return likely(hot_claim(w->base.fiber, w->base.ticket, w->base.index)) ? w : NULL;
}

INLINE int release_and_wake(struct fiber_chan *c, struct worker *here, struct fiber *woken)
{
	spin_unlock(&c->guard);
	hot_done(here);
	return likely(hot_wake(here, woken)) ? 0 : wake(woken);
}

INLINE int send_until(struct fiber_chan *c, const void *item, int64_t until)
{
	struct worker *here = hot_worker();
	struct chan_waiter *w;

	if (unlikely(!begin(c, item, here)))
		return send_slowly(c, item, until);
	if (!nobody(&c->receivers)) {
		w = grant(&c->receivers);
		if (unlikely(!w))
			return send_guarded(c, item, until);
		if (likely(w->base.data != NULL))
			copy_brief(w->base.data, item, c->item_bytes);
		return release_and_wake(c, here, w->base.fiber);
	}
	if (unlikely(c->closed))
		return send_guarded(c, item, until);
	if (c->count == c->capacity)
		return await(c, &c->senders, (void *)item, WAIT_SEND, until);
	copy_brief(slot(c, c->head + c->count), item, c->item_bytes);
	c->count++;
	spin_unlock(&c->guard);
	hot_done(here);
	return 0;
}

INLINE int recv_until(struct fiber_chan *c, void *item, int64_t until)
{
	struct worker *here = hot_worker();
	struct chan_waiter *w;

	if (unlikely(!begin(c, item, here)))
		return recv_slowly(c, item, until);
	if (c->count > 0) {
		if (unlikely(!nobody(&c->senders))) /* there will be room for one */
			return recv_guarded(c, item, until);
		copy_brief(item, slot(c, c->head), c->item_bytes);
		if (++c->head == c->capacity)
			c->head = 0;
		c->count--;
		spin_unlock(&c->guard);
		hot_done(here);
		return 0;
	}
	if (!nobody(&c->senders)) {
		w = grant(&c->senders);
		if (unlikely(!w))
			return recv_guarded(c, item, until);
		copy_brief(item, w->base.data, c->item_bytes);
		return release_and_wake(c, here, w->base.fiber);
	}
	if (unlikely(c->closed))
		return recv_guarded(c, item, until);
	return await(c, &c->receivers, item, WAIT_RECV, until);
}

/* ---- public ----------------------------------------------------------------------------------*/
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
