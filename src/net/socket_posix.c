/* socket_posix.c - the leaves of the room: the system calls that never park, each with errno read
 * in the line after it. They are not inlined: a compiler takes errno's address for constant, and
 * could keep it across a park of the function it was inlined into, where a roaming fiber changes
 * thread. */
#include <errno.h>

#include "base/must.h"
#include "net/socket.h"

NOINLINE int socket_set(fiber_fd fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof value) < 0)
		return -errno;
	return 0;
}

NOINLINE int socket_bind(fiber_fd fd, const struct sockaddr *a, socklen_t bytes)
{
	if (bind(fd, a, bytes) < 0)
		return -errno;
	return 0;
}

NOINLINE int socket_listen(fiber_fd fd, int backlog)
{
	if (listen(fd, backlog ? backlog : SOMAXCONN) < 0)
		return -errno;
	return 0;
}

NOINLINE int socket_start_connect(fiber_fd fd, const struct sockaddr *a, socklen_t bytes)
{
	if (connect(fd, a, bytes) < 0)
		return -errno;
	return 0;
}

NOINLINE int socket_name(fiber_fd fd, bool peer, struct sockaddr *a, socklen_t *bytes)
{
	if ((peer ? getpeername(fd, a, bytes) : getsockname(fd, a, bytes)) < 0)
		return -errno;
	return 0;
}

NOINLINE int socket_type(fiber_fd fd, int *type)
{
	socklen_t bytes = sizeof *type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, type, &bytes) < 0)
		return -errno;
	return 0;
}
