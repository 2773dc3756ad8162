/* fiber/ticker.h - time as a channel. SPDX-License-Identifier: MIT
 *
 * A ticker is a channel from which one receives a tick every period; a timer is one that has a
 * single tick and is closed then. They are received from, selected from, counted, shared and freed
 * as any channel (fiber/chan.h):
 *
 *	fiber_ticker_create(&every, FIBER_SECOND);
 *	fiber_case_t cases[] = {FIBER_RECV(jobs, &job), FIBER_RECV(every, &tick)};
 *
 *	while ((at = fiber_select(cases, 2)) >= 0) ...
 *	fiber_chan_close(every);                 stops it
 *	fiber_chan_free(every);
 *
 * Nothing runs for a ticker, neither thread nor fiber: it knows when its next tick is due, and
 * whoever waits for that sets the alarm of its own wait. So an idle one costs its memory only, it
 * belongs to no runtime and outlives them all, and fibers, plain threads, or both receive from it.
 *
 * Ticks do not drift: each is due one period after the one before, however late that was received.
 * Each goes to one receiver. Who comes late gets the newest tick that is due, and is told how many
 * before it nobody received; they are not delivered one by one, for they are over. */
#ifndef FIBER_TICKER_H
#define FIBER_TICKER_H
#include <fiber/chan.h>
#ifdef __cplusplus
extern "C" {
#endif

/* The item of such a channel. */
typedef struct fiber_tick {
	int64_t  when;          /* when it was due */
	uint64_t missed;        /* ticks before it, since the last one or the start, that nobody
	                         * received */
} fiber_tick_t;

/* A channel with a tick every period_ns, the first in one period; or at `first`, in the past too.
 * The caller owns one reference. Sending to it is -EPERM. Never parks. Returns 0, or
 *	-EINVAL         out is NULL; period_ns is not positive
 *	-ENOMEM         no memory */
FIBER_CHECKED int fiber_ticker_create(fiber_chan_t **out, int64_t period_ns);
FIBER_CHECKED int fiber_ticker_create_at(fiber_chan_t **out, int64_t first, int64_t period_ns);

/* A channel with one tick, at `when` (fiber_after says when "in so many ns" is; FIBER_NEVER: once
 * it is set anew), after which it is closed. Never parks. Returns 0, -EINVAL (out is NULL) or
 * -ENOMEM. */
FIBER_CHECKED int fiber_timer_create(fiber_chan_t **out, int64_t when);

/* From now on the next tick is at `first`, and the others follow every period_ns; 0: it is a timer,
 * and there are no others. A tick that is due and was not received is forgotten; whoever waits now
 * waits for the new one. A timer that has had its tick, or a ticker that was stopped, is open
 * again. Never parks. From any thread. Returns 0, or -EINVAL: NULL, no ticker or timer, or a
 * negative period. */
int fiber_ticker_set(fiber_chan_t *ticker, int64_t first, int64_t period_ns);
#ifdef __cplusplus
}
#endif
#endif
