/* case.c - what each kind of case of a select does: try, enter, leave (select.h). */
#include "sync/select.h"

static bool sends(const fiber_case_t *c)
{
	return c->op == FIBER_OP_SEND;
}

static int attempt(const fiber_case_t *c, struct fiber **woken)
{
	return sends(c) ? chan_put(c->chan, c->item, woken) : chan_take(c->chan, c->item, woken);
}

/* A case that makes no sense can go at once, with the error as its result. */
static int nonsense(const fiber_case_t *c)
{
	if (c->op == FIBER_OP_SEND || c->op == FIBER_OP_RECV)
		return !c->chan || (sends(c) && !c->item && c->chan->item_bytes) ? -EINVAL : 0;
	if (c->op == FIBER_OP_READY && c->fd < 0)
		return -EBADF;
	if (c->op == FIBER_OP_READY)
		return !c->events || c->events & ~(POLLIN | POLLOUT | POLLPRI) ? -EINVAL : 0;
	if (c->op == FIBER_OP_FUTURE)
		return c->future ? 0 : -EINVAL;
	if (c->op == FIBER_OP_JOIN) /* it would find itself still running, for ever */
		return c->fiber.id && fiber_equal(c->fiber, fiber_self()) ? -EDEADLK : 0;
	return 0;
}

/* ---- trying ----------------------------------------------------------------------------------*/
/* True: the case went. */
static bool try_chan(fiber_case_t *c)
{
	struct fiber *woken;
	int r;

	spin_lock(&c->chan->guard);
	r = attempt(c, &woken);
	spin_unlock(&c->chan->guard);
	if (woken)
		wait_wake(woken);
	c->result = r;
	return r != -EAGAIN;
}

static bool try_ready(fiber_case_t *c)
{
	struct pollfd p = { c->fd, c->events, 0 };
	int r = poller_look(&p, 1);

	if (r <= 0)
		return false;
	c->result = p.revents & POLLNVAL ? -EBADF : p.revents;
	return true;
}

static bool try_join(fiber_case_t *c)
{
	int r = wait_join_now(c->fiber, &c->result);

	if (r == -EAGAIN)
		return false;
	if (r < 0)
		c->result = r;
	return true;
}

bool case_try(fiber_case_t *c)
{
	int r = nonsense(c);

	if (r < 0) {
		c->result = r;
		return true;
	}
	switch (c->op) {
	case FIBER_OP_SEND:
	case FIBER_OP_RECV:
		return try_chan(c);
	case FIBER_OP_READY:
		return try_ready(c);
	case FIBER_OP_JOIN:
		return try_join(c);
	case FIBER_OP_FUTURE:
		return future_now(future_inside(c->future), c->item, &c->result);
	default:
		return false;
	}
}

/* ---- entering --------------------------------------------------------------------------------*/
/* Guard held. Could the case go? Without doing it. */
static bool could_go(const fiber_case_t *c)
{
	struct fiber_chan *chan = c->chan;

	if (chan->closed)
		return true;
	if (chan->ticks)
		return ticker_is_due(chan);
	if (sends(c))
		return chan->count < chan->capacity || !list_empty(&chan->receivers);
	return chan->count > 0 || !list_empty(&chan->senders);
}

/* Our own entry is what could_go sees: a select that sends and receives on one channel does not
 * meet itself. */
static bool only_ourselves(const struct selection *s, const fiber_case_t *c)
{
	const struct list *queue = sends(c) ? &c->chan->receivers : &c->chan->senders;

	if (c->chan->closed || c->chan->ticks ||
	    c->chan->count != (sends(c) ? c->chan->capacity : 0))
		return false;
	for (const struct list *n = queue->next; n != queue; n = n->next)
		if (container_of(n, struct chan_waiter, base.link)->base.fiber != s->self)
			return false;
	return true;
}

/* Field by field: a struct that is made elsewhere and copied here was read in other pieces than it
 * was written, which stalled every select that waits by 5 ns. */
INLINE void make_waiter(struct waiter *w, const struct selection *s, size_t i)
{
	w->link.next = w->link.prev = NULL;
	w->fiber = s->self;
	w->ticket = s->ticket;
	w->index = (unsigned)i;
	w->data = s->cases[i].item;
}

static int enter_chan(struct selection *s, size_t i)
{
	fiber_case_t *c = &s->cases[i];
	struct entry *e = &s->entry[i];
	struct fiber *woken = NULL;
	int r = -EAGAIN;

	spin_lock(&c->chan->guard);
	if (could_go(c) && !only_ourselves(s, c)) {
		if (!wait_withdraw(s->self, (unsigned)i)) {
			spin_unlock(&c->chan->guard);
			return SELECT_LOST;
		}
		r = attempt(c, &woken);
		spin_unlock(&c->chan->guard);
		if (woken)
			wait_wake(woken);
		c->result = r;
		return r == -EAGAIN ? SELECT_AGAIN : (int)i;
	}
	make_waiter(&e->chan.base, s, i);
	e->chan.result = 0;
	list_append(sends(c) ? &c->chan->senders : &c->chan->receivers, &e->chan.base.link);
	e->entered = true;
	if (c->chan->ticks && ticker_inside(c->chan)->next < s->tick)
		s->tick = ticker_inside(c->chan)->next;
	spin_unlock(&c->chan->guard);
	return SELECT_NONE;
}

static int enter_ready(struct selection *s, size_t i)
{
	fiber_case_t *c = &s->cases[i];
	struct entry *e = &s->entry[i];

	e->op = (struct poller_op){
		.kind = IO_POLL, .fd = c->fd, .events = c->events,
		.owner = s->self, .ticket = s->ticket, .index = (unsigned)i
	};
	e->entered = true;
	if (wait_submit(&e->op) == POLLER_IN_FLIGHT)
		return SELECT_NONE;
	return wait_withdraw(s->self, (unsigned)i) ? (int)i : SELECT_LOST;
}

static int enter_join(struct selection *s, size_t i)
{
	fiber_case_t *c = &s->cases[i];
	int r = wait_join_enter(c->fiber, s->self, s->ticket);

	if (r == 0) {
		s->entry[i].entered = true;
		return SELECT_NONE;
	}
	if (!wait_withdraw(s->self, (unsigned)i))
		return SELECT_LOST;
	if (r == -EALREADY) /* it has just ended */
		return try_join(c) ? (int)i : SELECT_AGAIN;
	c->result = r;
	return (int)i;
}

static int enter_future(struct selection *s, size_t i)
{
	fiber_case_t *c = &s->cases[i];
	struct entry *e = &s->entry[i];

	make_waiter(&e->future.base, s, i);
	e->future.result = &c->result;
	e->future.count = NULL;
	if (future_enter(future_inside(c->future), &e->future)) {
		e->entered = true;
		return SELECT_NONE;
	}
	if (!wait_withdraw(s->self, (unsigned)i))
		return SELECT_LOST;
	c->result = future_read(future_inside(c->future), c->item);
	return (int)i;
}

int case_enter(struct selection *s, size_t i)
{
	switch (s->cases[i].op) {
	case FIBER_OP_SEND:
	case FIBER_OP_RECV:
		return enter_chan(s, i);
	case FIBER_OP_READY:
		return enter_ready(s, i);
	case FIBER_OP_JOIN:
		return enter_join(s, i);
	case FIBER_OP_FUTURE:
		return enter_future(s, i);
	default:
		return SELECT_NONE;
	}
}

/* ---- leaving ---------------------------------------------------------------------------------*/
static void leave_chan(const fiber_case_t *c, struct entry *e)
{
	spin_lock(&c->chan->guard);
	if (list_linked(&e->chan.base.link))
		list_remove(&e->chan.base.link);
	spin_unlock(&c->chan->guard);
}

bool case_leave(struct selection *s, size_t i, int won)
{
	fiber_case_t *c = &s->cases[i];
	struct entry *e = &s->entry[i];

	if (!e->entered)
		return false;
	switch (c->op) {
	case FIBER_OP_READY:
		wait_retrieve(&e->op);
		if ((int)i == won)
			c->result = (int)e->op.result;
		return (int)i == won;
	case FIBER_OP_JOIN:
		return wait_join_leave(c->fiber, s->self, s->ticket, won == WAIT_JOINED,
				       &c->result);
	case FIBER_OP_FUTURE: /* the winner's is gone, and so may the future be */
		if ((int)i != won)
			future_leave(future_inside(c->future), &e->future);
		return (int)i == won;
	default:
		leave_chan(c, e);
		if ((int)i == won)
			c->result = e->chan.result;
		return (int)i == won;
	}
}
