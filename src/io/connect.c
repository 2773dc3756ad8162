/* connect.c - a connection to a peer. */
#include "io/io.h"

PUBLIC int fiber_connect(fiber_fd fd, const struct sockaddr *peer, socklen_t peer_bytes)
{
	struct poller_op op = { .kind = IO_CONNECT, .fd = fd, .peer = peer,
				.peer_bytes = peer_bytes };
	int r = io_check(fd, peer, 1);

	return unlikely(r < 0) ? r : (int)io_op(&op, WAIT_CONNECT);
}
