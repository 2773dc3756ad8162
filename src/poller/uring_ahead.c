/* uring_ahead.c - what owned streams (uring_stream.c) and owned listeners (uring_door.c) have in
 * common: who waits may leave, and a poller that closes takes its submissions back. */
#include <errno.h>

#include "poller/ahead.h"
#include "poller/uring.h"

bool uring_leave_stream(struct poller_op *op)
{
	struct slot *s = op->slot;
	bool waits;

	spin_lock(&s->guard);
	waits = op->state == URING_AHEAD;
	if (waits) {
		list_remove(&op->link);
		op->state = URING_BACK;
		op->result = -ECANCELED;
		if (op->way == URING_DOORS)
			uring_door_left(s);
	}
	spin_unlock(&s->guard);
	return waits;
}

unsigned uring_land_ahead(struct uring *u, struct poller_op *op, int r, struct list *back)
{
	return op->way == URING_DOORS ? uring_land_door(u, op, r, 0, back)
				      : uring_land_stream(u, op, r, 0, back);
}

/* When the thread of the ring is gone, the kernel has taken back all that it had: it never fills a
 * buffer but on that thread. */
static void land_all(struct uring *u)
{
	struct list *node, *next;

	uring_take(u, &u->early);
	for (node = u->old.next; node && node != &u->old; node = next) {
		struct poller_op *op = container_of(node, struct poller_op, age);

		next = node->next;
		if (op->way >= URING_STREAMS)
			uring_land_ahead(u, op, -ECANCELED, &u->early);
	}
}

static void cancel_all(struct uring *u)
{
	struct list *node;

	for (node = u->old.next; node && node != &u->old; node = node->next) {
		struct poller_op *op = container_of(node, struct poller_op, age);

		if (op->way >= URING_STREAMS && op->state == URING_KERNEL)
			uring_cancel_later(u, op, URING_LEAVING);
	}
	uring_turn(u, &u->early);
}

/* Nobody waits any more; the next who comes starts them anew, from where they are. */
void uring_close_streams(struct uring *u)
{
	if (!u->flying && !u->buffers)
		return;
	if (atomic_load_explicit(&u->held.thread, memory_order_relaxed) == held_thread())
		cancel_all(u);
	land_all(u);
	if (u->buffers)
		uring_free_buffers(u);
}
