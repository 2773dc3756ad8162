/* backends_linux.c - the pollers of Linux. */
#include "poller/backends.h"

const struct poller_ops *const poller_backends[] = {
	&poller_epoll,
	&poller_uring,
	&poller_poll,
	NULL,
};
