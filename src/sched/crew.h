/* crew.h - the workers of a runtime, as memory and as what they hold. Private to runtime.c. */
#ifndef FB_SCHED_CREW_H
#define FB_SCHED_CREW_H

#include "sched/worker.h"

/* An array of n workers, closed. NULL: no memory. */
struct worker *crew_get(unsigned n);
void crew_put(struct worker *, unsigned n);

/* Makes a worker ready for its thread. -ENOMEM, or why there is no poller. */
int crew_open(struct worker *, struct runtime *, unsigned number);
/* Its thread has ended, or never began. */
void crew_close(struct worker *);

/* Around a fork. */
void crew_guard(bool take);

#endif
