/* ticker.c - channels that time fills: see ticker.h. */
#include <fiber/ticker.h>

#include "os/os.h"
#include "sync/ticker.h"

/* ---- receiving, guard held -------------------------------------------------------------------*/
bool ticker_is_due(struct fiber_chan *c)
{
	const struct ticker *t = ticker_inside(c);

	return t->next != FIBER_NEVER && t->next <= os_now();
}

/* Of those that are due the newest; afterwards the next one is not. */
static void advance(struct fiber_chan *c, fiber_tick_t *tick)
{
	struct ticker *t = ticker_inside(c);

	*tick = (fiber_tick_t){ .when = t->next };
	if (t->period == 0) {
		t->next = FIBER_NEVER;
		c->closed = true;
		return;
	}
	tick->missed = (uint64_t)(os_now() - t->next) / (uint64_t)t->period;
	tick->when += (int64_t)tick->missed * t->period;
	if (__builtin_add_overflow(tick->when, t->period, &t->next))
		t->next = FIBER_NEVER;
}

int ticker_take(struct fiber_chan *c, void *item)
{
	fiber_tick_t tick;

	if (c->closed)
		return -EPIPE;
	if (!ticker_is_due(c))
		return -EAGAIN;
	advance(c, &tick);
	if (item)
		memcpy(item, &tick, sizeof tick);
	return 0;
}

int ticker_recv(struct fiber_chan *c, void *item, int64_t until)
{
	for (;;) {
		int64_t next = ticker_inside(c)->next;
		int r = ticker_take(c, item);

		if (r != -EAGAIN) {
			spin_unlock(&c->guard);
			wait_done();
			return r;
		}
		r = chan_wait(c, &c->receivers, NULL, WAIT_RECV, next < until ? next : until);
		if (r != -EAGAIN && (r != -ETIMEDOUT || until < next))
			return r;
		spin_lock(&c->guard); /* it is due; or it was set anew */
	}
}

/* ---- public ----------------------------------------------------------------------------------*/
static int create(fiber_chan_t **out, int64_t next, int64_t period)
{
	_Static_assert(sizeof(struct ticker) <= sizeof(fiber_tick_t), "it lies in an item's place");
	int r = fiber_chan_create(out, sizeof(fiber_tick_t), 1);

	if (r < 0)
		return r;
	*ticker_inside(*out) = (struct ticker){ .next = next, .period = period };
	(*out)->ticks = true;
	(*out)->brief = false;
	return 0;
}

PUBLIC int fiber_ticker_create_at(fiber_chan_t **out, int64_t first, int64_t period_ns)
{
	return period_ns > 0 ? create(out, first > 0 ? first : 0, period_ns) : -EINVAL;
}

PUBLIC int fiber_ticker_create(fiber_chan_t **out, int64_t period_ns)
{
	return fiber_ticker_create_at(out, fiber_after(period_ns), period_ns);
}

PUBLIC int fiber_timer_create(fiber_chan_t **out, int64_t when)
{
	return create(out, when > 0 ? when : 0, 0);
}

PUBLIC int fiber_ticker_set(fiber_chan_t *c, int64_t first, int64_t period_ns)
{
	struct list claimed;

	if (!c || !c->ticks || period_ns < 0)
		return -EINVAL;
	spin_lock(&c->guard);
	*ticker_inside(c) = (struct ticker){ .next = first > 0 ? first : 0, .period = period_ns };
	c->closed = false;
	chan_claim_all(&c->receivers, -EAGAIN, &claimed);
	spin_unlock(&c->guard);
	chan_wake_all(&claimed);
	return 0;
}
