/* stream.c - read and write, and what all operations go through.
 *
 * The hot path: a handful of checks, an operation on the stack, wait_op. A read of zero bytes
 * never waits, whatever the descriptor is; recv(2), which is what a socket is read with, would
 * wait for data that it then does not take. */
#include "io/io.h"
#include "io/system.h"

ssize_t io_op(struct poller_op *op, enum wait_what what)
{
	ssize_t r = wait_check();

	if (unlikely(r < 0))
		return r;
	r = likely(wait_on_fiber()) ? wait_op(op, what, OS_NEVER) : thread_op(op);
	return unlikely(r == -EINPROGRESS) ? blocking_op(op, what) : r;
}

ssize_t io_check_vector(fiber_fd fd, const struct iovec *iov, size_t count)
{
	size_t sum = 0;

	if (count > IOV_MAX)
		return -EINVAL;
	if (!iov && count > 0)
		return -EFAULT;
	for (size_t i = 0; i < count; i++) {
		int r = io_check(fd, iov[i].iov_base, iov[i].iov_len);

		if (r < 0)
			return r;
		sum += iov[i].iov_len; /* each is at most SSIZE_MAX: no wrap before this look */
		if (sum > SSIZE_MAX)
			return -EINVAL;
	}
	return fd < 0 ? -EBADF : (ssize_t)sum;
}

/* Is it a descriptor, and open for reading? */
static ssize_t read_nothing(fiber_fd fd)
{
	int r = wait_check();

	if (r < 0)
		return r;
	wait_done();
	return io_touch(fd);
}

PUBLIC ssize_t fiber_read(fiber_fd fd, void *buffer, size_t bytes)
{
	struct iovec iov = { buffer, bytes };
	struct poller_op op;
	int r = io_check(fd, buffer, bytes);

	if (unlikely(r < 0))
		return r;
	if (unlikely(bytes == 0))
		return read_nothing(fd);
	io_op_init(&op, IO_READ, fd, 0);
	op.iov = &iov;
	op.iov_count = 1;
	return io_op(&op, WAIT_READ);
}

PUBLIC ssize_t fiber_write(fiber_fd fd, const void *buffer, size_t bytes)
{
	struct iovec iov = { (void *)buffer, bytes };
	struct poller_op op;
	int r = io_check(fd, buffer, bytes);

	if (unlikely(r < 0))
		return r;
	io_op_init(&op, IO_WRITE, fd, 0);
	op.iov = &iov;
	op.iov_count = 1;
	return io_op(&op, WAIT_WRITE);
}

PUBLIC ssize_t fiber_readv(fiber_fd fd, const struct iovec *iov, int count)
{
	struct poller_op op = { .kind = IO_READ, .fd = fd, .iov = iov, .iov_count = count };
	ssize_t sum = count < 0 ? -EINVAL : io_check_vector(fd, iov, (size_t)count);

	if (sum < 0)
		return sum;
	return sum == 0 ? read_nothing(fd) : io_op(&op, WAIT_READ);
}

PUBLIC ssize_t fiber_writev(fiber_fd fd, const struct iovec *iov, int count)
{
	struct poller_op op = { .kind = IO_WRITE, .fd = fd, .iov = iov, .iov_count = count };
	ssize_t sum = count < 0 ? -EINVAL : io_check_vector(fd, iov, (size_t)count);

	return sum < 0 ? sum : io_op(&op, WAIT_WRITE);
}
