/* poller_windows.c - the backends, and operations without one; see poller.c for other systems. */
#include <errno.h>

#include "os/errno_windows.h"
#include "poller/alone.h"
#include "poller/backends.h"

const struct poller_ops *const poller_backends[] = {
	&poller_iocp,
	NULL,
};

int poller_try(struct poller_op *op)
{
	struct pollfd one = { .fd = (SOCKET)op->fd, .events = op->events };
	int r;

	if (op->kind == IO_POLL) {
		r = poller_look(&one, 1);
		op->result = r < 0 ? r : one.revents & POLLNVAL ? -EBADF : one.revents;
		return r == 0 ? POLLER_IN_FLIGHT : POLLER_DONE;
	}
	r = alone_run(op, 0);
	if (r == POLLER_IN_FLIGHT && (op->flags & MSG_DONTWAIT)) {
		op->result = -EAGAIN;
		return POLLER_DONE;
	}
	return r;
}

/* One by one: WSAPoll fails as a whole for one that is no socket, and refuses POLLPRI. */
int poller_look(struct pollfd *set, nfds_t count)
{
	int ready = 0;

	os_sockets_begin();
	for (nfds_t i = 0; i < count; i++) {
		struct pollfd one = { set[i].fd, (short)(set[i].events & (POLLIN | POLLOUT)), 0 };

		set[i].revents = 0;
		if ((fiber_fd)set[i].fd < 0)
			continue;
		if (WSAPoll(&one, 1, 0) < 0)
			one.revents = home_look((fiber_fd)set[i].fd) == HOME_FILE ? one.events
										  : POLLNVAL;
		set[i].revents = one.revents;
		ready += one.revents != 0;
	}
	return ready;
}

void poller_born(fiber_fd fd, enum poller_born what)
{
	switch (what) {
	case BORN_STREAM_INET:
	case BORN_STREAM_UNIX:
	case BORN_LISTENER:
		home_born(fd, HOME_STREAM);
		return;
	case BORN_DATAGRAM:
		home_born(fd, HOME_DATAGRAM);
		return;
	case BORN_PIPE:
		home_born(fd, HOME_PIPE);
		return;
	case BORN_FILE:
		home_born(fd, HOME_FILE);
		return;
	case BORN_UNKNOWN:
		home_born(fd, HOME_UNKNOWN);
		return;
	}
	unreachable();
}

/* There is no fork. */
void poller_forked(void)
{
}
