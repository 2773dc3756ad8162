/* blocking.c - operations for which the kernel has no form that does not block: regular files;
 * terminals, accept and connect on a blocking descriptor that was inherited, whose flags are not
 * ours to change.
 *
 * The call runs on a helper thread, while the worker goes on with others. Where readiness exists
 * it is waited for in the poller first: that takes no helper, and deadline, cancellation and close
 * end it at once. "Ready" is no promise, though: another process may be faster, and then the
 * helper sits in the call. An interruption or a close recalls it (sched/kick_posix.c), and the call
 * ends without effect.
 *
 * A regular file is always ready, and a call on it always ends: it is simply waited for. */
#include "io/blocked.h"
#include "io/file_call.h"
#include "io/quiet.h"

#define PAUSE_NS FIBER_MILLISECOND

struct call {
	struct helpers_job job;
	struct poller_op *op;
	bool waits;                    /* for readiness, which may be gone again */
	ssize_t result;
};

static ssize_t attempt(const struct poller_op *op)
{
	ssize_t r;

	switch (op->kind) {
	case IO_READ:
		r = readv(op->fd, op->iov, op->iov_count);
		break;
	case IO_WRITE:
		r = writev(op->fd, op->iov, op->iov_count);
		break;
	case IO_RECV:
		r = recv(op->fd, op->buffer, op->bytes, op->flags);
		break;
	case IO_SEND:
		r = send(op->fd, op->buffer, op->bytes, op->flags | MSG_NOSIGNAL);
		break;
	case IO_RECVMSG:
		r = recvmsg(op->fd, op->msg, op->flags);
		break;
	case IO_SENDMSG:
		r = sendmsg(op->fd, op->msg, op->flags | MSG_NOSIGNAL);
		break;
	case IO_ACCEPT:
		r = accept4(op->fd, op->address, op->address_bytes, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (r >= 0)
			poller_born((fiber_fd)r, BORN_UNKNOWN);
		break;
	case IO_CONNECT:
		r = connect(op->fd, op->peer, op->peer_bytes);
		break;
	default: /* IO_POLL never blocks */
		unreachable();
	}
	return r < 0 ? -errno : r;
}

/* Has somebody else taken what was ready? */
static bool too_late(const struct poller_op *op)
{
	struct pollfd set = { .fd = op->fd, .events = poller_events(op) };

	return poll(&set, 1, 0) == 0;
}

/* POLLER_RETRY: somebody was faster, wait again. */
static ssize_t attempt_if_ready(const struct call *c)
{
	ssize_t r;

	if (!c->waits)
		return attempt(c->op);
	r = too_late(c->op) ? -EAGAIN : attempt(c->op);
	return r == -EAGAIN ? POLLER_RETRY : r;
}

static size_t bytes_to_write(const struct poller_op *op)
{
	size_t sum = 0;

	for (int i = 0; op->kind == IO_WRITE && i < op->iov_count; i++)
		sum += op->iov[i].iov_len;
	return sum;
}

static int run(void *argument)
{
	struct call *c = argument;

	do {
		if (atomic_load_explicit(&c->job.stop, memory_order_relaxed))
			return -EINTR;
		c->result = attempt_if_ready(c);
	} while (c->result == -EINTR || c->result == -ECONNABORTED);
	quiet_helper(c->result, bytes_to_write(c->op));
	return 0;
}

/* -EINTR comes from a recall by a close only: an interruption reads -ECANCELED. */
static ssize_t on_helper(struct call *c)
{
	int r;

	c->job.run = run;
	c->job.argument = c;
	r = helpers_call(&c->job);
	return r == 0 ? c->result : r == -EINTR ? -EBADF : r;
}

/* ---- always ready, and never for long ---------------------------------------------------------*/
static ssize_t regular(struct poller_op *op, enum wait_what what)
{
	struct file_call c = { .kind = op->kind == IO_READ ? FILE_READV : FILE_WRITEV, .fd = op->fd,
			       .iov = op->iov, .iov_count = op->iov_count, .job.what = what };
	ssize_t r = io_check_time();

	must(op->kind == IO_READ || op->kind == IO_WRITE);
	return r < 0 ? r : file_call(&c);
}

/* ---- ready now and then -----------------------------------------------------------------------*/
static int wait_ready(const struct poller_op *op, enum wait_what what)
{
	struct poller_op ready = { .kind = IO_POLL, .fd = op->fd, .events = poller_events(op) };
	ssize_t r = wait_on_fiber() ? wait_op(&ready, what, OS_NEVER) : thread_op(&ready);

	return r < 0 ? (int)r : 0;
}

/* One at a time: the others would only fill helpers. */
static int take_turn(struct blocked *entry, struct helpers_job *job)
{
	int r;

	while ((r = blocked_begin_alone(entry, job)) == -EAGAIN) {
		r = fiber_sleep(PAUSE_NS);
		if (r < 0)
			break;
	}
	return r;
}

static ssize_t when_ready(struct poller_op *op, enum wait_what what, struct blocked *entry)
{
	struct call c = { .op = op, .waits = op->kind != IO_CONNECT, .job.what = what,
			  .job.flags = HELPERS_STOPPABLE };
	ssize_t r = c.waits ? wait_ready(op, what) : 0;

	if (r == 0)
		r = take_turn(entry, &c.job);
	if (r < 0)
		return r;
	r = on_helper(&c);
	blocked_end(entry);
	return r;
}

static ssize_t now_and_then(struct poller_op *op, enum wait_what what)
{
	struct blocked entry = { .fd = op->fd, .writes = poller_events(op) & POLLOUT };
	ssize_t r;

	blocked_enter(&entry);
	do
		r = blocked_closed(&entry) ? -EBADF : when_ready(op, what, &entry);
	while (r == POLLER_RETRY);
	blocked_leave(&entry);
	return r;
}

ssize_t blocking_op(struct poller_op *op, enum wait_what what)
{
	struct stat about;

	if (fstat(op->fd, &about) < 0)
		return -errno;
	if (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode) || S_ISBLK(about.st_mode))
		return regular(op, what);
	return now_and_then(op, what);
}
