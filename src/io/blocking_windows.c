/* blocking_windows.c - handles that were not opened for overlapped operations: consoles, what was
 * inherited as standard input or output, files of the C library. The call runs on a helper thread;
 * an interruption recalls it (sched/kick_windows.c). */
#include "io/io.h"
#include "os/errno_windows.h"
#include "sched/helpers.h"

struct call {
	struct helpers_job job;
	struct poller_op *op;
	ssize_t result;
};

static ssize_t attempt(const struct poller_op *op)
{
	bool out = op->kind == IO_WRITE;
	const struct iovec *iov = op->iov, *end;
	DWORD moved = 0, error, bytes;

	if (!out && op->kind != IO_READ)
		return -ENOTSOCK;
	for (end = iov + op->iov_count; iov + 1 < end && iov->iov_len == 0;)
		iov++;
	bytes = iov->iov_len < INT_MAX ? (DWORD)iov->iov_len : INT_MAX;
	if (out ? WriteFile((HANDLE)op->fd, iov->iov_base, bytes, &moved, NULL)
		: ReadFile((HANDLE)op->fd, iov->iov_base, bytes, &moved, NULL))
		return moved;
	error = GetLastError();
	if (!out && (error == ERROR_BROKEN_PIPE || error == ERROR_HANDLE_EOF))
		return 0;
	return os_error(error);
}

static int run(void *argument)
{
	struct call *c = argument;

	if (atomic_load_explicit(&c->job.stop, memory_order_relaxed))
		return -EINTR;
	c->result = attempt(c->op);
	return c->result == -ECANCELED ? -EINTR : 0;
}

ssize_t blocking_op(struct poller_op *op, enum wait_what what)
{
	struct call c = { .op = op, .job.what = what, .job.flags = HELPERS_STOPPABLE };
	int r;

	if (!wait_on_fiber())
		return attempt(op);
	c.job.run = run;
	c.job.argument = &c;
	r = helpers_call(&c.job);
	return r == 0 ? c.result : r == -EINTR ? -EBADF : r;
}
