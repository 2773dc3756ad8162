/* uring_submit.c - how an operation becomes a submission.
 *
 * Two ways. What is done with sockets all day - receive and send - is the kernel's from the start:
 * it tries, waits and tries again, and tells the result. So a turn of the worker costs one system
 * call, however many connections it serves. Everything else is tried here first, by the same
 * attempts as on the other pollers, which know what may block, what raises SIGPIPE and what ends a
 * read early; and when there is nothing, the kernel only tells when the descriptor is ready
 * (POLL_ADD: level, so nothing is lost between the attempt and the submission), and the owner
 * tries again. All who wait for one descriptor are told, so readiness need not be handed on.
 *
 * A receive begins with waiting (POLL_FIRST) if the one before left nothing behind, which saves the
 * attempt in vain. That is a guess and may be wrong; to wait begins with a look. */
#include "poller/uring.h"

#include <errno.h>

/* ---- the kernel performs it -------------------------------------------------------------------*/
static bool is_stream_call(const struct poller_op *op)
{
	switch (op->kind) {
	case IO_RECV:
	case IO_SEND:
		return op->bytes && op->bytes <= INT32_MAX &&
		       !(op->flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE));
	case IO_READ:
	case IO_WRITE:
		return op->iov_count == 1 && op->iov->iov_len && op->iov->iov_len <= INT32_MAX;
	default:
		return false;
	}
}

static void prepare_stream_call(struct io_uring_sqe *sqe, const struct slot *s,
				const struct poller_op *op)
{
	bool pieces = op->kind == IO_READ || op->kind == IO_WRITE;

	sqe->addr = (uintptr_t)(pieces ? op->iov->iov_base : op->buffer);
	sqe->len = (unsigned)(pieces ? op->iov->iov_len : op->bytes);
	if (waiters_direction(op) == SLOT_IN) {
		sqe->opcode = IORING_OP_RECV;
		sqe->msg_flags = (unsigned)op->flags;
		sqe->ioprio = s->drained ? IORING_RECVSEND_POLL_FIRST : 0;
	} else {
		sqe->opcode = IORING_OP_SEND;
		sqe->msg_flags = (unsigned)op->flags | MSG_NOSIGNAL;
	}
}

/* ---- the kernel tells when it is ready --------------------------------------------------------*/
/* Linux up to 6.18 at least does not wake who waits for POLLPRI and nothing else (io_poll_wake
 * ignores that bit); sockets wake for POLLRDBAND at the same time, and TCP never has it. */
static unsigned poll_events(const struct poller_op *op)
{
	unsigned events = (unsigned short)poller_events(op);

	if (events & POLLPRI)
		events |= POLLRDBAND;
	return op->flags & MSG_OOB ? events | POLLRDHUP : events;
}

static void prepare_poll(struct io_uring_sqe *sqe, const struct poller_op *op)
{
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->poll32_events = poll_events(op);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "poll32_events has its halves exchanged");

/* ---- in flight --------------------------------------------------------------------------------*/
/* There is room for it. */
static void queue(struct uring *u, const struct slot *s, struct poller_op *op)
{
	struct io_uring_sqe *sqe = ring_next(&u->ring);

	sqe->fd = op->fd;
	switch ((enum uring_way)op->way) {
	case URING_PERFORMS:
		prepare_stream_call(sqe, s, op);
		break;
	case URING_POLLS:
		prepare_poll(sqe, op);
		break;
	case URING_FILES:
		uring_prepare_file(sqe, op);
		break;
	case URING_STREAMS:
		uring_prepare_stream(sqe, s);
		break;
	case URING_DOORS:
		uring_prepare_door(sqe);
		break;
	}
	sqe->user_data = (uintptr_t)op | URING_OP;
	op->place = u->ring.tail - 1;
	op->state = URING_KERNEL;
}

void uring_resubmit(struct uring *u, struct poller_op *op)
{
	uring_make_room(u);
	queue(u, op->slot, op);
}

/* Guard held. */
static int fly(struct uring *u, struct slot *s, struct poller_op *op, struct list *age)
{
	op->slot = s;
	op->poller = u;
	op->forgets = s->forgets;
	op->given_up = false;
	op->since = u->epoch;
	list_append(&s->held, &op->link);
	list_append(age, &op->age);
	u->flying++;
	return POLLER_IN_FLIGHT;
}

int uring_fly(struct uring *u, struct slot *s, struct poller_op *op, enum uring_way way,
	      struct list *age)
{
	op->way = (uint8_t)way;
	queue(u, s, op);
	return fly(u, s, op, age);
}

static int fly_in_kernel(struct uring *u, struct slot *s, struct poller_op *op, enum uring_way way)
{
	/* Files are held by who works on them: there is nothing to check. */
	return uring_fly(u, s, op, way, way == URING_FILES ? &u->old : &u->young);
}

static int fly_by_time(struct uring *u, struct slot *s, struct poller_op *op)
{
	op->way = URING_POLLS;
	op->state = URING_TIMED;
	return fly(u, s, op, &u->timed);
}

/* ---- our own attempt --------------------------------------------------------------------------*/
enum { TRY_AGAIN = -1 };

static int finish(struct poller_op *op, ssize_t result)
{
	op->result = result;
	return POLLER_DONE;
}

/* Guard held. As conclude in ready.c, without its edges. */
static int conclude(struct uring *u, struct slot *s, struct poller_op *op,
		    const struct slot_use *use, enum tried tried)
{
	if (tried == TRIED_DONE)
		return POLLER_DONE;
	if (unlikely(s->generation != use->generation))
		return s->forgets == use->forgets ? TRY_AGAIN : finish(op, -EBADF);
	switch (tried) {
	case TRIED_DONE:
		return POLLER_DONE;
	case TRIED_BLOCKS:
		return POLLER_WOULD_BLOCK;
	case TRIED_STRANGE:
		s->nature = 0;
		return TRY_AGAIN;
	case TRIED_EMPTY:
	case TRIED_NO_EDGE:
		if (op->flags & MSG_DONTWAIT)
			return finish(op, -EAGAIN);
		if (unlikely(s->owned) && op->kind == IO_ACCEPT) {
			int verdict = uring_accept(u, s, op, true);

			if (verdict != URING_NOT_AHEAD)
				return verdict;
		}
		return tried == TRIED_NO_EDGE ? fly_by_time(u, s, op)
					      : fly_in_kernel(u, s, op, URING_POLLS);
	}
	unreachable();
}

/* Guard held, and again at the end. */
static int try(struct uring *u, struct slot *s, struct poller_op *op)
{
	struct slot_use use = slot_use(s);
	unsigned nature = s->nature;
	enum tried tried;

	spin_unlock(&s->guard);
	tried = nature ? attempt_op(op, nature, &u->calls)
		       : attempt_unknown(op, &nature, &u->calls);
	spin_lock(&s->guard);
	slot_unuse(s, &use);
	if (s->generation == use.generation && !s->nature && !(nature & NATURE_FILE))
		s->nature = (uint16_t)nature;
	return conclude(u, s, op, &use, tried);
}

/* Only what is known to be a socket: what it is, is looked at with the first attempt. Who was told
 * to try again does that here. */
static bool is_for_kernel(const struct slot *s, const struct poller_op *op)
{
	return s->nature & NATURE_SOCKET && !op->again && is_stream_call(op);
}

/* Nobody else has anything to do: to send at once is one system call too, and nobody parks. */
static bool is_better_tried(const struct uring *u, const struct poller_op *op)
{
	return u->lonely && waiters_direction(op) == SLOT_OUT && !ring_pending(&u->ring);
}

/* Guard held. */
static int submit_guarded(struct uring *u, struct slot *s, struct poller_op *op)
{
	int verdict;

	/* Woken, and before it ran the number was given up, or out: as in ready_submit. */
	if (unlikely(op->again) && op->forgets != s->forgets)
		return finish(op, -EBADF);
	if (unlikely(s->owned)) {
		verdict = op->kind == IO_ACCEPT ? uring_accept(u, s, op, false)
						: uring_receive(u, s, op);
		if (verdict != URING_NOT_AHEAD)
			return verdict;
	}
	if (likely(is_for_kernel(s, op)) && !is_better_tried(u, op))
		return fly_in_kernel(u, s, op, URING_PERFORMS);
	if (op->kind == IO_FILE)
		return fly_in_kernel(u, s, op, URING_FILES);
	do
		verdict = try(u, s, op);
	while (unlikely(verdict == TRY_AGAIN));
	return verdict;
}

int uring_submit(struct poller *p, struct poller_op *op, struct list *back)
{
	struct uring *u = uring_of(p);
	bool nowhere = op->kind == IO_FILE && op->fd < 0;
	struct slot *s = unlikely(nowhere) ? &u->nowhere : slot_get(op->fd);
	int verdict;

	(void)back; /* readiness is not handed on: all are told */
	if (unlikely(!s))
		return finish(op, attempt_refuse(op->fd));
	uring_begin(u);
	uring_make_room(u); /* before the guard is taken: it may be a system call */
	spin_lock(&s->guard);
	verdict = submit_guarded(u, s, op);
	spin_unlock(&s->guard);
	return verdict;
}
