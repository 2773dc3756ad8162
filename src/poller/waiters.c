/* waiters.c - the operations that wait on a slot: see waiters.h. */
#include "poller/waiters.h"

#include <errno.h>

#include "poller/attempt.h"

static struct poller_op *op_of(struct list *node)
{
	return container_of(node, struct poller_op, link);
}

static void give(struct poller_op *op, ssize_t result, struct list *back)
{
	op->state = OP_BACK;
	op->result = result;
	if (result == POLLER_RETRY)
		op->again = true;
	list_append(back, &op->link);
}

void waiters_add(struct slot *s, struct poller_op *op)
{
	struct list *waiters = &s->waiters[waiters_direction(op)];

	op->slot = s;
	op->state = OP_WAITING;
	if (unlikely(op->kind == IO_POLL)) {
		list_append(&s->polls, &op->link);
		s->bits |= SLOT_POLLED;
	} else if (unlikely(op->again && !list_empty(waiters))) {
		/* Woken in vain, it is still the one that waits longest. */
		list_prepend(waiters, &op->link);
	} else {
		list_append(waiters, &op->link);
	}
}

static void note_polls(struct slot *s)
{
	if (list_empty(&s->polls))
		s->bits &= ~SLOT_POLLED;
}

bool waiters_remove(struct slot *s, struct poller_op *op)
{
	if (op->state != OP_WAITING)
		return false;
	list_remove(&op->link);
	op->state = OP_BACK;
	if (op->kind == IO_POLL)
		note_polls(s);
	return true;
}

bool waiters_none(const struct slot *s)
{
	return list_empty(&s->waiters[SLOT_IN]) && list_empty(&s->waiters[SLOT_OUT]) &&
	       !(s->bits & SLOT_POLLED);
}

static unsigned give_waiters(struct slot *s, enum slot_direction d, bool all, ssize_t result,
			     struct list *back)
{
	struct list *node;
	unsigned n = 0;

	while ((node = list_pop(&s->waiters[d]))) {
		give(op_of(node), result, back);
		n++;
		if (!all)
			break;
	}
	return n;
}

unsigned waiters_retry(struct slot *s, enum slot_direction d, bool all, struct list *back)
{
	return give_waiters(s, d, all, POLLER_RETRY, back);
}

unsigned waiters_poll(struct slot *s, unsigned events, struct list *back)
{
	struct list *node, *next;
	unsigned n = 0;

	events |= (events & POLLIN ? POLLRDNORM : 0) | (events & POLLOUT ? POLLWRNORM : 0);
	for (node = s->polls.next; node != &s->polls; node = next) {
		struct poller_op *op = op_of(node);
		unsigned ready = events & ((unsigned short)op->events | POLLERR | POLLHUP);

		next = node->next;
		if (!ready)
			continue;
		list_remove(node);
		give(op, ready, back);
		n++;
	}
	note_polls(s);
	return n;
}

/* IO_POLL is never to be retried: what poll(2) says of the new file, which calls it ready. */
static ssize_t poll_result(const struct poller_op *op, int result)
{
	_Atomic uint64_t calls = 0;
	int r = result == POLLER_RETRY ? attempt_poll(op->fd, op->events, &calls) : result;

	return r ? r : -EPERM;
}

unsigned waiters_give_all(struct slot *s, int result, struct list *back)
{
	struct list *node;
	unsigned n = give_waiters(s, SLOT_IN, true, result, back) +
		     give_waiters(s, SLOT_OUT, true, result, back);

	while (s->bits & SLOT_POLLED && (node = list_pop(&s->polls))) {
		give(op_of(node), poll_result(op_of(node), result), back);
		n++;
	}
	s->bits &= ~SLOT_POLLED;
	return n;
}
