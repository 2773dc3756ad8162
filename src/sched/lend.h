/* lend.h - a fiber that goes on on a helper thread for a while, and then comes home. Private to
 * src/sched/; lend.c tells how. */
#ifndef FB_SCHED_LEND_H
#define FB_SCHED_LEND_H

#include "sched/helpers.h"

struct worker;

/* The fiber that the calling thread carries; NULL: none. Also of a signal handler's thread. */
struct fiber *lend_fiber(void);
/* Whoever ends in between comes home first: the worker. NULL: this thread carries nobody. */
struct worker *lend_home(void);

/* ---- of the pool ------------------------------------------------------------------------------*/
/* Parks until a helper has taken the fiber up: 0, on the helper. Or the interruption, at home. */
int lend_park(struct fiber *self, struct helpers_job *);
/* The helper has let go of it. */
void lend_return(struct fiber *);
/* A helper thread ends. */
void lend_thread_ends(void);
/* In a forked child: nobody is carried. */
void lend_forked(void);

#endif
