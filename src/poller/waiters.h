/* waiters.h - the operations that wait on a slot: a list for each direction, one for IO_POLL. All
 * under the slot's guard. "Given back" means: has its result, and is appended to `back`; its owner
 * is told by whoever holds that list. Functions that give back say how many. */
#ifndef FB_POLLER_WAITERS_H
#define FB_POLLER_WAITERS_H

#include "poller/poller.h"
#include "poller/slot.h"

enum {
	OP_BACK,
	OP_WAITING, /* in a list of its slot */
};

static inline enum slot_direction waiters_direction(const struct poller_op *op)
{
	return op->kind & 1;
}

_Static_assert((IO_WRITE & IO_SENDMSG & IO_SEND & IO_CONNECT & 1) == SLOT_OUT &&
		       ((IO_READ | IO_RECVMSG | IO_RECV | IO_ACCEPT) & 1) == SLOT_IN,
	       "the lowest bit of a kind is its direction");

void waiters_add(struct slot *, struct poller_op *);
/* False: it was given back already. */
bool waiters_remove(struct slot *, struct poller_op *);
bool waiters_none(const struct slot *);

/* The one that waits longest, to try again; or all. */
unsigned waiters_retry(struct slot *, enum slot_direction, bool all, struct list *back);
/* Every IO_POLL that these events, in bits of poll(2), are for. */
unsigned waiters_poll(struct slot *, unsigned events, struct list *back);
/* All, with `result`. POLLER_RETRY: the number means a file now that cannot be waited for. */
unsigned waiters_give_all(struct slot *, int result, struct list *back);

#endif
