/* ticker.h - the inside of a ticker: for ticker.c, and for chan.c and select, which ask it instead
 * of the ring. All under the channel's guard.
 *
 * Receivers wait in the channel's queue, until the next tick is due or their own time is over; who
 * was awoken by a tick and finds that another one has it waits again. Nobody claims them but a
 * close, or a change of the ticks: then their result is -EAGAIN, and they look again. */
#ifndef FB_SYNC_TICKER_H
#define FB_SYNC_TICKER_H

#include "sync/chan.h"

/* In the place of the ring's items. */
struct ticker {
	int64_t next;           /* when it is due; FIBER_NEVER: never */
	int64_t period;         /* 0: a timer */
};

static inline struct ticker *ticker_inside(struct fiber_chan *c)
{
	return (struct ticker *)(void *)c->items;
}

bool ticker_is_due(struct fiber_chan *c);
/* 0, -EPIPE or -EAGAIN. */
int ticker_take(struct fiber_chan *c, void *item);
/* Takes, or waits; lets go of the guard. */
int ticker_recv(struct fiber_chan *c, void *item, int64_t until);

#endif
