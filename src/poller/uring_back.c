/* uring_back.c - how a completion becomes a result.
 *
 * Each submission has exactly one completion (save the bell's, which has many), so the law of
 * poller.h is the kernel's own. What it says is passed on, except:
 *
 *	"ready"            of an operation that we try ourselves: POLLER_RETRY.
 *	-ENOTSOCK          the number means another file than the one that was looked at: it is
 *	                   looked at again, and tried again.
 *	-EAGAIN, -EINTR    the kernel had no room, or was disturbed: our own attempt is next.
 *	-ECANCELED         of an operation that was only checked: it is submitted once more.
 *	the same           of a number that was given up: -EBADF. */
#include <errno.h>

#include "poller/uring.h"

#define ERESTARTSYS 512 /* the kernel's own: a call that a signal ended, in one of its threads */

static bool was_cancelled(int r)
{
	return r == -ECANCELED || r == -EINTR || r == -ERESTARTSYS;
}

/* Never nothing: it would be no event. */
static ssize_t ready_of(const struct poller_op *op, int r)
{
	int events = r & ((unsigned short)op->events | POLLERR | POLLHUP);

	return events ? events : op->events;
}

static ssize_t result_of(const struct poller_op *op, int r)
{
	if (was_cancelled(r))
		return op->state == URING_LEAVING ? -ECANCELED : POLLER_RETRY;
	switch ((enum uring_way)op->way) {
	case URING_PERFORMS:
		return r == -EAGAIN || r == -ENOTSOCK ? POLLER_RETRY : r;
	case URING_POLLS:
		if (r < 0)
			return r;
		return op->kind == IO_POLL ? ready_of(op, r) : POLLER_RETRY;
	case URING_FILES:
		return r;
	case URING_STREAMS: /* they land elsewhere */
	case URING_DOORS:
		break;
	}
	unreachable();
}

/* What the completion tells of the descriptor. */
static void learn(struct slot *s, const struct poller_op *op, int r, unsigned flags)
{
	if (op->way != URING_PERFORMS)
		return;
	if (waiters_direction(op) == SLOT_IN)
		s->drained = r > 0 && !(flags & IORING_CQE_F_SOCK_NONEMPTY);
	if (unlikely(r == -ENOTSOCK))
		s->nature = 0;
}

void uring_unlink(struct uring *u, struct poller_op *op)
{
	list_remove(&op->link);
	list_remove(&op->age);
	op->state = URING_BACK;
	u->flying--;
}

static void give(struct poller_op *op, ssize_t result, struct list *back)
{
	if (op->given_up && (result == -ECANCELED || result == POLLER_RETRY))
		result = -EBADF;
	/* An IO_POLL never comes back to be retried; it was disturbed: let the owner look. */
	if (result == POLLER_RETRY && op->kind == IO_POLL)
		result = op->events;
	op->again = result == POLLER_RETRY;
	op->result = result;
	list_append(back, &op->link);
}

void uring_give(struct uring *u, struct poller_op *op, ssize_t result, struct list *back)
{
	struct slot *s = op->slot;

	spin_lock(&s->guard);
	uring_unlink(u, op);
	spin_unlock(&s->guard);
	give(op, result, back);
}

/* How many are back: 0 if it goes on. */
static unsigned land(struct uring *u, struct poller_op *op, int r, unsigned flags,
		     struct list *back)
{
	struct slot *s = op->slot;
	ssize_t result;
	bool again;

	if (unlikely(op->way == URING_STREAMS))
		return uring_land_stream(u, op, r, flags, back);
	if (unlikely(op->way == URING_DOORS))
		return uring_land_door(u, op, r, flags, back);
	result = result_of(op, r);
	spin_lock(&s->guard);
	again = op->state == URING_CHECKED && was_cancelled(r) && !op->given_up;
	if (!again) {
		if (!op->given_up)
			learn(s, op, r, flags);
		uring_unlink(u, op);
	}
	spin_unlock(&s->guard);
	if (unlikely(op->way == URING_FILES))
		uring_finish_file(op, r);
	if (again)
		uring_resubmit(u, op);
	else
		give(op, result, back);
	return !again;
}

unsigned uring_take(struct uring *u, struct list *back)
{
	struct io_uring_cqe *cqe;
	unsigned n = 0;

	while ((cqe = ring_peek(&u->ring))) {
		uint64_t data = cqe->user_data;
		unsigned flags = cqe->flags;
		int r = cqe->res;

		ring_seen(&u->ring); /* before anything that may need room in the queues */
		switch ((enum uring_tag)(data & 3)) {
		case URING_OP:
			n += land(u, (struct poller_op *)(uintptr_t)data, r, flags, back);
			break;
		case URING_BELL:
			u->rang = true;
			if (unlikely(!(flags & IORING_CQE_F_MORE)))
				uring_hear(u);
			break;
		case URING_NOBODY:
			break;
		}
	}
	return n;
}
