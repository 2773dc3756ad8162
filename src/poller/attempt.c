/* attempt.c - one attempt at an operation, which never blocks the thread: see attempt.h.
 *
 * Sockets are asked per call (MSG_DONTWAIT), whatever their flags. accept and connect have no such
 * form: on a blocking descriptor they are not tried at all, because "ready" and then the call would
 * block the thread whenever another process is faster. Their flag is asked for each time: the
 * number may mean another file by now, and beside a connection's cost it is little. */
#include "poller/attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "os/atomic.h"
#include "poller/plain.h"

enum { ACCEPT_TRIES = 64 };

static enum tried fail(struct poller_op *op, int error)
{
	op->result = -error;
	return TRIED_DONE;
}

static enum tried refused(struct poller_op *op, unsigned nature, int error)
{
	if (error == EAGAIN)
		return TRIED_EMPTY;
	if (error == ENOTSOCK && nature & NATURE_SOCKET)
		return TRIED_STRANGE;
	return fail(op, error);
}

/* ---- streams and datagrams --------------------------------------------------------------------*/
enum tried attempt_receive(struct poller_op *op, void *buffer, size_t bytes, unsigned nature,
			   _Atomic uint64_t *calls)
{
	ssize_t n;

	do {
		count_up(calls);
		n = recv(op->fd, buffer, bytes, op->flags | MSG_DONTWAIT);
	} while (unlikely(n < 0) && errno == EINTR);
	if (unlikely(n < 0))
		return refused(op, nature, errno);
	op->result = n;
	return TRIED_DONE;
}

enum tried attempt_transmit(struct poller_op *op, const void *buffer, size_t bytes, unsigned nature,
			    _Atomic uint64_t *calls)
{
	ssize_t n;

	do {
		count_up(calls);
		n = send(op->fd, buffer, bytes, op->flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (unlikely(n < 0) && errno == EINTR);
	if (unlikely(n < 0))
		return refused(op, nature, errno);
	op->result = n;
	return TRIED_DONE;
}

static enum tried receive_message(struct poller_op *op, struct msghdr *msg, int flags,
				  unsigned nature, _Atomic uint64_t *calls)
{
	ssize_t n;

	do {
		count_up(calls);
		n = recvmsg(op->fd, msg, flags | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return refused(op, nature, errno);
	op->result = n;
	return TRIED_DONE;
}

/* A Unix datagram socket is told when the receiver that it is connected to has room again, but not
 * of any other; it is writable all the time, and says so with an edge after each attempt. */
static bool lacks_edge(const struct msghdr *msg, unsigned nature, int error)
{
	return error == EAGAIN && msg->msg_name && nature & NATURE_UNIX && nature & NATURE_DATAGRAM;
}

static enum tried transmit_message(struct poller_op *op, const struct msghdr *msg, int flags,
				   unsigned nature, _Atomic uint64_t *calls)
{
	ssize_t n;

	do {
		count_up(calls);
		n = sendmsg(op->fd, msg, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return lacks_edge(msg, nature, errno) ? TRIED_NO_EDGE : refused(op, nature, errno);
	op->result = n;
	return TRIED_DONE;
}

/* ---- read and write ---------------------------------------------------------------------------*/
static struct msghdr message_of(const struct poller_op *op)
{
	return (struct msghdr){.msg_iov = (struct iovec *)op->iov,
			       .msg_iovlen = (size_t)op->iov_count};
}

static bool nothing_asked(const struct poller_op *op)
{
	for (int i = 0; i < op->iov_count; i++)
		if (op->iov[i].iov_len)
			return false;
	return true;
}

static enum tried try_read(struct poller_op *op, unsigned nature, _Atomic uint64_t *calls)
{
	struct msghdr msg;

	if (unlikely((unsigned)op->iov_count > IOV_MAX))
		return fail(op, EINVAL);
	if (!(nature & NATURE_SOCKET))
		return plain_read(op, nature, calls);
	if (likely(op->iov_count == 1 && op->iov->iov_len))
		return attempt_receive(op, op->iov->iov_base, op->iov->iov_len, nature, calls);
	if (nothing_asked(op)) { /* read(2) returns at once, recv(2) would wait */
		op->result = 0;
		return TRIED_DONE;
	}
	msg = message_of(op);
	return receive_message(op, &msg, 0, nature, calls);
}

static enum tried try_write(struct poller_op *op, unsigned nature, _Atomic uint64_t *calls)
{
	struct msghdr msg;

	if (unlikely((unsigned)op->iov_count > IOV_MAX))
		return fail(op, EINVAL);
	if (!(nature & NATURE_SOCKET))
		return plain_write(op, nature, calls);
	if (likely(op->iov_count == 1))
		return attempt_transmit(op, op->iov->iov_base, op->iov->iov_len, nature, calls);
	msg = message_of(op);
	return transmit_message(op, &msg, 0, nature, calls);
}

/* ---- connections ------------------------------------------------------------------------------*/
/* True also for a bad descriptor: the call itself says so. */
static bool blocking(int fd, _Atomic uint64_t *calls)
{
	int flags;

	count_up(calls);
	flags = fcntl(fd, F_GETFL);
	return flags >= 0 && !(flags & O_NONBLOCK);
}

/* A connection that is gone before it was accepted is the next one's turn, and Linux passes errors
 * of the new connection's network on as accept's own (accept(2)). */
static bool next_connection(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case ENOPROTOOPT:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
		return true;
	default:
		return false;
	}
}

enum poller_born attempt_accepted(unsigned nature)
{
	if (nature & NATURE_TCP)
		return BORN_STREAM_INET;
	return nature & NATURE_UNIX ? BORN_STREAM_UNIX : BORN_UNKNOWN;
}

static enum tried try_accept(struct poller_op *op, unsigned nature, _Atomic uint64_t *calls)
{
	socklen_t room = op->address_bytes ? *op->address_bytes : 0;
	int fd, tries = 0;

	if (nature & NATURE_SOCKET && blocking(op->fd, calls))
		return TRIED_BLOCKS;
	do {
		if (op->address_bytes)
			*op->address_bytes = room;
		count_up(calls);
		fd = accept4(op->fd, op->address, op->address_bytes, SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (fd < 0 && next_connection(errno) && ++tries < ACCEPT_TRIES);
	if (fd < 0)
		return refused(op, nature, errno);
	poller_born(fd, attempt_accepted(nature));
	op->result = fd;
	return TRIED_DONE;
}

/* A connection was on its way. Being woken proves nothing (the edge may be older than the attempt),
 * so poll(2) first: until there is an answer the socket is not writable. */
static enum tried has_connected(struct poller_op *op, _Atomic uint64_t *calls)
{
	int events = attempt_poll(op->fd, POLLOUT, calls), error = 0;
	socklen_t bytes = sizeof error;
	struct sockaddr_storage peer;
	socklen_t peer_bytes = sizeof peer;

	if (events <= 0)
		return events < 0 ? fail(op, -events) : TRIED_EMPTY;
	count_up(calls);
	if (getsockopt(op->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
		return fail(op, errno);
	/* Closed without an error: somebody else has asked for it first. */
	if (!error && events & POLLHUP &&
	    getpeername(op->fd, (struct sockaddr *)&peer, &peer_bytes) < 0)
		error = ECONNABORTED;
	return fail(op, error);
}

static enum tried try_connect(struct poller_op *op, unsigned nature, _Atomic uint64_t *calls)
{
	if (op->again && !(nature & NATURE_UNIX))
		return has_connected(op, calls);
	if (nature & NATURE_SOCKET && !(nature & NATURE_DATAGRAM) && blocking(op->fd, calls))
		return TRIED_BLOCKS;
	count_up(calls);
	if (connect(op->fd, op->peer, op->peer_bytes) == 0)
		return fail(op, 0);
	switch (errno) {
	case EINPROGRESS:
	case EALREADY:
	case EINTR:
		return TRIED_EMPTY;
	case EAGAIN: /* Unix: the listener's queue is full. Otherwise: no route, and no waiting */
		return nature & NATURE_UNIX ? TRIED_NO_EDGE : fail(op, EAGAIN);
	default:
		return refused(op, nature, errno);
	}
}

/* ---- readiness --------------------------------------------------------------------------------*/
int attempt_poll(int fd, short events, _Atomic uint64_t *calls)
{
	struct pollfd p = {.fd = fd, .events = events};
	int r;

	do {
		count_up(calls);
		r = poll(&p, 1, 0);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		return 0;
	return p.revents & POLLNVAL ? -EBADF : p.revents;
}

static enum tried try_poll(struct poller_op *op, _Atomic uint64_t *calls)
{
	int r = attempt_poll(op->fd, op->events, calls);

	if (r == 0)
		return TRIED_EMPTY;
	op->result = r;
	return TRIED_DONE;
}

enum tried attempt_op(struct poller_op *op, unsigned nature, _Atomic uint64_t *calls)
{
	if (unlikely(nature & NATURE_FILE) && (op->kind == IO_READ || op->kind == IO_WRITE))
		return TRIED_BLOCKS;
	switch (op->kind) {
	case IO_READ:
		return try_read(op, nature, calls);
	case IO_WRITE:
		return try_write(op, nature, calls);
	case IO_RECVMSG:
		return receive_message(op, op->msg, op->flags, nature, calls);
	case IO_SENDMSG:
		return transmit_message(op, op->msg, op->flags, nature, calls);
	case IO_RECV:
		return attempt_receive(op, op->buffer, op->bytes, nature, calls);
	case IO_SEND:
		return attempt_transmit(op, op->buffer, op->bytes, nature, calls);
	case IO_ACCEPT:
		return try_accept(op, nature, calls);
	case IO_CONNECT:
		return try_connect(op, nature, calls);
	case IO_POLL:
		return try_poll(op, calls);
	case IO_FILE:
		return TRIED_BLOCKS;
	}
	unreachable();
}

enum tried attempt_unknown(struct poller_op *op, unsigned *nature, _Atomic uint64_t *calls)
{
	int looked = nature_look(op->fd, calls);

	if (looked < 0) {
		op->result = looked;
		return TRIED_DONE;
	}
	*nature = (unsigned)looked;
	return attempt_op(op, *nature, calls);
}

COLD int attempt_refuse(int fd)
{
	return fd < 0 || fcntl(fd, F_GETFD) < 0 ? -EBADF : -ENOMEM;
}
