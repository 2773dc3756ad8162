/* plain_linux.c - read and write where no socket call does, without blocking: see plain.h.
 *
 * Whether a plain read blocks is a flag of the open file, which other processes share: the flags of
 * a descriptor that was not born here are never changed. preadv2 and pwritev2 say it per call
 * (RWF_NOWAIT: pipes since Linux 6.3, most things without an inode of their own). Where the kernel
 * refuses that:
 *
 *	O_NONBLOCK is set    the plain call. The flag is asked for each time, because the number
 *	                     may mean another file by now, and one blocked worker stops its fibers.
 *	poll(2) says no      it would have to wait; the poller does, and that can be cancelled.
 *	poll(2) says yes     the call goes to a helper thread: between "ready" and the call another
 *	                     process that reads the same tty may be faster.
 *
 * SIGPIPE comes to whoever writes to a pipe without readers. Neither its disposition nor a thread's
 * mask may show that we are here, so it is asked off per call (RWF_NOSIGNAL), or else held back for
 * the length of the call and taken out of the queue. */
#include "poller/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/atomic.h"

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100 /* Linux 6.18 */
#endif

enum { CAN = 1, CANNOT = 2 };

_Atomic int plain_nosignal;

/* By a byte into a pipe that has a reader: with nothing to write the flags are not looked at, and
 * where a file system has no write_iter every flag is refused. */
static COLD int probe_nosignal(_Atomic uint64_t *calls)
{
	struct iovec one = {.iov_base = "", .iov_len = 1};
	int ends[2], can = CANNOT;

	count_up(calls);
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return CANNOT; /* not remembered: descriptors may be there again */
	if (pwritev2(ends[1], &one, 1, -1, RWF_NOSIGNAL) == 1)
		can = CAN;
	close(ends[0]);
	close(ends[1]);
	atomic_store_explicit(&plain_nosignal, can, memory_order_relaxed);
	return can;
}

static bool can_nosignal(_Atomic uint64_t *calls)
{
	int can = atomic_load_explicit(&plain_nosignal, memory_order_relaxed);

	return (likely(can) ? can : probe_nosignal(calls)) == CAN;
}

/* `flags` 0 is writev(2). -errno. */
static ssize_t call_write(int fd, const struct iovec *iov, int n, int flags)
{
	ssize_t r = flags ? pwritev2(fd, iov, n, -1, flags) : writev(fd, iov, n);

	return r < 0 ? -errno : r;
}

/* A SIGPIPE that was pending before is somebody else's (and then held back already): it stays. */
static ssize_t write_hushed(int fd, const struct iovec *iov, int n, int flags)
{
	sigset_t sigpipe, before, pending;
	struct timespec none = {0, 0};
	ssize_t r;

	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	if (sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE))
		return call_write(fd, iov, n, flags);
	pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
	r = call_write(fd, iov, n, flags);
	if (r == -EPIPE)
		while (sigtimedwait(&sigpipe, NULL, &none) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

static ssize_t write_quietly(int fd, const struct iovec *iov, int n, int flags, unsigned nature,
			     _Atomic uint64_t *calls)
{
	ssize_t r;

	count_up(calls);
	if (!(nature & NATURE_PIPE))
		return call_write(fd, iov, n, flags);
	if (can_nosignal(calls)) {
		r = call_write(fd, iov, n, flags | RWF_NOSIGNAL);
		if (r != -EOPNOTSUPP || flags)
			return r;
	}
	return write_hushed(fd, iov, n, flags);
}

static ssize_t read_now(int fd, const struct iovec *iov, int n, int flags, _Atomic uint64_t *calls)
{
	ssize_t r;

	count_up(calls);
	r = flags ? preadv2(fd, iov, n, -1, flags) : readv(fd, iov, n);
	return r < 0 ? -errno : r;
}

static enum tried tell(struct poller_op *op, ssize_t r)
{
	if (r == -EAGAIN)
		return TRIED_EMPTY;
	op->result = r;
	return TRIED_DONE;
}

/* RWF_NOWAIT was refused. True: O_NONBLOCK is set, call; else *tried is the answer. */
static bool may_call(struct poller_op *op, short events, enum tried *tried, _Atomic uint64_t *calls)
{
	int flags, r;

	count_up(calls);
	flags = fcntl(op->fd, F_GETFL);
	if (flags < 0 || flags & O_NONBLOCK)
		return true; /* a bad descriptor says so itself */
	r = attempt_poll(op->fd, events, calls);
	*tried = r == 0 ? TRIED_EMPTY : TRIED_BLOCKS;
	return false;
}

enum tried plain_read(struct poller_op *op, unsigned nature, _Atomic uint64_t *calls)
{
	int flags = nature & NATURE_MEMORY ? 0 : RWF_NOWAIT;
	enum tried tried;
	ssize_t r;

	do
		r = read_now(op->fd, op->iov, op->iov_count, flags, calls);
	while (r == -EINTR);
	if (r != -EOPNOTSUPP || !flags)
		return tell(op, r);
	if (!may_call(op, POLLIN, &tried, calls))
		return tried;
	do
		r = read_now(op->fd, op->iov, op->iov_count, 0, calls);
	while (r == -EINTR);
	return tell(op, r);
}

enum tried plain_write(struct poller_op *op, unsigned nature, _Atomic uint64_t *calls)
{
	int flags = nature & NATURE_MEMORY ? 0 : RWF_NOWAIT;
	enum tried tried;
	ssize_t r;

	do
		r = write_quietly(op->fd, op->iov, op->iov_count, flags, nature, calls);
	while (r == -EINTR);
	if (r != -EOPNOTSUPP || !flags)
		return tell(op, r);
	if (!may_call(op, POLLOUT, &tried, calls))
		return tried;
	do
		r = write_quietly(op->fd, op->iov, op->iov_count, 0, nature, calls);
	while (r == -EINTR);
	return tell(op, r);
}
