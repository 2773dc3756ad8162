/* waiters.c - the operations that wait on a slot: see waiters.h. */
#include "poller/waiters.h"

#include <errno.h>

#include "poller/attempt.h"

static struct poller_op *op_of(struct list *node)
{
	return container_of(node, struct poller_op, link);
}

void waiters_add_beside(struct slot *s, struct poller_op *op)
{
	list_append(&s->beside, &op->link);
	s->bits |= SLOT_BESIDE;
}

static void note_beside(struct slot *s)
{
	if (list_empty(&s->beside))
		s->bits &= ~SLOT_BESIDE;
}

bool waiters_remove(struct slot *s, struct poller_op *op)
{
	if (op->state != OP_WAITING)
		return false;
	list_remove(&op->link);
	op->state = OP_BACK;
	if (s->bits & SLOT_BESIDE)
		note_beside(s);
	return true;
}

bool waiters_none(const struct slot *s)
{
	return list_empty(&s->waiters[SLOT_IN]) && list_empty(&s->waiters[SLOT_OUT]) &&
	       !(s->bits & SLOT_BESIDE);
}

unsigned waiters_retry_all(struct slot *s, enum slot_direction d, struct list *back)
{
	unsigned n = 0;

	while (waiters_retry(s, d, back))
		n++;
	return n;
}

/* What it waits for, besides errors and the hang-up, which all wait for. */
static unsigned wanted(const struct poller_op *op)
{
	if (op->kind == IO_POLL)
		return (unsigned short)op->events;
	return op->flags & MSG_OOB ? POLLPRI | POLLRDHUP : 0;
}

unsigned waiters_wanted_beside(const struct slot *s)
{
	unsigned events = 0;

	if (!(s->bits & SLOT_BESIDE))
		return 0;
	for (struct list *node = s->beside.next; node != &s->beside; node = node->next)
		events |= wanted(op_of(node));
	return events;
}

unsigned waiters_beside(struct slot *s, unsigned events, struct list *back)
{
	struct list *node, *next;
	unsigned n = 0;

	events |= (events & POLLIN ? POLLRDNORM : 0) | (events & POLLOUT ? POLLWRNORM : 0);
	for (node = s->beside.next; node != &s->beside; node = next) {
		struct poller_op *op = op_of(node);
		unsigned ready = events & (wanted(op) | POLLERR | POLLHUP);

		next = node->next;
		if (!ready)
			continue;
		list_remove(node);
		op->again = op->kind != IO_POLL;
		waiters_give(op, op->again ? POLLER_RETRY : (ssize_t)ready, back);
		n++;
	}
	note_beside(s);
	return n;
}

/* IO_POLL is never to be retried: what poll(2) says of the new file, which calls it ready. */
static ssize_t beside_result(struct poller_op *op, int result)
{
	_Atomic uint64_t calls = 0;
	int r = result;

	if (result == POLLER_RETRY && op->kind == IO_POLL)
		r = attempt_poll(op->fd, op->events, &calls);
	op->again = r == POLLER_RETRY;
	return r ? r : -EPERM;
}

static unsigned give_waiters(struct slot *s, enum slot_direction d, int result, struct list *back)
{
	struct list *node;
	unsigned n = 0;

	if (result == POLLER_RETRY)
		return waiters_retry_all(s, d, back);
	while ((node = list_pop(&s->waiters[d]))) {
		waiters_give(op_of(node), result, back);
		n++;
	}
	return n;
}

unsigned waiters_give_all(struct slot *s, int result, struct list *back)
{
	unsigned n =
		give_waiters(s, SLOT_IN, result, back) + give_waiters(s, SLOT_OUT, result, back);
	struct list *node;

	while (s->bits & SLOT_BESIDE && (node = list_pop(&s->beside))) {
		waiters_give(op_of(node), beside_result(op_of(node), result), back);
		n++;
	}
	s->bits &= ~SLOT_BESIDE;
	return n;
}
