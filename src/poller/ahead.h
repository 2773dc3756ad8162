/* ahead.h - bytes of an owned stream, or connections of an owned listener, that were taken before
 * anybody asked for them.
 *
 * Only io_uring receives ahead; what others must know of it is here. Hangs on its slot
 * (slot.ahead), guarded by the slot's guard. */
#ifndef FB_POLLER_AHEAD_H
#define FB_POLLER_AHEAD_H

#include "poller/held.h"

struct ahead {
	size_t bytes;     /* received, and not yet read; of a listener: connections, accepted */
	bool connections; /* it is of a listener */
	/* The number is given up: takes it off its slot; who waits for bytes is given back, with
	 * -EBADF. Bytes that nobody read are lost. */
	void (*end)(struct slot *, struct list *back);
	/* Nothing more is to be received ahead, until somebody reads. Who has to see to it
	 * (held.h), or NULL: it is so. Those that wait try again by themselves. */
	struct held *(*stop)(struct slot *);
};

static inline void ahead_end(struct slot *s, struct list *back)
{
	if (unlikely(s->ahead != NULL))
		s->ahead->end(s, back);
}

#endif
