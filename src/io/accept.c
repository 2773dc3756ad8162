/* accept.c - a connection from a listener. */
#include "io/io.h"

PUBLIC fiber_fd fiber_accept(fiber_fd listener, struct sockaddr *address, socklen_t *address_bytes)
{
	struct poller_op op = { .kind = IO_ACCEPT, .fd = listener, .address = address,
				.address_bytes = address_bytes };
	int r = io_check(listener, address_bytes, address ? sizeof *address_bytes : 0);

	return unlikely(r < 0) ? r : (fiber_fd)io_op(&op, WAIT_ACCEPT);
}
