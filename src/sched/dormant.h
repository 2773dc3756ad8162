/* dormant.h - fibers without a stack that wait for a descriptor. See dormant.c. */
#ifndef FB_SCHED_DORMANT_H
#define FB_SCHED_DORMANT_H

#include "sched/worker.h"

/* Home worker: lets a prepared fiber (F_DORMANT, its operation in `object`) wait. False: there is
 * nothing to wait for, so it is to be started. */
bool dormant_begin(struct worker *w, struct fiber *f);
/* Home worker, for life_begin: takes what it waited for into the first things that it will know. */
void dormant_end(struct fiber *f, struct cold *cold);
/* It ends unrun. */
void dormant_drop(struct fiber *f);

#endif
