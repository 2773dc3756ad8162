/* poll.c - readiness of many descriptors, and of one.
 *
 * poll(2) itself says what is ready, before and after waiting, so the meaning of every event is
 * its own. The wait in between is one IO_POLL operation for each descriptor in one wait: whichever
 * comes first ends it, and each is taken back before the call returns, so a case that lost leaves
 * nothing. */
#include <stdlib.h>

#include "io/io.h"
#include "io/system.h"

enum {
	FEW = 8,     /* operations kept on the stack */
	MANY = 1024, /* few enough for any limit */
};
#define PAUSE_NS FIBER_MILLISECOND

/* The poller knows three events; the others of poll(2) come with one of them, or by themselves. */
static short poller_event(short events)
{
	short known = events & (POLLIN | POLLOUT | POLLPRI);

	if (events & (POLLRDNORM | POLLRDBAND | POLLRDHUP))
		known |= POLLIN;
	if (events & (POLLWRNORM | POLLWRBAND))
		known |= POLLOUT;
	return known;
}

struct watch {
	const struct pollfd *set;
	nfds_t count;
	nfds_t submitted;
	struct poller_op *ops;
};

/* 0: all wait; 1: one is ready at once; -errno. */
static int submit(struct watch *w, struct fiber *self, uint64_t ticket)
{
	for (w->submitted = 0; w->submitted < w->count; w->submitted++) {
		const struct pollfd *p = &w->set[w->submitted];
		struct poller_op *op = &w->ops[w->submitted];

		*op = (struct poller_op){ .kind = IO_POLL, .fd = (fiber_fd)p->fd, .owner = self,
					  .ticket = ticket, .events = poller_event(p->events) };
		if (op->fd < 0 || wait_submit(op) == POLLER_IN_FLIGHT)
			continue;
		w->submitted++;
		return op->result < 0 && op->result != -EBADF ? (int)op->result : 1;
	}
	return 0;
}

/* Waits until something may be ready: 0; -ECANCELED; -ETIMEDOUT: `until`. */
static int wait_for_any(struct watch *w, int64_t until)
{
	struct fiber *self = wait_self();
	uint64_t ticket;
	int ready, r;

	if (!self)
		return wait_why();
	ticket = wait_begin(self, WAIT_POLL, NULL, WAIT_INTERRUPTIBLE);
	ready = submit(w, self, ticket);
	r = ready != 0 && wait_withdraw(self, 0) ? 0 : wait_park(self, until);
	for (nfds_t i = 0; i < w->submitted; i++)
		if (w->ops[i].fd >= 0)
			wait_retrieve(&w->ops[i]);
	return ready < 0 ? ready : ready > 0 || r >= 0 ? 0 : r;
}

/* A descriptor that was closed while we waited may be another file by now. */
static int mark_closed(const struct watch *w, struct pollfd *set, int ready)
{
	for (nfds_t i = 0; i < w->submitted; i++) {
		if (w->ops[i].fd < 0 || w->ops[i].result != -EBADF)
			continue;
		ready += set[i].revents == 0;
		set[i].revents = POLLNVAL;
	}
	return ready;
}

/* Events of poll(2) that the poller does not know may be announced too early: then not so often. */
static int hold_back(unsigned turn)
{
	return turn > 1 ? fiber_sleep(PAUSE_NS) : 0;
}

static int wait_in_turns(struct watch *w, struct pollfd *set, int64_t until)
{
	for (unsigned turn = 0;; turn++) {
		int r = hold_back(turn), ready;

		if (r == 0)
			r = wait_for_any(w, until);
		if (r < 0 && r != -ETIMEDOUT)
			return r;
		ready = poller_look(set, w->count);
		if (ready >= 0)
			ready = mark_closed(w, set, ready);
		if (ready != 0 || r == -ETIMEDOUT)
			return ready;
	}
}

/* A roaming fiber stays: only the worker that has submitted can take back. */
static int fiber_waits(struct pollfd *set, nfds_t count, int64_t until)
{
	struct poller_op few[FEW];
	struct watch w = { .set = set, .count = count, .ops = few };
	bool pinned;
	int r;

	if (count > FEW) {
		w.ops = malloc(count * sizeof *w.ops);
		if (!w.ops)
			return -ENOMEM;
	}
	pinned = fiber_pin();
	r = wait_in_turns(&w, set, until);
	fiber_unpin(pinned);
	if (count > FEW)
		free(w.ops);
	return r;
}

PUBLIC int fiber_poll(struct pollfd *set, nfds_t count, int timeout_ms)
{
	int64_t until = OS_NEVER;
	int r;

	if (!set && count > 0)
		return -EFAULT;
	if (count > MANY && count > io_poll_most())
		return -EINVAL;
	overflow_check(set, count);
	r = wait_check();
	if (r < 0)
		return r;
	if (timeout_ms > 0)
		until = fiber_after(timeout_ms * FIBER_MILLISECOND);
	r = poller_look(set, count);
	if (r != 0 || timeout_ms == 0) {
		wait_done();
		return r;
	}
	return wait_on_fiber() ? fiber_waits(set, count, until) : thread_poll(set, count, until);
}

PUBLIC int fiber_wait_fd(fiber_fd fd, short events)
{
	struct poller_op op = { .kind = IO_POLL, .fd = fd, .events = events };

	if (fd < 0)
		return -EBADF;
	if (events == 0 || (events & ~(POLLIN | POLLOUT | POLLPRI)))
		return -EINVAL;
	return (int)io_op(&op, WAIT_POLL);
}
