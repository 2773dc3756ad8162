/* backends_bsd.c - the pollers of the BSDs and macOS. */
#include "poller/backends.h"

const struct poller_ops *const poller_backends[] = {
	&poller_kqueue,
	&poller_poll,
	NULL,
};
