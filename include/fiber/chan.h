/* fiber/chan.h - channels and select. SPDX-License-Identifier: MIT
 *
 * A channel carries items of one size, in order, from any number of senders to any number of
 * receivers: fibers, plain threads, or both. With capacity 0 sender and receiver meet (rendezvous):
 * the item is copied once, from the one's memory to the other's. With a capacity it holds that many
 * items.
 *
 * Closing says that no more will come: receivers get what is still in it, and then -EPIPE; senders
 * get -EPIPE at once. Nobody has to close a channel. */
#ifndef FIBER_CHAN_H
#define FIBER_CHAN_H
#include <fiber/future.h>
#include <fiber/io.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct fiber_chan fiber_chan_t;

/* A channel for items of item_bytes (0: only the event counts), holding up to `capacity` of them.
 * The caller owns one reference. Never parks. Returns 0, or
 *	-EINVAL         out is NULL
 *	-ENOMEM         no memory; also where the size of all items overflows */
FIBER_CHECKED int fiber_chan_create(fiber_chan_t **out, size_t item_bytes, size_t capacity);

/* One more reference, for one more owner; returns its argument. */
fiber_chan_t *fiber_chan_ref(fiber_chan_t *chan);

/* Drops one reference; with the last the channel is gone, and items in it are dropped. Nobody may
 * wait on it then: whoever waits must own a reference. NULL: nothing happens. */
void fiber_chan_free(fiber_chan_t *chan);

/* Sends the item_bytes at `item`. Parks while there is neither a receiver nor room. A cancellation
 * point; interrupted, the item was not sent.
 *
 * Returns 0, or
 *	-EPIPE          the channel is closed
 *	-ECANCELED      interrupted
 *	-ETIMEDOUT      (until) `when` has passed
 *	-EINVAL         chan is NULL, or item is, though items have a size
 *	-EPERM          it is a ticker (fiber/ticker.h) */
FIBER_CHECKED int fiber_chan_send(fiber_chan_t *chan, const void *item);
FIBER_CHECKED int fiber_chan_send_until(fiber_chan_t *chan, const void *item, int64_t when);

/* Receives into the item_bytes at `item`; NULL: the item is dropped. Parks while there is none. A
 * cancellation point; interrupted, none was taken.
 *
 * Returns 0, or
 *	-EPIPE          the channel is closed, and empty
 *	-ECANCELED      interrupted
 *	-ETIMEDOUT      (until) `when` has passed
 *	-EINVAL         chan is NULL */
FIBER_CHECKED int fiber_chan_recv(fiber_chan_t *chan, void *item);
FIBER_CHECKED int fiber_chan_recv_until(fiber_chan_t *chan, void *item, int64_t when);

/* The same without waiting: -EAGAIN if it would have to. Never park, no cancellation points. */
int fiber_chan_try_send(fiber_chan_t *chan, const void *item);
int fiber_chan_try_recv(fiber_chan_t *chan, void *item);

/* No more will come. Wakes all who wait. Never parks. Returns 0, -EALREADY (it is closed) or
 * -EINVAL. */
int fiber_chan_close(fiber_chan_t *chan);

/* Items in it at this moment; 0 for NULL. */
size_t fiber_chan_count(const fiber_chan_t *chan);

/* ---- select --------------------------------------------------------------------------------- */
enum { FIBER_OP_NONE, FIBER_OP_SEND, FIBER_OP_RECV, FIBER_OP_READY, FIBER_OP_JOIN,
       FIBER_OP_FUTURE };

typedef struct fiber_case {
	int           op;       /* FIBER_OP_NONE: left out this time */
	int           result;   /* of the case that won: 0, -EPIPE; events; the joined fiber's
	                         * result; 0 or the future's error */
	fiber_chan_t *chan;     /* SEND, RECV */
	void         *item;     /* ... from where, or to where (RECV: may be NULL); FUTURE: to
	                         * where, a void **, or NULL */
	fiber_fd      fd;       /* READY */
	short         events;   /* ... POLLIN, POLLOUT, POLLPRI */
	fiber_t       fiber;    /* JOIN */
	fiber_future_t *future; /* FUTURE */
} fiber_case_t;

#define FIBER_SEND(c, p)   { FIBER_OP_SEND, 0, (c), (void *)(p), 0, 0, {0}, NULL }
#define FIBER_RECV(c, p)   { FIBER_OP_RECV, 0, (c), (p), 0, 0, {0}, NULL }
#define FIBER_READY(f, e)  { FIBER_OP_READY, 0, NULL, NULL, (f), (e), {0}, NULL }
#define FIBER_JOINED(f)    { FIBER_OP_JOIN, 0, NULL, NULL, 0, 0, (f), NULL }
#define FIBER_FUTURE(f, p) { FIBER_OP_FUTURE, 0, NULL, (p), 0, 0, {0}, (f) }

/* Waits until one of n cases can go, and does it: exactly one. Among several that can, each has the
 * same chance. The losers leave nothing behind: nothing was sent, received or joined. A case on a
 * closed channel can go, with result -EPIPE; so can one that makes no sense (no channel; a bad
 * descriptor; no events, or others than those three; no such fiber, the caller itself, or one that
 * somebody else joins; no future), with that error as its result. A case does not meet another of
 * the same select.
 *
 * May park. A cancellation point.
 *
 * Returns the index of the case that won, or
 *	-ECANCELED      interrupted
 *	-ETIMEDOUT      (until) `when` has passed
 *	-EAGAIN         (now) none could go at once; never parks, and is no cancellation point
 *	-EINVAL         cases is NULL though n is not 0, n is larger than 65,536, or an op
 *	                is unknown
 *	-ENOMEM         (more than 8 cases) no memory
 *	-EPERM          a READY case on a plain thread, which has no poller */
FIBER_CHECKED int fiber_select(fiber_case_t *cases, size_t n);
FIBER_CHECKED int fiber_select_until(fiber_case_t *cases, size_t n, int64_t when);
FIBER_CHECKED int fiber_select_now(fiber_case_t *cases, size_t n);
#ifdef __cplusplus
}
#endif
#endif
