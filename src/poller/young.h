/* young.h - waits that have just begun: whose number is checked if they last. See young.c.
 * Functions that give operations back say how many. */
#ifndef FB_POLLER_YOUNG_H
#define FB_POLLER_YOUNG_H

#include "poller/ready.h"

enum {
	YOUNG_EPOCH_NS = 4 * 1000 * 1000,
	YOUNG_EPOCHS = 3, /* after which a wait is no longer young */
	YOUNG_MS = 12,
};

/* Somebody begins to wait. Under the guard. */
static inline void young_note(struct ready *r, struct slot *s, int fd)
{
	s->parked = r->epoch;
	if (likely(s->bits & SLOT_QUEUED))
		return;
	s->bits |= SLOT_QUEUED;
	s->fd = fd;
	s->since = r->epoch;
	list_append(&r->young, &s->young);
}

/* The time, coarse; after each wait of the kernel's. */
void young_tick(struct ready *, int64_t now);
/* Checks those that are no longer young, as far as `events`, the number just handled, allow.
 * `idle`: nothing happened for YOUNG_MS. */
unsigned young_check(struct ready *, unsigned events, bool idle, struct list *back);
/* Empties the queue. */
void young_end(struct ready *);

/* Milliseconds that a sleep may last at most; -1: no limit. */
static inline int young_nap_ms(const struct ready *r)
{
	return list_empty(&r->young) ? -1 : YOUNG_MS;
}

/* False: no number is ever checked. For tests: a check reports what is ready, and so would hide an
 * edge that was lost. */
extern bool young_checks;

#endif
