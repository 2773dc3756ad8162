/* poller.c - the backends, and operations without one. */
#include "poller/poller.h"

#include <errno.h>

#include "poller/attempt.h"
#include "poller/number.h"
#include "poller/orphans.h"
#include "poller/slot.h"

/* ---- without a poller -------------------------------------------------------------------------*/
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
	if (unlikely(s->ahead) && !(poller_events(op) & POLLOUT)) {
		slot_unuse(s, &use);
		spin_unlock(&s->guard);
		op->result = -EBUSY; /* the bytes are in the hands of a fiber's worker */
		return TRIED_DONE;
	}
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

int poller_look(struct pollfd *set, nfds_t count)
{
	int n;

	do
		n = poll(set, count, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
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
