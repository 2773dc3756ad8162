/* socket.c - a socket made ready for an address, and the text of its two ends. */
#include "net/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/must.h"

enum { ALL_FLAGS = FIBER_REUSEPORT | FIBER_V6ONLY | FIBER_DELAY, ALL_MODES = 0777 };

int socket_check_options(const fiber_net_options_t *o)
{
	if (o->flags & ~(unsigned)ALL_FLAGS || o->mode & ~(unsigned)ALL_MODES || o->backlog < 0)
		return -EINVAL;
	return o->reserved[0] || o->reserved[1] ? -EINVAL : 0;
}

static bool is_inet(int family)
{
	return family == AF_INET || family == AF_INET6;
}

static int set_options(fiber_fd fd, int family, int type, unsigned flags)
{
	int r = 0;

	if (is_inet(family) && type == SOCK_STREAM && !(flags & FIBER_DELAY))
		r = socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (r == 0 && flags & FIBER_REUSEPORT)
		r = socket_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return r;
}

fiber_fd socket_open(int family, int type, unsigned flags)
{
	fiber_fd fd = fiber_socket(family, type, 0);

	if (fd < 0)
		return fd;
	int r = set_options(fd, family, type, flags);

	if (r < 0) {
		fiber_close(fd);
		return r;
	}
	return fd;
}

/* ---- text -------------------------------------------------------------------------------------*/
static int print_name(fiber_fd fd, bool peer, char *text, size_t bytes)
{
	struct sockaddr_storage a = { 0 };
	socklen_t length = sizeof a;
	int type = 0, r;

	if (!text)
		return -EINVAL;
	if (bytes > 0)
		text[0] = '\0';
	r = socket_name(fd, peer, (struct sockaddr *)&a, &length);
	if (r == 0)
		r = socket_type(fd, &type);
	if (r < 0)
		return r;
	return address_print(type, (struct sockaddr *)&a, length, text, bytes);
}

PUBLIC int fiber_local_address(fiber_fd fd, char *text, size_t bytes)
{
	return print_name(fd, false, text, bytes);
}

PUBLIC int fiber_peer_address(fiber_fd fd, char *text, size_t bytes)
{
	return print_name(fd, true, text, bytes);
}
