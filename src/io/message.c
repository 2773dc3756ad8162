/* message.c - recv and send with flags, addresses and control messages.
 *
 * Every one of them may park, except where the caller or the kernel says "now or never":
 * MSG_DONTWAIT, and receiving from the error queue or urgent data, for which recv(2) does not wait
 * either. Those try once. MSG_WAITALL is a loop here, because a socket that is asked not to wait
 * ignores it. */
#include "io/io.h"
#include "io/system.h"

enum { NOW_OR_NEVER = MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB };

static ssize_t try_once(struct poller_op *op)
{
	int r = wait_check();

	if (r < 0)
		return r;
	r = poller_try(op);
	wait_done();
	return r == POLLER_DONE ? op->result : -EAGAIN;
}

static ssize_t receive(struct poller_op *op)
{
	return unlikely(op->flags & NOW_OR_NEVER) ? try_once(op) : io_op(op, WAIT_READ);
}

static ssize_t transmit(struct poller_op *op)
{
	return unlikely(op->flags & MSG_DONTWAIT) ? try_once(op) : io_op(op, WAIT_WRITE);
}

/* What has arrived is returned even if the rest never does. */
static ssize_t receive_all(fiber_fd fd, char *buffer, size_t bytes, int flags)
{
	size_t done = 0;
	ssize_t n = 0;

	while (done < bytes) {
		struct poller_op op = { .kind = IO_RECV, .fd = fd, .flags = flags & ~MSG_WAITALL,
					.buffer = buffer + done, .bytes = bytes - done };

		n = receive(&op);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done > 0 ? (ssize_t)done : n;
}

PUBLIC ssize_t fiber_recv(fiber_fd fd, void *buffer, size_t bytes, int flags)
{
	struct poller_op op;
	int r = io_check(fd, buffer, bytes);

	if (unlikely(r < 0))
		return r;
	if (unlikely(flags & MSG_WAITALL) && !(flags & (MSG_PEEK | NOW_OR_NEVER)) && bytes > 0)
		return receive_all(fd, buffer, bytes, flags);
	io_op_init(&op, IO_RECV, fd, flags);
	op.buffer = buffer;
	op.bytes = bytes;
	return receive(&op);
}

PUBLIC ssize_t fiber_send(fiber_fd fd, const void *buffer, size_t bytes, int flags)
{
	struct poller_op op;
	int r = io_check(fd, buffer, bytes);

	if (unlikely(r < 0))
		return r;
	io_op_init(&op, IO_SEND, fd, flags);
	op.buffer = (void *)buffer;
	op.bytes = bytes;
	return transmit(&op);
}

PUBLIC ssize_t fiber_recvmsg(fiber_fd fd, struct msghdr *message, int flags)
{
	struct poller_op op = { .kind = IO_RECVMSG, .fd = fd, .msg = message,
				.flags = flags | MSG_CMSG_CLOEXEC };
	ssize_t r;

	if (!message)
		return fd < 0 ? -EBADF : -EFAULT;
	r = io_check_vector(fd, message->msg_iov, message->msg_iovlen);
	if (r < 0)
		return r;
	r = receive(&op);
	if (r >= 0 && unlikely(message->msg_controllen > 0))
		io_rights_born(message);
	return r;
}

PUBLIC ssize_t fiber_sendmsg(fiber_fd fd, const struct msghdr *message, int flags)
{
	struct poller_op op = { .kind = IO_SENDMSG, .fd = fd, .flags = flags,
				.msg = (struct msghdr *)message };
	ssize_t r;

	if (!message)
		return fd < 0 ? -EBADF : -EFAULT;
	r = io_check_vector(fd, message->msg_iov, message->msg_iovlen);
	return r < 0 ? r : transmit(&op);
}

PUBLIC ssize_t fiber_recvfrom(fiber_fd fd, void *buffer, size_t bytes, int flags,
			      struct sockaddr *address, socklen_t *address_bytes)
{
	struct iovec iov = { buffer, bytes };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_name = address };
	ssize_t n;

	if (!address)
		return fiber_recv(fd, buffer, bytes, flags);
	if (!address_bytes)
		return fd < 0 ? -EBADF : -EFAULT;
	message.msg_namelen = *address_bytes;
	n = fiber_recvmsg(fd, &message, flags);
	if (n >= 0)
		*address_bytes = message.msg_namelen;
	return n;
}

PUBLIC ssize_t fiber_sendto(fiber_fd fd, const void *buffer, size_t bytes, int flags,
			    const struct sockaddr *address, socklen_t address_bytes)
{
	struct iovec iov = { (void *)buffer, bytes };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_name = (void *)address,
				  .msg_namelen = address_bytes };

	if (!address)
		return fiber_send(fd, buffer, bytes, flags);
	return fiber_sendmsg(fd, &message, flags);
}
