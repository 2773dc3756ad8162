/* chan.h - the inside of a channel, for chan.c and select.c.
 *
 * `guard` guards everything but refs. The invariants:
 *  - receivers wait only while it is empty; senders only while it is full (capacity 0: always
 *    both); so never both at once.
 *  - a waiter that was popped and claimed is granted: its item is copied, or its result set,
 *    before it is woken. One whose claim fails has been interrupted, or has won elsewhere.
 *  - after close nobody begins to wait. */
#ifndef FB_SYNC_CHAN_H
#define FB_SYNC_CHAN_H

#include <errno.h>
#include <fiber/chan.h>
#include <string.h>

#include "base/must.h"
#include "os/spin.h"
#include "sched/wait.h"

struct fiber_chan {
	struct spin guard;
	_Atomic uint32_t refs;
	bool closed;
	bool ticks;                     /* a ticker (ticker.h): no items, no senders; constant */
	bool brief;                     /* items of 1, 2, 4, 8 or 16 bytes; no ticker; constant */
	size_t item_bytes;
	size_t capacity, count, head;
	struct list senders, receivers; /* struct chan_waiter, oldest first */
	_Alignas(16) unsigned char items[];
};

struct chan_waiter {
	struct waiter base;             /* data: the item's memory */
	int result;                     /* 0; whoever closes it sets it to -EPIPE */
};

/* One attempt under the guard. 0 or -EPIPE: done, and *woken (may be NULL) is to be woken after the
 * guard; -EAGAIN: would have to wait. */
int chan_put(struct fiber_chan *, const void *item, struct fiber **woken);
int chan_take(struct fiber_chan *, void *item, struct fiber **woken);
/* Guard held: waits in `waiters`, and lets go of the guard. The waiter's result, or what wait_park
 * returns. */
int chan_wait(struct fiber_chan *, struct list *waiters, void *item, enum wait_what,
	      int64_t until);
/* Guard held: ends the waits of all who can still be had, with that result; they are to be woken
 * after the guard. */
void chan_claim_all(struct list *waiters, int result, struct list *claimed);
void chan_wake_all(struct list *claimed);

#endif
