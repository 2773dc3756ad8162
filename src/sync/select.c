/* select.c - one of several cases.
 *
 * Two rounds. The first tries each case, in a random order, and waits for none. If none can go, the
 * second begins one wait, and enters it in the queue of each case with the case's number as its
 * index; whoever can let a case go claims the wait, and with it the case. Entering, each case is
 * looked at once more under its guard: if it can go by now, the wait is withdrawn - claimed by
 * oneself - before anything is done; if that comes too late, another case has won, and this one is
 * left alone. A partner may be lost between the look and the withdrawal (it has won elsewhere
 * meanwhile): then all is taken back, and both rounds begin again.
 *
 * At the end every case that was entered is left: removed from its queue, its operation retrieved
 * from the poller, its join withdrawn. */
#include <stdlib.h>

#include "os/atomic.h"
#include "poller/poller.h"
#include "sync/chan.h"

enum { MOST = 65536, FEW = 8 }; /* cases; so many are kept on the stack */
_Static_assert(MOST - 1 <= UINT16_MAX, "struct selection, order");

struct entry {
	struct chan_waiter waiter;
	struct poller_op op;
	bool entered;
};

struct selection {
	fiber_case_t *cases;
	size_t n;
	uint16_t *order;        /* of the first round: which case is next */
	struct fiber *self;
	uint64_t ticket;
	struct entry *entry;
};

/* What a round found: a case's index, or */
enum { NONE = -1, AGAIN = -2, LOST = -3 };

/* xorshift, Marsaglia 2003: never 0, and good enough for fairness. */
static uint32_t next_random(uint32_t x)
{
	x ^= x << 13;
	x ^= x >> 17;
	return x ^ x << 5;
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
	if (c->op == FIBER_OP_READY && c->fd < 0)
		return -EBADF;
	if (c->op == FIBER_OP_READY)
		return !c->events || c->events & ~(POLLIN | POLLOUT | POLLPRI) ? -EINVAL : 0;
	if (c->op == FIBER_OP_JOIN) /* it would find itself still running, for ever */
		return c->fiber.id && fiber_equal(c->fiber, fiber_self()) ? -EDEADLK : 0;
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

/* One by one in a random order (Fisher and Yates), so that each that can go is as likely to come
 * first as any other. In the order in which they stand, from a random one on, whoever stands behind
 * many that cannot go would win all their chances. */
static int try_all(struct selection *s)
{
	static _Atomic uint32_t state = 2463534242; /* for all: a lost update is harmless */
	uint32_t x = atomic_load_explicit(&state, memory_order_relaxed);
	int won = NONE;

	for (size_t i = 0; i < s->n; i++)
		s->order[i] = (uint16_t)i;
	for (size_t i = 0; i < s->n && won == NONE; i++) {
		size_t drawn = i + (x = next_random(x)) % (s->n - i);
		uint16_t at = s->order[drawn];

		s->order[drawn] = s->order[i];
		if (try_case(&s->cases[at]))
			won = at;
	}
	atomic_store_explicit(&state, x, memory_order_relaxed);
	return won;
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

static int wait_in_turns(struct selection *s, int64_t until)
{
	int r;

	do {
		for (size_t i = 0; i < s->n; i++)
			s->entry[i].entered = false;
		r = wait_for_one(s, until);
		if (r == AGAIN && (r = try_all(s)) == NONE)
			r = AGAIN;
	} while (r == AGAIN);
	return r;
}

/* Only the worker that submitted an operation can take it back. */
static bool must_stay(const struct selection *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->cases[i].op == FIBER_OP_READY)
			return true;
	return false;
}

/* None could go at once. */
static NOINLINE int wait_for_any(struct selection *s, int64_t until)
{
	struct entry few[FEW];
	bool stays = must_stay(s), pinned;
	int r;

	s->self = wait_self();
	if (!s->self)
		return wait_why();
	s->entry = s->n <= FEW ? few : malloc(s->n * sizeof *s->entry);
	if (!s->entry)
		return -ENOMEM;
	pinned = stays && fiber_pin();
	r = wait_in_turns(s, until);
	if (stays)
		fiber_unpin(pinned);
	if (s->entry != few)
		free(s->entry);
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
	uint16_t few[FEW];
	struct selection s = { .cases = cases, .n = n, .order = few };
	int r = check(cases, n);

	if (r < 0 || (r = wait_check()) < 0)
		return r;
	if (n > FEW && !(s.order = malloc(n * sizeof *s.order)))
		return -ENOMEM;
	r = try_all(&s);
	if (r == NONE)
		r = wait_for_any(&s, when);
	else
		wait_done();
	if (s.order != few)
		free(s.order);
	return r;
}

PUBLIC int fiber_select(fiber_case_t *cases, size_t n)
{
	return fiber_select_until(cases, n, FIBER_NEVER);
}

PUBLIC int fiber_select_now(fiber_case_t *cases, size_t n)
{
	uint16_t few[FEW];
	struct selection s = { .cases = cases, .n = n, .order = few };
	int r = check(cases, n);

	if (r < 0)
		return r;
	if (n > FEW && !(s.order = malloc(n * sizeof *s.order)))
		return -ENOMEM;
	r = try_all(&s);
	if (s.order != few)
		free(s.order);
	return r == NONE ? -EAGAIN : r;
}
