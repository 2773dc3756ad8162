/* ready.c - "try, arm, try again".
 *
 * Each direction of a slot (slot.h) is in one of these states:
 *
 *	unknown   or latched, which comes to the same: not known to be empty. Whoever comes tries.
 *	empty     an attempt saw EAGAIN (or a short read, below), and no event has come since. Who
 *	          comes waits without a system call; this is what makes an echo two system calls.
 *	          Only a slot that some poller watches can be empty.
 *
 * and has a list of waiters. The invariants:
 *
 *  1. What makes an empty direction ready brings an edge, and the edge finds the waiters: an
 *     attempt notes slot.edges before the system call; if it has moved afterwards, EAGAIN proves
 *     nothing, and the attempt is made again. A descriptor is watched after its first EAGAIN, and
 *     the kernel reports at once what became ready in between.
 *  2. An edge wakes one waiter (all of them once the descriptor is closed, hung up or failed; and
 *     every IO_POLL that matches). It is given back as POLLER_RETRY, and the direction is latched.
 *     Many connections or datagrams may stand behind the edge, so whoever succeeds in a direction
 *     that is still not empty hands on to the next waiter. EAGAIN ends the chain. So if a direction
 *     is not empty and has waiters, one of them is on its way, or an edge is.
 *  3. The short-read rule: a read that got less than it asked for has emptied the buffer, so the
 *     next reader need not try. This holds on TCP only, without urgent data, and unless the
 *     descriptor is closed: a FIN in the same edge as the data, the boundaries around descriptors
 *     passed over Unix sockets, datagrams, lines of a tty, and the urgent mark end a read early,
 *     and nothing would ever come to say that there is more. There, a reader tries until EAGAIN. A
 *     short write is not taken for a full buffer: a page of the source that cannot be read ends one
 *     as well, and the next attempt must say EFAULT instead of waiting.
 *  4. A number in a system call has its use counted; forget() starts a new generation and then
 *     waits for the uses of the old one. Events carry the generation.
 *
 * The slot's guard guards all of this. Nothing that may block is called under it: epoll_ctl does
 * not. */
#include "poller/ready.h"

#include <errno.h>
#include <limits.h>

#include "poller/attempt.h"
#include "poller/waiters.h"
#include "poller/watch.h"
#include "poller/young.h"

enum {
	TRY_AGAIN = -1,
	CLOSED = POLLRDHUP | POLLHUP | POLLERR,
};

/* ---- waiting ----------------------------------------------------------------------------------*/
static int empty_bit(const struct poller_op *op)
{
	return 1 << waiters_direction(op);
}

static int park(struct ready *r, struct slot *s, struct poller_op *op)
{
	int e = watch_begin(r, s, op);

	if (unlikely(e < 0)) {
		op->result = e;
		return e == -EPERM && op->kind != IO_POLL ? POLLER_WOULD_BLOCK : POLLER_DONE;
	}
	op->poller = r;
	op->forgets = s->forgets;
	waiters_add(s, op);
	if (likely(waiters_take_turns(op)))
		s->bits |= empty_bit(op);
	young_note(r, s, op->fd);
	return POLLER_IN_FLIGHT;
}

/* ---- trying -----------------------------------------------------------------------------------*/
/* The bytes of a stream that an operation is about; no buffer: there are several, or it is about
 * something else. */
struct span {
	void *buffer;
	size_t bytes;
};

static COLD struct span span_of_several(const struct poller_op *op)
{
	struct span span = {NULL, 0};

	if ((unsigned)op->iov_count > IOV_MAX)
		return span; /* the attempt refuses it */
	for (int i = 0; i < op->iov_count; i++)
		span.bytes += op->iov[i].iov_len;
	return span;
}

static inline struct span span_of(const struct poller_op *op)
{
	switch (op->kind) {
	case IO_RECV:
	case IO_SEND:
		return (struct span){op->buffer, op->bytes};
	case IO_READ:
	case IO_WRITE:
		if (likely(op->iov_count == 1))
			return (struct span){op->iov->iov_base, op->iov->iov_len};
		return span_of_several(op);
	default:
		return (struct span){NULL, SIZE_MAX};
	}
}

static bool poll_in_vain(const struct slot *s, const struct poller_op *op)
{
	return s->bits & SLOT_EMPTY_IN && !(s->bits & SLOT_CLOSED) &&
	       !(op->events & ~(POLLIN | POLLOUT)) &&
	       (!(op->events & POLLOUT) || s->bits & SLOT_EMPTY_OUT);
}

/* Whether an attempt is known to end with EAGAIN. Nothing asked for is had at once, or never. */
static bool in_vain(const struct slot *s, const struct poller_op *op, struct span span)
{
	if (unlikely(op->kind >= IO_CONNECT))
		return op->kind == IO_POLL && poll_in_vain(s, op);
	return s->bits & empty_bit(op) && !op->again && waiters_take_turns(op) &&
	       !(op->flags & MSG_DONTWAIT) && span.bytes != 0;
}

/* Invariant 3. */
static bool has_emptied(const struct slot *s, const struct poller_op *op, struct span span)
{
	return (op->kind == IO_RECV || op->kind == IO_READ) && op->result > 0 &&
	       s->nature & NATURE_TCP && !(s->bits & (SLOT_CLOSED | SLOT_URGENT)) &&
	       watch_home(s) && waiters_take_turns(op) && !(op->flags & MSG_PEEK) &&
	       (size_t)op->result < span.bytes;
}

/* Invariant 2. */
static void hand_on(struct slot *s, const struct poller_op *op, struct list *back)
{
	if (waiters_take_turns(op) && !(s->bits & empty_bit(op)))
		waiters_retry(s, waiters_direction(op), back);
}

/* During the attempt the number was given up, or out, or was found to mean another file. What was
 * done was done. In the first cases nobody begins to wait on what he did not mean; in the last, the
 * number may have been the other file's when it was passed. */
static int conclude_outdated(const struct slot *s, struct poller_op *op, const struct slot_use *use,
			     enum tried tried)
{
	if (tried == TRIED_DONE)
		return POLLER_DONE;
	if (s->forgets == use->forgets)
		return TRY_AGAIN;
	op->result = -EBADF;
	return POLLER_DONE;
}

static int conclude(struct ready *r, struct slot *s, struct poller_op *op,
		    const struct slot_use *use, struct span span, enum tried tried,
		    struct list *back)
{
	switch (tried) {
	case TRIED_DONE:
		if (has_emptied(s, op, span) && s->edges == use->edges)
			s->bits |= SLOT_EMPTY_IN;
		else
			hand_on(s, op, back);
		return POLLER_DONE;
	case TRIED_BLOCKS:
		hand_on(s, op, back);
		return POLLER_WOULD_BLOCK;
	case TRIED_STRANGE:
		s->nature = 0;
		return TRY_AGAIN;
	case TRIED_NO_EDGE:
	case TRIED_EMPTY:
		if (unlikely(op->flags & MSG_DONTWAIT)) {
			op->result = -EAGAIN;
			return POLLER_DONE;
		}
		if (unlikely(s->edges != use->edges))
			return TRY_AGAIN;
		if (tried == TRIED_NO_EDGE)
			s->bits |= SLOT_NO_EDGE;
		return park(r, s, op);
	}
	unreachable();
}

/* Guard held, and again at the end. */
static inline int try(struct ready *r, struct slot *s, struct poller_op *op, struct span span,
		      struct list *back)
{
	struct slot_use use = slot_use(s);
	unsigned nature = s->nature;
	enum tried tried;

	if (unlikely(op->kind == IO_CONNECT && !op->again))
		s->bits &= ~SLOT_CLOSED; /* a TCP socket that is not connected polls as hung up */
	spin_unlock(&s->guard);
	if (unlikely(!nature))
		tried = attempt_unknown(op, &nature, &r->calls);
	else if (unlikely(!(nature & NATURE_SOCKET && span.buffer && span.bytes)))
		tried = attempt_op(op, nature, &r->calls);
	else if (waiters_direction(op) == SLOT_IN)
		tried = attempt_receive(op, span.buffer, span.bytes, nature, &r->calls);
	else
		tried = attempt_transmit(op, span.buffer, span.bytes, nature, &r->calls);
	spin_lock(&s->guard);
	slot_unuse(s, &use);
	if (unlikely(s->generation != use.generation))
		return conclude_outdated(s, op, &use, tried);
	if (unlikely(!s->nature) && !(nature & NATURE_FILE))
		s->nature = (uint16_t)nature;
	return conclude(r, s, op, &use, span, tried, back);
}

int ready_submit(struct ready *r, struct poller_op *op, struct list *back)
{
	struct slot *s = slot_get(op->fd);
	struct span span;
	int verdict;

	if (unlikely(!s)) {
		op->result = attempt_refuse(op->fd);
		return POLLER_DONE;
	}
	span = span_of(op);
	spin_lock(&s->guard);
	/* Woken, and before it ran the number was given up, or out: what is there now was never
	 * meant, and whoever waited beside it has been told. */
	if (unlikely(op->again) && unlikely(op->forgets != s->forgets)) {
		spin_unlock(&s->guard);
		op->result = -EBADF;
		return POLLER_DONE;
	}
	do
		verdict = in_vain(s, op, span) ? park(r, s, op) : try(r, s, op, span, back);
	while (unlikely(verdict == TRY_AGAIN));
	spin_unlock(&s->guard);
	return verdict;
}

bool ready_cancel(struct poller_op *op)
{
	struct slot *s = op->slot;
	bool waiting;

	spin_lock(&s->guard);
	waiting = waiters_remove(s, op);
	spin_unlock(&s->guard);
	if (waiting)
		op->result = -ECANCELED;
	return waiting;
}

static unsigned wake(struct slot *s, enum slot_direction d, bool all, struct list *back)
{
	s->bits &= ~(1 << d);
	return unlikely(all) ? waiters_retry_all(s, d, back) : waiters_retry(s, d, back);
}

unsigned ready_event(struct ready *r, int fd, uint32_t generation, unsigned events,
		     struct list *back)
{
	struct slot *s = slot_find(fd);
	bool closed = events & CLOSED;
	unsigned n = 0;

	must(s); /* chunks are never freed; a forked child waits on no old poller */
	spin_lock(&s->guard);
	if (unlikely(s->generation != generation || watch_home(s) != r)) {
		spin_unlock(&s->guard);
		return 0;
	}
	s->edges++;
	if (unlikely(events & (CLOSED | POLLPRI)))
		s->bits |= (closed ? SLOT_CLOSED : 0) | (events & POLLPRI ? SLOT_URGENT : 0);
	if (events & (POLLIN | POLLPRI | CLOSED))
		n += wake(s, SLOT_IN, closed, back);
	if (events & (POLLHUP | POLLERR))
		n += wake(s, SLOT_OUT, true, back);
	else if (events & POLLOUT && !(s->bits & SLOT_NO_EDGE))
		n += wake(s, SLOT_OUT, false, back);
	if (unlikely(s->bits & SLOT_BESIDE))
		n += waiters_beside(s, events, back);
	spin_unlock(&s->guard);
	return n;
}

/* ---- the life of a poller ---------------------------------------------------------------------*/
void ready_open(struct ready *r, const struct ready_kernel *kernel, int64_t now)
{
	*r = (struct ready){.kernel = kernel};
	list_init(&r->young);
	young_tick(r, now);
}

void ready_close(struct ready *r)
{
	young_end(r);
	watch_close(r);
}
