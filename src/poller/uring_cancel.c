/* uring_cancel.c - taking operations back.
 *
 * Only the thread of the ring can cancel (a foreign one would be refused with EEXIST). It does so
 * in one system call: the cancellation is carried out while it is handed over, and the completion
 * is made before the call returns. Only what a thread of the kernel's has in its hands (it may be
 * blocked in there) comes later. What the kernel has not taken yet is taken out of the queue.
 *
 * Whoever gives a number up from another thread asks (`asked`) and rings; the poller's thread
 * answers in its next `wait`. If too many are asked for to be noted down, it looks at all. */
#include <errno.h>

#include "poller/uring.h"

void uring_cancel_later(struct uring *u, struct poller_op *op, enum uring_state state)
{
	struct io_uring_sqe *sqe;

	uring_make_room(u);
	sqe = ring_next(&u->ring);
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = (uintptr_t)op | URING_OP;
	sqe->user_data = URING_NOBODY;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	op->state = state;
}

/* True: the kernel does not have it, and will not get it. */
static bool withdraw(struct uring *u, const struct poller_op *op)
{
	struct io_uring_sqe *sqe;

	if (op->state == URING_TIMED)
		return true;
	if (op->state != URING_KERNEL)
		return false;
	sqe = ring_untaken(&u->ring, op->place);
	if (!sqe)
		return false;
	*sqe = (struct io_uring_sqe){.opcode = IORING_OP_NOP,
				     .flags = IOSQE_CQE_SKIP_SUCCESS,
				     .user_data = URING_NOBODY};
	return true;
}

/* Its completion will say that it was cancelled, or what it has reached. */
static void leave(struct uring *u, struct poller_op *op)
{
	if (op->state == URING_KERNEL)
		uring_cancel_later(u, op, URING_LEAVING);
	else
		op->state = URING_LEAVING; /* it is being cancelled already */
}

bool uring_cancel(struct poller *p, struct poller_op *op)
{
	struct uring *u = uring_of(p);

	if (op->way >= URING_STREAMS)
		return uring_leave_stream(op);
	if (op->state == URING_BACK)
		return false;
	if (withdraw(u, op)) {
		uring_give(u, op, -ECANCELED, &u->early);
	} else if (op->way == URING_FILES && !uring_file_may_last(op)) {
		return false;
	} else {
		leave(u, op);
		uring_turn(u, &u->early);
	}
	if (op->state != URING_BACK || op->result == POLLER_RETRY)
		return false;
	list_remove(&op->link);
	return true;
}

/* ---- numbers that were given up ---------------------------------------------------------------*/
void uring_ask(struct held *h, struct slot *s)
{
	struct uring *u = container_of(h, struct uring, held);

	spin_lock(&u->guard);
	if (u->asked_count < URING_ASKED)
		u->asked[u->asked_count] = s;
	if (u->asked_count <= URING_ASKED)
		u->asked_count++;
	atomic_store_explicit(&u->any_asked, true, memory_order_relaxed);
	spin_unlock(&u->guard);
	if (atomic_load_explicit(&h->thread, memory_order_relaxed) != held_thread())
		uring_ring(u);
}

static struct poller_op *next_given_up(struct uring *u, struct slot *s)
{
	struct poller_op *found = NULL;

	spin_lock(&s->guard);
	for (struct list *node = s->held.next; node && node != &s->held; node = node->next) {
		struct poller_op *op = container_of(node, struct poller_op, link);

		if (op->poller == u && op->given_up && op->state != URING_LEAVING) {
			found = op;
			break;
		}
	}
	spin_unlock(&s->guard);
	return found;
}

struct answering {
	struct uring *u;
	struct list *back;
	unsigned n;
};

static void answer(struct slot *s, void *context)
{
	struct answering *a = context;
	struct poller_op *op;

	while ((op = next_given_up(a->u, s))) {
		if (!withdraw(a->u, op)) {
			leave(a->u, op);
			continue;
		}
		if (op->way >= URING_STREAMS) {
			a->n += uring_land_ahead(a->u, op, -ECANCELED, a->back);
			continue;
		}
		uring_give(a->u, op, -ECANCELED, a->back);
		a->n++;
	}
}

unsigned uring_answer(struct uring *u, struct list *back)
{
	struct answering a = {.u = u, .back = back};
	struct slot *asked[URING_ASKED];
	unsigned count;

	/* Relaxed: who set it has rung the bell as well, or is this thread. */
	if (likely(!atomic_load_explicit(&u->any_asked, memory_order_relaxed)))
		return 0;
	spin_lock(&u->guard);
	count = u->asked_count;
	for (unsigned i = 0; i < count && i < URING_ASKED; i++)
		asked[i] = u->asked[i];
	u->asked_count = 0;
	atomic_store_explicit(&u->any_asked, false, memory_order_relaxed);
	spin_unlock(&u->guard);
	if (count > URING_ASKED)
		slot_each(answer, &a);
	else
		for (unsigned i = 0; i < count; i++)
			answer(asked[i], &a);
	return a.n;
}

/* With it comes whatever else is complete. */
void uring_settle(struct held *h, struct list *back)
{
	struct uring *u = container_of(h, struct uring, held);

	uring_answer(u, back);
	uring_turn(u, back);
	uring_take_early(u, back);
}
