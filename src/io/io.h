/* io.h - what the calls of fiber/io.h share. Private to src/io/.
 *
 * Every call is one operation (poller/poller.h) from start to end, or a loop of them: checked here,
 * then carried through by io_op, which knows fibers, plain threads and descriptors that block. */
#ifndef FB_IO_H
#define FB_IO_H

#include <errno.h>
#include <fiber/io.h>
#include <limits.h>

#include "base/must.h"
#include "os/os.h"
#include "poller/poller.h"
#include "sched/overflow.h"
#include "sched/wait.h"

/* The result of one operation: bytes, a descriptor, ready events; -ECANCELED; -errno. */
ssize_t io_op(struct poller_op *, enum wait_what);
/* What the poller reads of an operation on a stream, beside its buffers. The rest is its own: to
 * zero all of it costs as much as everything else that is done before the system call. */
static inline void io_op_init(struct poller_op *op, enum poller_kind kind, fiber_fd fd, int flags)
{
	op->kind = kind;
	op->fd = fd;
	op->flags = flags;
	op->again = false;
}

/* io_op on a plain thread (thread.c); -EINPROGRESS: this would block beyond any deadline. */
ssize_t thread_op(struct poller_op *);
/* poll(2) on a plain thread, until `until` or the ambient deadline. */
int thread_poll(struct pollfd *, nfds_t, int64_t until);
/* An operation that would block the thread (blocking.c): on a helper. */
ssize_t blocking_op(struct poller_op *, enum wait_what);

/* What no kernel should be asked to do; and a buffer on this stack that reaches over its end,
 * which is reported as the overflow it is. */
static inline int io_check(fiber_fd fd, const void *buffer, size_t bytes)
{
	if (unlikely(fd < 0))
		return -EBADF;
	if (unlikely(!buffer && bytes > 0))
		return -EFAULT;
	if (unlikely(bytes > SSIZE_MAX))
		return -EINVAL;
	overflow_check(buffer, bytes);
	return 0;
}

/* The same for several buffers. On success the sum of their sizes. */
ssize_t io_check_vector(fiber_fd, const struct iovec *, size_t count);

/* wait_check, with a look at the clock: on the way to a call that nothing interrupts. */
static inline int io_check_time(void)
{
	fiber_check();
	return wait_check();
}

#endif
