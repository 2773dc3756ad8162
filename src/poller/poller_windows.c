/* poller_windows.c - the backends, and operations without one; see poller.c for other systems. */
#include <errno.h>

#include "poller/backends.h"

const struct poller_ops *const poller_backends[] = {
	&poller_iocp,
	NULL,
};

int poller_try(struct poller_op *op)
{
	op->result = -ENOSYS;
	return POLLER_DONE;
}

int poller_look(struct pollfd *set, nfds_t count)
{
	(void)set, (void)count;
	return -ENOSYS;
}

void poller_born(fiber_fd fd, enum poller_born what)
{
	(void)fd, (void)what;
}

void poller_forked(void)
{
}
