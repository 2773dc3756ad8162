/* held.h - operations that the kernel itself performs (io_uring), and that only the thread of their
 * own poller can take back.
 *
 * They are in their slot's list `held` until they are back. Who gives the number up marks them
 * (poller_op.given_up) and asks their pollers for them. Those of the calling thread's own pollers
 * it gets at once; the others come from their poller's `wait`, with -EBADF or what they have
 * reached, and until then the number must not be used again: a submission that the kernel has not
 * taken yet still means the number. */
#ifndef FB_POLLER_HELD_H
#define FB_POLLER_HELD_H

#include "poller/poller.h"
#include "poller/slot.h"

/* The first member of such a poller. */
struct held {
	/* Under the guard, any thread: operations of its on this slot were given up. */
	void (*ask)(struct held *, struct slot *);
	/* Its own thread, without a guard: takes back what it was asked for. */
	void (*settle)(struct held *, struct list *back);
	/* held_thread of the thread that uses it; NULL: none has yet. */
	const void *_Atomic thread;
};

/* Who the calling thread is. */
const void *held_thread(void);

/* Marks all of a slot's, under its guard. A poller of the calling thread that has some; NULL: none.
 * The caller lets the guard go, calls its settle, and asks again. */
struct held *held_give_up(struct slot *);
/* How many that were given up are not back yet. Under the guard. */
unsigned held_left(const struct slot *);

#endif
