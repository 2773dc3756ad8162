/* select.c - one of several cases.
 *
 * Two rounds. The first tries each case in turn, beginning at a random one, and waits for none. If
 * none can go, the second begins one wait, and enters it in the queue of each case with the case's
 * number as its index; whoever can let a case go claims the wait, and with it the case. Entering,
 * each case is looked at once more under its guard: if it can go by now, the wait is withdrawn -
 * claimed by oneself - before anything is done; if that comes too late, another case has won, and
 * this one is left alone. A partner may be lost between the look and the withdrawal (it has won
 * elsewhere meanwhile): then all is taken back, and both rounds begin again.
 *
 * At the end every case that was entered is left: removed from its queue, its operation retrieved
 * from the poller, its join withdrawn. */
#include <stdlib.h>

#include "os/atomic.h"
#include "poller/poller.h"
#include "sync/chan.h"

enum { MOST = 65536, FEW = 8 };

struct entry {
	struct chan_waiter waiter;
	struct poller_op op;
	bool entered;
};

struct selection {
	fiber_case_t *cases;
	size_t n;
	struct fiber *self;
	uint64_t ticket;
	struct entry *entry;
};

/* What a round found: a case's index, or */
enum { NONE = -1, AGAIN = -2, LOST = -3 };

/* xorshift, Marsaglia 2003; fairness needs no better. One state for all: a lost update is harmless.
 * */
static size_t random_below(size_t n)
{
	static _Atomic uint32_t state = 2463534242;
	uint32_t x = atomic_load_explicit(&state, memory_order_relaxed);

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	atomic_store_explicit(&state, x, memory_order_relaxed);
	return x % n;
}

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
	if (c->op == FIBER_OP_READY)
		return c->fd < 0 ? -EBADF : 0;
	return 0;
}

/* ---- the first round -------------------------------------------------------------------------*/
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
	int r = poll(&p, 1, 0);

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

static bool try_case(fiber_case_t *c)
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
	default:
		return false;
	}
}

static int try_all(fiber_case_t *cases, size_t n)
{
	size_t first = n ? random_below(n) : 0;

	for (size_t i = 0; i < n; i++) {
		size_t at = first + i < n ? first + i : first + i - n;

		if (try_case(&cases[at]))
			return (int)at;
	}
	return NONE;
}

/* ---- the second round ------------------------------------------------------------------------*/
/* Guard held. Could the case go? Without doing it. */
static bool could_go(const fiber_case_t *c)
{
	const struct fiber_chan *chan = c->chan;

	if (chan->closed)
		return true;
	if (sends(c))
		return chan->count < chan->capacity || !list_empty(&chan->receivers);
	return chan->count > 0 || !list_empty(&chan->senders);
}

/* Our own entry is what could_go sees: a select that sends and receives on one channel does not
 * meet itself. */
static bool only_ourselves(const struct selection *s, const fiber_case_t *c)
{
	const struct list *queue = sends(c) ? &c->chan->receivers : &c->chan->senders;

	if (c->chan->closed || c->chan->count != (sends(c) ? c->chan->capacity : 0))
		return false;
	for (const struct list *n = queue->next; n != queue; n = n->next)
		if (container_of(n, struct chan_waiter, base.link)->base.fiber != s->self)
			return false;
	return true;
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
			return LOST;
		}
		r = attempt(c, &woken);
		spin_unlock(&c->chan->guard);
		if (woken)
			wait_wake(woken);
		c->result = r;
		return r == -EAGAIN ? AGAIN : (int)i;
	}
	e->waiter.base = (struct waiter){
		.fiber = s->self, .ticket = s->ticket, .index = (unsigned)i, .data = c->item
	};
	e->waiter.result = &c->result;
	list_append(sends(c) ? &c->chan->senders : &c->chan->receivers, &e->waiter.base.link);
	e->entered = true;
	spin_unlock(&c->chan->guard);
	return NONE;
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
		return NONE;
	return wait_withdraw(s->self, (unsigned)i) ? (int)i : LOST;
}

static int enter_join(struct selection *s, size_t i)
{
	fiber_case_t *c = &s->cases[i];
	int r = wait_join_enter(c->fiber, s->self, s->ticket);

	if (r == 0) {
		s->entry[i].entered = true;
		return NONE;
	}
	if (!wait_withdraw(s->self, (unsigned)i))
		return LOST;
	if (r == -EALREADY) /* it has just ended */
		return try_join(c) ? (int)i : AGAIN;
	c->result = r;
	return (int)i;
}

static int enter(struct selection *s, size_t i)
{
	switch (s->cases[i].op) {
	case FIBER_OP_SEND:
	case FIBER_OP_RECV:
		return enter_chan(s, i);
	case FIBER_OP_READY:
		return enter_ready(s, i);
	case FIBER_OP_JOIN:
		return enter_join(s, i);
	default:
		return NONE;
	}
}

/* Leaves nothing behind. `won`: the case that did, if it was claimed by another. */
static int leave_all(struct selection *s, int won)
{
	for (size_t i = 0; i < s->n; i++) {
		fiber_case_t *c = &s->cases[i];
		struct entry *e = &s->entry[i];

		if (!e->entered)
			continue;
		if (c->op == FIBER_OP_READY) {
			wait_retrieve(&e->op);
			if ((int)i == won)
				c->result = (int)e->op.result;
		} else if (c->op == FIBER_OP_JOIN) {
			if (wait_join_leave(c->fiber, s->self, s->ticket, won == WAIT_JOINED,
					    &c->result))
				won = (int)i;
		} else {
			spin_lock(&c->chan->guard);
			if (list_linked(&e->waiter.base.link))
				list_remove(&e->waiter.base.link);
			spin_unlock(&c->chan->guard);
		}
	}
	return won;
}

static int wait_for_one(struct selection *s, int64_t until)
{
	int won = NONE;

	s->ticket = wait_begin(s->self, WAIT_SELECT, NULL, WAIT_INTERRUPTIBLE);
	for (size_t i = 0; i < s->n && won == NONE; i++)
		won = enter(s, i);
	if (won == NONE || won == LOST)
		won = wait_park(s->self, until);
	else if (won == AGAIN)
		return leave_all(s, AGAIN);
	return leave_all(s, won);
}

static int select_loop(struct selection *s, int64_t until)
{
	int r;

	do {
		for (size_t i = 0; i < s->n; i++)
			s->entry[i].entered = false;
		r = wait_for_one(s, until);
		if (r == AGAIN && (r = try_all(s->cases, s->n)) == NONE)
			r = AGAIN;
	} while (r == AGAIN);
	return r;
}

/* ---- public ----------------------------------------------------------------------------------*/
static int check(const fiber_case_t *cases, size_t n)
{
	if ((!cases && n) || n > MOST)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (cases[i].op < FIBER_OP_NONE || cases[i].op > FIBER_OP_JOIN)
			return -EINVAL;
		if (cases[i].op == FIBER_OP_READY && !wait_on_fiber())
			return -EPERM;
	}
	return 0;
}

PUBLIC int fiber_select_until(fiber_case_t *cases, size_t n, int64_t when)
{
	struct entry few[FEW];
	struct selection s = { .cases = cases, .n = n, .entry = few };
	int r = check(cases, n);

	if (r < 0 || (r = wait_check()) < 0)
		return r;
	r = try_all(cases, n);
	if (r != NONE) {
		wait_done();
		return r;
	}
	s.self = wait_self();
	if (!s.self)
		return wait_why();
	if (n > FEW && !(s.entry = malloc(n * sizeof *s.entry)))
		return -ENOMEM;
	r = select_loop(&s, when);
	if (n > FEW)
		free(s.entry);
	return r;
}

PUBLIC int fiber_select(fiber_case_t *cases, size_t n)
{
	return fiber_select_until(cases, n, FIBER_NEVER);
}

PUBLIC int fiber_select_now(fiber_case_t *cases, size_t n)
{
	int r = check(cases, n);

	if (r < 0)
		return r;
	r = try_all(cases, n);
	return r == NONE ? -EAGAIN : r;
}
