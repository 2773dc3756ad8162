/* bottle.h - a runtime in a bottle: the scheduler's own workers, fibers and queues, put together by
 * hand. A scenario's thread may be a worker, which calls what it wants of the scheduler or runs the
 * whole loop, or a plain thread. Instead of a poller each worker has a bell. */
#ifndef FB_MODEL_BOTTLE_H
#define FB_MODEL_BOTTLE_H

#include "all.h"
#include "sched/claim.h"
#include "sched/worker.h"

enum { BOTTLE_WORKERS = 3, BOTTLE_BLOCKS = 12 };

extern struct runtime bottle;
extern struct worker bottle_worker[BOTTLE_WORKERS];

/* In setup: so many workers, all of them busy; no fiber. */
void bottle_begin(unsigned workers);
/* The same, with one worker in each of two runtimes. */
void bottle_begin_apart(void);
/* In setup: a block that was spawned and has not started, known to nobody. */
struct fiber *bottle_fiber(struct worker *home, uint32_t flags, fiber_fn *, void *arg);
/* The same, as if it had run on its home, and left this: it says that it is parked. */
struct fiber *bottle_started(struct worker *home, uint32_t flags);
/* In setup: this worker sleeps. In check: was it woken since, and has not heard it yet? */
void bottle_lay_down(unsigned number);
void bottle_is_watched(void);
/* In setup: who sleeps sleeps for good, and hears no bell. */
void bottle_stays_down(void);
/* Such a worker hears its bell once, if it is rung, and empties its inbox. */
void bottle_answer(unsigned number);
bool bottle_rung(unsigned number);
/* The running thread is this worker from now on; or a plain one with a block of its own. */
struct worker *bottle_be_worker(unsigned number);
struct fiber *bottle_be_plain(void);
/* In setup, for those. */
void bottle_plain_blocks(void);
/* It has ended: nobody may ring any more. */
void bottle_close_poller(unsigned number);
/* Sleeps and wakes as worker_loop does until there is something to run. */
struct fiber *bottle_next(struct worker *w);

#endif
