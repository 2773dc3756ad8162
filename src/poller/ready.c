/* ready.c - "try, arm, try again".
 *
 * Each direction of a slot (slot.h) is in one of these states:
 *
 *	unknown   or latched, which comes to the same: not known to be empty. Whoever comes tries.
 *	empty     an attempt saw EAGAIN (or a short read, below), and no event has come since. Who comes
 *	          waits without a system call; this is what makes an echo two system calls. Only a
 *	          slot that some poller watches can be empty.
 *
 * and has a list of waiters. The invariants:
 *
 *  1. What makes an empty direction ready brings an edge, and the edge finds the waiters: an attempt
 *     notes slot.edges before the system call; if it has moved afterwards, EAGAIN proves nothing, and the
 *     attempt is made again. A descriptor is watched after its first EAGAIN, and the kernel reports
 *     at once what became ready in between.
 *  2. An edge wakes one waiter (all of them once the descriptor is closed, hung up or failed; and
 *     every IO_POLL that matches). It is given back as POLLER_RETRY, and the direction is latched. Many
 *     connections or datagrams may stand behind the edge, so whoever succeeds in a direction that is
 *     still not empty hands on to the next waiter. EAGAIN ends the chain.
 *     So if a direction is not empty and has waiters, one of them is on its way, or an edge is.
 *  3. The short-read rule: a read that got less than it asked for has emptied the buffer, so the next
 *     reader need not try. This holds on TCP only, without urgent data, and unless the descriptor is
 *     closed: a FIN in the same edge as the data, the boundaries around descriptors passed over
 *     Unix sockets, datagrams, lines of a tty, and the urgent mark end a read early, and nothing
 *     would ever come to say that there is more. There, a reader tries until EAGAIN.
 *     A short write is not taken for a full buffer: a page of the source that cannot be read ends
 *     one as well, and the next attempt must say EFAULT instead of waiting.
 *  4. A number in a system call has its use counted; forget() starts a new generation and then waits
 *     for the uses of the old one. Events carry the generation.
 *
 * The slot's guard guards all of this. Nothing that may block is called under it: epoll_ctl does not. */
#include "poller/ready.h"

#include <errno.h>
#include <fcntl.h>

#include "poller/attempt.h"

enum {
	OP_BACK,
	OP_WAITING, /* in a list of its slot */
};

enum {
	VISITS = 4, /* waits in a row from another poller, after which the slot moves there */
	TRY_AGAIN = -1,
	/* Not about what the next reader would find. */
	ASIDE = MSG_OOB | MSG_ERRQUEUE,
	CLOSED = POLLRDHUP | POLLHUP | POLLERR,
};

_Static_assert((IO_WRITE & IO_SENDMSG & IO_SEND & IO_CONNECT & 1) == SLOT_OUT &&
		       ((IO_READ | IO_RECVMSG | IO_RECV | IO_ACCEPT) & 1) == SLOT_IN,
	       "the lowest bit of a kind is its direction");

static enum slot_direction direction(const struct poller_op *op)
{
	return op->kind & 1;
}

static struct ready *home_of(const struct slot *s)
{
	return atomic_load_explicit(&s->home, memory_order_relaxed);
}

static void set_home(struct slot *s, struct ready *r)
{
	atomic_store_explicit(&s->home, r, memory_order_relaxed);
}

/* ---- giving back -------------------------------------------------------------------------------*/
static void give(struct poller_op *op, ssize_t result, struct list *back)
{
	op->state = OP_BACK;
	op->result = result;
	if (result == POLLER_RETRY)
		op->again = true;
	list_append(back, &op->link);
}

static bool give_one(struct slot *s, enum slot_direction d, ssize_t result, struct list *back)
{
	struct list *node = list_pop(&s->waiters[d]);

	if (node)
		give(container_of(node, struct poller_op, link), result, back);
	return node != NULL;
}

static unsigned wake(struct slot *s, enum slot_direction d, bool all, struct list *back)
{
	unsigned n = 0;

	s->bits &= ~(1 << d);
	while (give_one(s, d, POLLER_RETRY, back)) {
		n++;
		if (!all)
			break;
	}
	return n;
}

static unsigned wake_polls(struct slot *s, unsigned events, struct list *back)
{
	struct list *node = s->polls.next, *next;
	unsigned n = 0;

	events |= (events & POLLIN ? POLLRDNORM : 0) | (events & POLLOUT ? POLLWRNORM : 0);
	for (; node != &s->polls; node = next) {
		struct poller_op *op = container_of(node, struct poller_op, link);
		unsigned ready = events & ((unsigned short)op->events | POLLERR | POLLHUP);

		next = node->next;
		if (!ready)
			continue;
		list_remove(node);
		give(op, ready, back);
		n++;
	}
	if (list_empty(&s->polls))
		s->bits &= ~SLOT_POLLED;
	return n;
}

/* A file that cannot be waited for took the number's place: poll(2) calls those ready. */
static ssize_t poll_result(const struct poller_op *op, int result)
{
	_Atomic uint64_t calls = 0;
	int r = result == POLLER_RETRY ? attempt_poll(op->fd, op->events, &calls) : result;

	return r ? r : -EPERM;
}

unsigned ready_give_all(struct slot *s, int result, struct list *back)
{
	struct list *node;
	unsigned n = 0;

	for (enum slot_direction d = SLOT_IN; d <= SLOT_OUT; d++)
		while (give_one(s, d, result, back))
			n++;
	while (s->bits & SLOT_POLLED && (node = list_pop(&s->polls))) {
		struct poller_op *op = container_of(node, struct poller_op, link);

		give(op, poll_result(op, result), back);
		n++;
	}
	s->bits &= ~(SLOT_POLLED | SLOT_EMPTY_IN | SLOT_EMPTY_OUT);
	return n;
}

unsigned ready_retry_writers(struct slot *s, struct list *back)
{
	return wake(s, SLOT_OUT, true, back);
}

/* ---- being watched -----------------------------------------------------------------------------*/
void ready_abandon(struct slot *s)
{
	struct ready *home = home_of(s);

	if (home)
		atomic_fetch_sub_explicit(&home->watched, 1, memory_order_relaxed);
	set_home(s, NULL);
	s->visits = 0;
	s->bits &= ~(SLOT_EMPTY_IN | SLOT_EMPTY_OUT);
}

int ready_adopt(struct ready *r, struct slot *s, int fd)
{
	struct ready *was = home_of(s);
	int e = r->kernel->add(r, fd, s->generation);

	if (e < 0)
		return e;
	if (was) {
		was->kernel->remove(was, fd);
		atomic_fetch_sub_explicit(&was->watched, 1, memory_order_relaxed);
	}
	atomic_fetch_add_explicit(&r->watched, 1, memory_order_relaxed);
	set_home(s, r);
	s->visits = 0;
	return 0;
}

/* A slot lives with the poller of those who wait. The acceptor that did a connection's handshake
 * would otherwise own it for ever, and each of its events would cross threads. Moving loses nothing:
 * the new home reports what is ready, and late events of the old one are ignored. */
static int arm(struct ready *r, struct slot *s, int fd)
{
	struct ready *home = home_of(s);

	if (likely(home == r)) {
		s->visits = 0;
		return 0;
	}
	if (home && ++s->visits < VISITS)
		return 0;
	if (!home)
		return ready_adopt(r, s, fd);
	ready_adopt(r, s, fd); /* or it stays where it is */
	return 0;
}

static int park(struct ready *r, struct slot *s, struct poller_op *op)
{
	int e = arm(r, s, op->fd);

	if (unlikely(e < 0)) {
		op->result = e;
		return e == -EPERM && op->kind != IO_POLL ? POLLER_WOULD_BLOCK : POLLER_DONE;
	}
	op->slot = s;
	op->poller = r;
	op->state = OP_WAITING;
	if (unlikely(op->kind == IO_POLL)) {
		list_append(&s->polls, &op->link);
		s->bits |= SLOT_POLLED;
	} else {
		struct list *waiters = &s->waiters[direction(op)];

		/* Who was woken in vain is still the one who waits longest. */
		if (unlikely(op->again && !list_empty(waiters)))
			list_prepend(waiters, &op->link);
		else
			list_append(waiters, &op->link);
		if (likely(!(op->flags & ASIDE)))
			s->bits |= 1 << direction(op);
	}
	ready_note_young(r, s, op->fd);
	return POLLER_IN_FLIGHT;
}

/* ---- trying ------------------------------------------------------------------------------------*/
static size_t asked(const struct poller_op *op)
{
	size_t bytes = 0;

	if (op->kind == IO_RECV || op->kind == IO_SEND)
		return op->bytes;
	if (op->kind != IO_READ && op->kind != IO_WRITE)
		return SIZE_MAX;
	for (int i = 0; i < op->iov_count; i++)
		bytes += op->iov[i].iov_len;
	return bytes;
}

static bool poll_in_vain(const struct slot *s, const struct poller_op *op)
{
	return s->bits & SLOT_EMPTY_IN && !(s->bits & SLOT_CLOSED) &&
	       !(op->events & ~(POLLIN | POLLOUT)) &&
	       (!(op->events & POLLOUT) || s->bits & SLOT_EMPTY_OUT);
}

/* Whether an attempt is known to end with EAGAIN. Nothing asked for is had at once, or never. */
static bool in_vain(const struct slot *s, const struct poller_op *op)
{
	if (unlikely(op->kind >= IO_CONNECT))
		return op->kind == IO_POLL && poll_in_vain(s, op);
	return s->bits & 1 << direction(op) && !op->again &&
	       !(op->flags & (ASIDE | MSG_DONTWAIT)) && asked(op) != 0;
}

/* Invariant 3. */
static bool has_emptied(const struct slot *s, const struct poller_op *op)
{
	return (op->kind == IO_RECV || op->kind == IO_READ) && op->result > 0 &&
	       s->nature & NATURE_TCP && !(s->bits & (SLOT_CLOSED | SLOT_URGENT)) && home_of(s) &&
	       !(op->flags & (ASIDE | MSG_PEEK)) && (size_t)op->result < asked(op);
}

/* Invariant 2. */
static void hand_on(struct slot *s, const struct poller_op *op, struct list *back)
{
	if (op->kind == IO_POLL || s->bits & 1 << direction(op) ||
	    list_empty(&s->waiters[direction(op)]))
		return;
	give_one(s, direction(op), POLLER_RETRY, back);
}

/* The number was forgotten, or has come to mean another file, during the attempt. What was done was
 * done; but nobody begins to wait on what he did not mean. */
static int conclude_outdated(const struct slot *s, struct poller_op *op,
			     const struct slot_use *use, enum tried tried)
{
	if (tried == TRIED_DONE)
		return POLLER_DONE;
	if (s->forgets == use->forgets)
		return TRY_AGAIN;
	op->result = -EBADF;
	return POLLER_DONE;
}

static int conclude(struct ready *r, struct slot *s, struct poller_op *op,
		    const struct slot_use *use, enum tried tried, struct list *back)
{
	switch (tried) {
	case TRIED_DONE:
		if (has_emptied(s, op) && s->edges == use->edges)
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

/* Looks at a descriptor that is not known yet. */
static enum tried first_attempt(struct ready *r, struct poller_op *op, unsigned *nature)
{
	int looked = nature_look(op->fd, &r->calls);

	if (looked < 0) {
		op->result = looked;
		return TRIED_DONE;
	}
	*nature = (unsigned)looked;
	return attempt(op, *nature, &r->calls);
}

/* Guard held, and again at the end. */
static int try(struct ready *r, struct slot *s, struct poller_op *op, struct list *back)
{
	struct slot_use use = slot_use(s);
	unsigned nature = s->nature;
	enum tried tried;

	if (unlikely(op->kind == IO_CONNECT && !op->again))
		s->bits &= ~SLOT_CLOSED; /* a TCP socket that is not connected polls as hung up */
	spin_unlock(&s->guard);
	if (likely(nature))
		tried = attempt(op, nature, &r->calls);
	else
		tried = first_attempt(r, op, &nature);
	spin_lock(&s->guard);
	slot_unuse(s, &use);
	if (unlikely(s->generation != use.generation))
		return conclude_outdated(s, op, &use, tried);
	if (unlikely(!s->nature) && !(nature & NATURE_FILE))
		s->nature = (uint16_t)nature;
	return conclude(r, s, op, &use, tried, back);
}

/* A number without a slot: too large for the table, or there is no memory for one. */
static COLD int refuse(struct poller_op *op)
{
	op->result = op->fd < 0 || fcntl(op->fd, F_GETFD) < 0 ? -EBADF : -ENOMEM;
	return POLLER_DONE;
}

int ready_submit(struct ready *r, struct poller_op *op, struct list *back)
{
	struct slot *s = slot_get(op->fd);
	int verdict;

	if (unlikely(!s))
		return refuse(op);
	spin_lock(&s->guard);
	do
		verdict = in_vain(s, op) ? park(r, s, op) : try(r, s, op, back);
	while (unlikely(verdict == TRY_AGAIN));
	spin_unlock(&s->guard);
	return verdict;
}

bool ready_cancel(struct ready *r, struct poller_op *op)
{
	struct slot *s = op->slot;
	bool waiting;

	spin_lock(&s->guard);
	waiting = op->state == OP_WAITING;
	if (waiting) {
		must(op->poller == r);
		list_remove(&op->link);
		op->state = OP_BACK;
		op->result = -ECANCELED;
		if (op->kind == IO_POLL && list_empty(&s->polls))
			s->bits &= ~SLOT_POLLED;
	}
	spin_unlock(&s->guard);
	return waiting;
}

unsigned ready_event(struct ready *r, int fd, uint32_t generation, unsigned events,
		     struct list *back)
{
	struct slot *s = slot_find(fd);
	bool closed = events & CLOSED;
	unsigned n = 0;

	must(s); /* chunks are never freed; a forked child waits on no old poller */
	spin_lock(&s->guard);
	if (unlikely(s->generation != generation || home_of(s) != r)) {
		spin_unlock(&s->guard);
		return 0;
	}
	s->edges++;
	if (unlikely(events & (CLOSED | POLLPRI)))
		s->bits |= (closed ? SLOT_CLOSED : 0) | (events & POLLPRI ? SLOT_URGENT : 0);
	if (events & (POLLIN | POLLPRI | CLOSED))
		n += wake(s, SLOT_IN, closed, back);
	if (events & (POLLOUT | POLLHUP | POLLERR))
		n += wake(s, SLOT_OUT, events & (POLLHUP | POLLERR), back);
	if (unlikely(s->bits & SLOT_POLLED))
		n += wake_polls(s, events, back);
	spin_unlock(&s->guard);
	return n;
}

/* ---- the life of a number ----------------------------------------------------------------------*/
/* Operations whose number was given out anew while they waited on it. */
static struct {
	struct spin guard;
	struct list list;
	_Atomic uint32_t any;
} orphans;

static void leave_orphans(struct list *back)
{
	struct list *node;

	spin_lock(&orphans.guard);
	while ((node = list_pop(back)))
		list_append(&orphans.list, node);
	atomic_store_explicit(&orphans.any, 1, memory_order_relaxed);
	spin_unlock(&orphans.guard);
}

unsigned ready_orphans(struct list *back)
{
	struct list *node;
	unsigned n = 0;

	/* Relaxed: whoever left some wakes a poller after, which orders it. */
	if (likely(!atomic_load_explicit(&orphans.any, memory_order_relaxed)))
		return 0;
	spin_lock(&orphans.guard);
	atomic_store_explicit(&orphans.any, 0, memory_order_relaxed);
	while ((node = list_pop(&orphans.list))) {
		list_append(back, node);
		n++;
	}
	spin_unlock(&orphans.guard);
	return n;
}

void ready_forget(int fd, struct list *back)
{
	struct slot *s = slot_find(fd);
	struct ready *home;

	if (!s)
		return;
	spin_lock(&s->guard);
	home = home_of(s);
	if (home)
		home->kernel->remove(home, fd); /* a dup would keep it alive */
	ready_abandon(s);
	ready_give_all(s, -EBADF, back);
	s->forgets++;
	slot_renew(s);
	while (s->leaving) {
		spin_unlock(&s->guard);
		os_yield();
		spin_lock(&s->guard);
	}
	spin_unlock(&s->guard);
}

void ready_born(int fd, unsigned nature)
{
	struct slot *s = slot_get(fd);
	struct list stale = {0};
	struct ready *home;

	if (unlikely(!s))
		return;
	spin_lock(&s->guard);
	home = home_of(s);
	if (unlikely(home != NULL)) { /* closed behind our back, and the kernel has unwatched it */
		if (ready_give_all(s, -EBADF, &stale)) {
			leave_orphans(&stale);
			home->kernel->wake(home);
		}
		ready_abandon(s);
	}
	slot_renew(s);
	s->nature = (uint16_t)nature;
	spin_unlock(&s->guard);
}

void ready_forked(void)
{
	slot_forget_all();
	orphans.guard.word = 0;
	orphans.any = 0;
	list_init(&orphans.list);
}

/* ---- the life of a poller ----------------------------------------------------------------------*/
void ready_open(struct ready *r, const struct ready_kernel *kernel)
{
	*r = (struct ready){.kernel = kernel};
	list_init(&r->young);
}

static struct poller_op *some_waiter(struct list *list, const struct ready *r)
{
	struct poller_op *found = NULL;

	for (struct list *node = list->next; node && node != list; node = node->next) {
		found = container_of(node, struct poller_op, link);
		must(found->poller != r); /* else it would never come back */
	}
	return found;
}

/* Watched by a poller that closes: those who wait on it are of other pollers, and one of these
 * takes it over. */
static void leave_home(struct slot *s, void *context)
{
	struct ready *r = context;
	struct poller_op *in, *out, *poll, *op;
	struct list stale = {0};
	int e;

	if (!home_of(s))
		return;
	spin_lock(&s->guard);
	in = some_waiter(&s->waiters[SLOT_IN], r);
	out = some_waiter(&s->waiters[SLOT_OUT], r);
	poll = some_waiter(&s->polls, r);
	op = in ? in : out ? out : poll;
	if (home_of(s) == r) {
		ready_abandon(s);
		e = op ? ready_adopt(op->poller, s, op->fd) : 0;
		if (e < 0) {
			struct ready *other = op->poller;

			ready_give_all(s, e, &stale);
			leave_orphans(&stale);
			other->kernel->wake(other);
		}
	}
	spin_unlock(&s->guard);
}

void ready_close(struct ready *r)
{
	ready_age_end(r);
	slot_each(leave_home, r);
}
