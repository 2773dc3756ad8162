/* choose.c - choosing a backend, and what all of them share. */
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "poller/poller.h"

static const struct poller_ops *by_name(const char *name)
{
	for (const struct poller_ops *const *ops = poller_backends; *ops; ops++)
		if (strcmp((*ops)->name, name) == 0)
			return *ops;
	return NULL;
}

/* The last one is what every kernel has: if even it does not open, open says why. */
static const struct poller_ops *best(void)
{
	const struct poller_ops *const *ops = poller_backends;

	for (; ops[1]; ops++) {
		struct poller *p;

		if ((*ops)->open(&p) == 0) {
			(*ops)->close(p);
			break;
		}
	}
	return *ops;
}

const struct poller_ops *poller_choose(const char *name)
{
	if (!name)
		name = getenv("FIBER_POLLER");
	return name && *name ? by_name(name) : best();
}

short poller_events(const struct poller_op *op)
{
	switch (op->kind) {
	case IO_READ:
	case IO_RECVMSG:
	case IO_RECV:
	case IO_ACCEPT:
		return op->flags & MSG_OOB ? POLLPRI : op->flags & MSG_ERRQUEUE ? 0 : POLLIN;
	case IO_WRITE:
	case IO_SENDMSG:
	case IO_SEND:
	case IO_CONNECT:
		return POLLOUT;
	case IO_POLL:
		return op->events;
	case IO_FILE: /* is never waited for */
		break;
	}
	unreachable();
}
