/* open.c - new descriptors: close-on-exec from their first moment, and non-blocking, so that
 * nothing that is done with them later can hold up a worker.
 *
 * A path is opened on a helper thread, because looking it up may wait for a disk or a network, and
 * a FIFO waits for its other end. It is opened as the program asked, and becomes non-blocking
 * afterwards: a FIFO that is opened without blocking does not wait for a reader, but fails. */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <unistd.h>

#include "io/file_call.h"

static enum poller_born socket_born(int domain, int type, int protocol)
{
	switch (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) {
	case SOCK_STREAM:
		if (domain == AF_UNIX)
			return BORN_STREAM_UNIX;
		/* SCTP streams keep the boundaries of messages. */
		if ((domain == AF_INET || domain == AF_INET6) &&
		    (protocol == 0 || protocol == IPPROTO_TCP))
			return BORN_STREAM_INET;
		return BORN_UNKNOWN;
	case SOCK_DGRAM:
	case SOCK_SEQPACKET:
		return BORN_DATAGRAM;
	default:
		return BORN_UNKNOWN;
	}
}

PUBLIC fiber_fd fiber_socket(int domain, int type, int protocol)
{
	fiber_fd fd = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	if (fd < 0)
		return -errno;
	poller_born(fd, socket_born(domain, type, protocol));
	return fd;
}

PUBLIC int fiber_socketpair(int domain, int type, int protocol, fiber_fd out[2])
{
	if (!out)
		return -EFAULT;
	if (socketpair(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol, out) < 0)
		return -errno;
	poller_born(out[0], socket_born(domain, type, protocol));
	poller_born(out[1], socket_born(domain, type, protocol));
	return 0;
}

PUBLIC int fiber_pipe(fiber_fd out[2])
{
	if (!out)
		return -EFAULT;
	if (pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	poller_born(out[0], BORN_PIPE);
	poller_born(out[1], BORN_PIPE);
	return 0;
}

/* ---- paths ------------------------------------------------------------------------------------*/
/* The descriptor is new and nobody else's, so its flags are ours to set. */
static void born(fiber_fd fd, int flags)
{
	enum poller_born what = BORN_UNKNOWN;
	struct stat about;

	if ((flags & O_PATH) || fstat(fd, &about) < 0)
		what = BORN_FILE; /* nothing can be read or written */
	else if (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode) || S_ISBLK(about.st_mode))
		what = BORN_FILE;
	else if (S_ISFIFO(about.st_mode))
		what = BORN_PIPE;
	if (what != BORN_FILE)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	poller_born(fd, what);
}

static mode_t mode_of(int flags, va_list arguments)
{
	bool creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;

	return creates ? va_arg(arguments, unsigned) : 0;
}

PUBLIC fiber_fd fiber_open(const char *path, int flags, ...)
{
	struct file_call c = { .kind = FILE_OPEN, .path = path, .flags = flags };
	va_list arguments;
	int r;

	if (!path)
		return -EFAULT;
	r = wait_check();
	if (r < 0)
		return r;
	va_start(arguments, flags);
	c.mode = mode_of(flags, arguments);
	va_end(arguments);
	r = (int)file_call(&c);
	if (r >= 0)
		born(r, flags);
	return r;
}
