/* poller.c - choosing a backend, and operations without one. */
#include "poller/poller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "poller/attempt.h"
#include "poller/number.h"
#include "poller/orphans.h"
#include "poller/slot.h"

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

/* ---- without a poller -------------------------------------------------------------------------*/
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

/* With its use counted, so that forget() waits for it too. What others know stays as it is. */
static enum tried try_with_slot(struct slot *s, struct poller_op *op)
{
	_Atomic uint64_t calls = 0;
	struct slot_use use;
	enum tried tried;
	unsigned nature;

	spin_lock(&s->guard);
	use = slot_use(s);
	nature = s->nature;
	spin_unlock(&s->guard);
	tried = nature ? attempt_op(op, nature, &calls) : TRIED_STRANGE;
	if (tried == TRIED_STRANGE)
		tried = attempt_unknown(op, &nature, &calls);
	spin_lock(&s->guard);
	slot_unuse(s, &use);
	spin_unlock(&s->guard);
	return tried;
}

int poller_try(struct poller_op *op)
{
	struct slot *s = slot_get(op->fd);
	_Atomic uint64_t calls = 0;
	unsigned nature;
	enum tried tried = s ? try_with_slot(s, op) : attempt_unknown(op, &nature, &calls);

	switch (tried) {
	case TRIED_DONE:
		return POLLER_DONE;
	case TRIED_EMPTY:
	case TRIED_NO_EDGE:
		if (!(op->flags & MSG_DONTWAIT))
			return POLLER_IN_FLIGHT;
		op->result = -EAGAIN;
		return POLLER_DONE;
	case TRIED_BLOCKS:
		return POLLER_WOULD_BLOCK;
	case TRIED_STRANGE: /* it changes faster than one can look */
		op->result = -EBADF;
		return POLLER_DONE;
	}
	unreachable();
}

/* ---- numbers ----------------------------------------------------------------------------------*/
void poller_born(fiber_fd fd, enum poller_born what)
{
	switch (what) {
	case BORN_STREAM_INET:
		number_born(fd, NATURE_SOCKET | NATURE_TCP);
		return;
	case BORN_STREAM_UNIX:
		number_born(fd, NATURE_SOCKET | NATURE_UNIX);
		return;
	case BORN_PIPE:
		number_born(fd, NATURE_PIPE);
		return;
	case BORN_UNKNOWN:
	case BORN_DATAGRAM: /* of which family? */
	case BORN_LISTENER: /* of which family? what it accepts wants to know */
	case BORN_FILE:
		number_born(fd, 0);
		return;
	}
	unreachable();
}

void poller_forked(void)
{
	slot_forget_all();
	orphans_forget_all();
}
