/* waiters.h - the operations that wait on a slot: a list for each direction, and one for those
 * beside, which take no turns: IO_POLL, urgent data and the error queue. All under the slot's
 * guard. "Given back" means: has its result, and is appended to `back`; its owner
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

static inline void waiters_give(struct poller_op *op, ssize_t result, struct list *back)
{
	op->state = OP_BACK;
	op->result = result;
	list_append(back, &op->link);
}

/* To try again: the one that waits longest. */
static inline unsigned waiters_retry(struct slot *s, enum slot_direction d, struct list *back)
{
	struct list *node = list_pop(&s->waiters[d]);

	if (!node)
		return 0;
	struct poller_op *op = container_of(node, struct poller_op, link);

	op->again = true;
	waiters_give(op, POLLER_RETRY, back);
	return 1;
}

unsigned waiters_retry_all(struct slot *, enum slot_direction, struct list *back);
static inline bool waiters_take_turns(const struct poller_op *op)
{
	return op->kind != IO_POLL && !(op->flags & (MSG_OOB | MSG_ERRQUEUE));
}

void waiters_add_beside(struct slot *, struct poller_op *);

static inline void waiters_add(struct slot *s, struct poller_op *op)
{
	struct list *waiters = &s->waiters[waiters_direction(op)];

	op->slot = s;
	op->state = OP_WAITING;
	if (unlikely(!waiters_take_turns(op)))
		waiters_add_beside(s, op);
	else if (unlikely(op->again && !list_empty(waiters)))
		list_prepend(waiters, &op->link); /* woken in vain, it still waits longest */
	else
		list_append(waiters, &op->link);
}

/* False: it was given back already. */
bool waiters_remove(struct slot *, struct poller_op *);
bool waiters_none(const struct slot *);

/* What those beside the stream wait for, in bits of poll(2). */
unsigned waiters_wanted_beside(const struct slot *);
/* Every one beside the stream that these events, in bits of poll(2), are for. */
unsigned waiters_beside(struct slot *, unsigned events, struct list *back);
/* All, with `result`. POLLER_RETRY: the number means a file now that cannot be waited for. */
unsigned waiters_give_all(struct slot *, int result, struct list *back);

#endif
