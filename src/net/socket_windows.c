/* socket_windows.c - the leaves of the room; see socket.h. */
#include <errno.h>
#include <sys/socket.h>

#include "net/socket.h"
#include "os/errno_windows.h"

static int last_error(void)
{
	return os_error((uint32_t)WSAGetLastError());
}

/* SO_REUSEADDR here lets a stranger take the port over; a server comes back without it, and takes
 * the port for itself with the opposite. */
int socket_set(fiber_fd fd, int level, int option, int value)
{
	if (level == SOL_SOCKET && option == SO_REUSEPORT)
		return -EOPNOTSUPP;
	if (level == SOL_SOCKET && option == SO_REUSEADDR)
		option = SO_EXCLUSIVEADDRUSE;
	return setsockopt((SOCKET)fd, level, option, (char *)&value, sizeof value) == 0
		       ? 0 : last_error();
}

int socket_bind(fiber_fd fd, const struct sockaddr *a, socklen_t bytes)
{
	return bind((SOCKET)fd, a, bytes) == 0 ? 0 : last_error();
}

int socket_listen(fiber_fd fd, int backlog)
{
	return listen((SOCKET)fd, backlog ? backlog : SOMAXCONN) == 0 ? 0 : last_error();
}

/* A second connect would begin anew where the first has failed, so that is asked first. */
int socket_start_connect(fiber_fd fd, const struct sockaddr *a, socklen_t bytes)
{
	int error = 0, length = sizeof error, r;

	if (getsockopt((SOCKET)fd, SOL_SOCKET, SO_ERROR, (char *)&error, &length) == 0 && error)
		return os_error((uint32_t)error);
	r = connect((SOCKET)fd, a, bytes) == 0 ? 0 : last_error();
	return r == -EAGAIN || r == -EINVAL ? -EINPROGRESS : r;
}

int socket_name(fiber_fd fd, bool peer, struct sockaddr *a, socklen_t *bytes)
{
	return (peer ? getpeername((SOCKET)fd, a, bytes) : getsockname((SOCKET)fd, a, bytes)) == 0
		       ? 0 : last_error();
}

int socket_type(fiber_fd fd, int *type)
{
	int bytes = sizeof *type;

	return getsockopt((SOCKET)fd, SOL_SOCKET, SO_TYPE, (char *)type, &bytes) == 0
		       ? 0 : last_error();
}
