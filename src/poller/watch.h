/* watch.h - which poller's kernel object watches a number: its home. Under the slot's guard. */
#ifndef FB_POLLER_WATCH_H
#define FB_POLLER_WATCH_H

#include "poller/ready.h"
#include "poller/slot.h"

static inline struct ready *watch_home(const struct slot *s)
{
	return atomic_load_explicit(&s->home, memory_order_relaxed);
}

/* The operation, of r, begins to wait: the number is watched for it, by r or another. -errno as
 * ready_kernel.add. */
int watch_begin(struct ready *r, struct slot *, const struct poller_op *);
/* r watches it from now on; another that did no longer does. On failure all is as before. */
int watch_adopt(struct ready *r, struct slot *, int fd);
/* Nobody does; the kernel has dropped it already, or the caller sees to that. */
void watch_end(struct slot *);
/* What r watches for others moves to their pollers; r itself must have nobody waiting. */
void watch_close(struct ready *r);

#endif
