/* uring_door.c - listeners of the library's own (fiber_own), from which is accepted ahead.
 *
 * One submission accepts again and again, as long as a fiber waits in accept. When nobody has come
 * back to wait by the end of the worker's turn, it is cancelled. What was accepted by then, at most
 * the listener's backlog, which the kernel takes in one go, is kept for the next who asks, and
 * closed with the listener.
 *
 * A door hangs on its listener's slot, like a stream (uring_stream.c), and lives by the same rules:
 * `shot` is its submission, of the ring `home`; only while it flies does anybody wait; `gone` means
 * given up. The slot's guard guards all of it, except `idle`, which is the home thread's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "poller/ahead.h"
#include "poller/uring.h"

struct door {
	struct ahead ahead;          /* first; `bytes` are connections here */
	struct poller_op shot;
	struct uring *home;
	struct list acceptors;       /* that wait */
	struct list idle;            /* in uring.idle_doors: nobody waited when it last landed */
	enum poller_born what;       /* is accepted */
	bool flies, gone;
	fiber_fd *surplus;           /* `ahead.bytes` of them from `first` on, the oldest first */
	size_t first, room;
};

static struct door *door_of(struct slot *s)
{
	return container_of(s->ahead, struct door, ahead);
}

/* With several who wait the kernel cannot tell the address. */
static void hand_over(struct poller_op *op, ssize_t result)
{
	op->result = result;
	if (result >= 0 && op->address)
		getpeername((fiber_fd)result, op->address, op->address_bytes);
}

static unsigned give_acceptor(struct door *d, ssize_t result, struct list *back)
{
	struct list *node = list_pop(&d->acceptors);
	struct poller_op *op = container_of(node, struct poller_op, link);

	op->again = result == POLLER_RETRY;
	hand_over(op, result);
	op->state = URING_BACK;
	list_append(back, &op->link);
	return 1;
}

/* ---- landing ----------------------------------------------------------------------------------*/
/* For one more. False: no memory. */
static bool make_room(struct door *d)
{
	fiber_fd *more;

	if (d->first + d->ahead.bytes < d->room)
		return true;
	if (d->first) {
		memmove(d->surplus, d->surplus + d->first, d->ahead.bytes * sizeof *d->surplus);
		d->first = 0;
		return true;
	}
	more = realloc(d->surplus, (2 * d->room + 16) * sizeof *more);
	if (!more)
		return false;
	d->surplus = more;
	d->room = 2 * d->room + 16;
	return true;
}

static void release(struct door *d)
{
	free(d->surplus);
	free(d);
}

/* True: somebody has it, or will. */
static bool keep(struct door *d, fiber_fd fd, unsigned *n, struct list *back)
{
	if (d->gone)
		return false;
	if (!list_empty(&d->acceptors)) {
		*n += give_acceptor(d, fd, back);
		return true;
	}
	if (!make_room(d))
		return false;
	d->surplus[d->first + d->ahead.bytes++] = fd;
	return true;
}

/* What is wrong is told once; the others try by themselves. */
static unsigned come_to_rest(struct uring *u, struct door *d, int r, struct list *back)
{
	unsigned n = 0;

	uring_unlink(u, &d->shot);
	d->flies = false;
	if (list_linked(&d->idle))
		list_remove(&d->idle);
	if (r < 0 && r != -ECANCELED && r != -EINTR && r != -ECONNABORTED &&
	    !list_empty(&d->acceptors))
		n += give_acceptor(d, r, back);
	while (!list_empty(&d->acceptors))
		n += give_acceptor(d, POLLER_RETRY, back);
	return n;
}

static bool let_go(const struct door *d, struct slot *s)
{
	if (d->flies || (!d->gone && d->ahead.bytes))
		return false;
	if (!d->gone)
		s->ahead = NULL;
	return true;
}

unsigned uring_land_door(struct uring *u, struct poller_op *op, int r, unsigned flags,
			 struct list *back)
{
	struct door *d = container_of(op, struct door, shot);
	struct slot *s = op->slot;
	bool kept = true, last;
	unsigned n = 0;

	if (r >= 0)
		poller_born(r, d->what); /* takes the guard of another slot */
	spin_lock(&s->guard);
	if (r >= 0)
		kept = keep(d, r, &n, back);
	if (!(flags & IORING_CQE_F_MORE))
		n += come_to_rest(u, d, r, back);
	else if (list_empty(&d->acceptors) && !list_linked(&d->idle))
		list_append(&u->idle_doors, &d->idle);
	last = let_go(d, s);
	spin_unlock(&s->guard);
	if (!kept)
		close(r);
	if (last)
		release(d);
	return n;
}

void uring_rest_doors(struct uring *u)
{
	struct list *node;

	while ((node = list_pop(&u->idle_doors))) {
		struct door *d = container_of(node, struct door, idle);
		struct slot *s = d->shot.slot;
		bool rests;

		spin_lock(&s->guard);
		rests = list_empty(&d->acceptors) && d->shot.state == URING_KERNEL;
		spin_unlock(&s->guard);
		if (rests)
			uring_cancel_later(u, &d->shot, URING_LEAVING);
	}
}

/* ---- the life of a door -----------------------------------------------------------------------*/
static void end(struct slot *s, struct list *back)
{
	struct door *d = door_of(s);

	s->ahead = NULL;
	d->gone = true;
	while (!list_empty(&d->acceptors))
		give_acceptor(d, -EBADF, back);
	for (size_t i = 0; i < d->ahead.bytes; i++)
		close(d->surplus[d->first + i]);
	d->ahead.bytes = 0;
	if (!d->flies)
		release(d);
}

static struct held *stop(struct slot *s)
{
	struct door *d = door_of(s);

	if (!d->flies || d->shot.given_up)
		return NULL;
	d->shot.given_up = true;
	d->home->held.ask(&d->home->held, s);
	return &d->home->held;
}

static struct door *make(struct slot *s)
{
	struct door *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	d->ahead.end = end;
	d->ahead.stop = stop;
	d->ahead.connections = true;
	d->what = attempt_accepted(s->nature);
	list_init(&d->acceptors);
	s->ahead = &d->ahead;
	return d;
}

/* ---- accepting --------------------------------------------------------------------------------*/
void uring_prepare_door(struct io_uring_sqe *sqe)
{
	sqe->opcode = IORING_OP_ACCEPT;
	sqe->ioprio = IORING_ACCEPT_MULTISHOT;
	sqe->accept_flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
}

static fiber_fd take_surplus(struct door *d)
{
	fiber_fd fd = d->surplus[d->first++];

	if (--d->ahead.bytes == 0)
		d->first = 0;
	return fd;
}

int uring_accept(struct uring *u, struct slot *s, struct poller_op *op, bool tried)
{
	struct door *d = s->ahead ? door_of(s) : NULL;

	if (s->ahead && !s->ahead->connections)
		return URING_NOT_AHEAD;
	if (d && d->ahead.bytes) {
		hand_over(op, take_surplus(d));
		return POLLER_DONE;
	}
	/* What is not known yet, or went wrong, is tried first; and then all wait at the door: who
	 * waited otherwise would not hear of what it keeps. */
	if (!s->nature || (op->again && !tried && !(d && d->flies)) || !(d = d ? d : make(s)))
		return URING_NOT_AHEAD;
	if (!d->flies) {
		d->home = u;
		d->flies = true;
		d->shot.fd = op->fd;
		uring_fly(u, s, &d->shot, URING_DOORS, &u->old);
	}
	op->way = URING_DOORS;
	op->slot = s;
	op->poller = d->home;
	op->forgets = s->forgets;
	op->state = URING_AHEAD;
	list_append(&d->acceptors, &op->link);
	return POLLER_IN_FLIGHT;
}

/* Who has just left may have been the last. Guard held. */
void uring_door_left(struct slot *s)
{
	if (s->ahead && list_empty(&door_of(s)->acceptors))
		stop(s);
}
